"""A result as one HTML file that needs no other, with its figures as PNG files beside it."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from affectgraph.orchestrator.evaluation.plots import png
from affectgraph.orchestrator.evaluation.result import Estimate, Fact, Result
from affectgraph.perceivers.errors import ExtraMissingError, SetupError

if TYPE_CHECKING:
    from jinja2 import Template


@dataclass(frozen=True)
class Circumstances:
    """How a result came about.

    Attributes:
        about: What the task measures.
        command: What to type to get it again.
        settings: Seed, limit, versions and the like.
        level: Coverage of the intervals.
    """

    about: str
    command: str
    settings: Mapping[str, Fact]
    level: float = 0.95


def check_installed() -> None:
    """Say before the work, not after it, that a report cannot be written.

    Raises:
        ExtraMissingError: If jinja2 or matplotlib is not installed.
    """
    if find_spec("jinja2") is None or find_spec("matplotlib") is None:
        raise ExtraMissingError("the evaluation's report", "eval")


def write_report(result: Result, how: Circumstances, folder: Path) -> Path:
    """Write ``report.html`` and the PNG files.

    Args:
        result: What to show; it holds no text of a corpus.
        how: How it came about.
        folder: Where to; made if it is not there.

    Returns:
        The HTML file.

    Raises:
        ExtraMissingError: If jinja2 or matplotlib is not installed.
        SetupError: If the folder cannot be written.
    """
    check_installed()
    drawn = [
        (figure.title, f"{_kind(figure)}-{slug(figure.title)}.png", png(figure))
        for figure in result.figures
    ]
    page = _template().render(
        result=result,
        about=how.about,
        command=how.command,
        settings=how.settings,
        level=f"{how.level:.0%}",
        images=[(title, base64.b64encode(data).decode()) for title, _, data in drawn],
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for _, name, data in drawn:
            (folder / name).write_bytes(data)
        file = folder / "report.html"
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise SetupError(f"{folder}: the report cannot be written ({error.strerror})") from error
    return file


def figure(estimate: Estimate) -> str:
    """A figure as tables print it; ``-`` where it is undefined."""
    return "-" if not math.isfinite(estimate.value) else f"{estimate.value:.3f}"


def interval(estimate: Estimate) -> str:
    """An interval as tables print it; nothing without one."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{estimate.low:.3f} to {estimate.high:.3f}"


def told(fact: Fact) -> str:
    """A fact as reports print it."""
    if isinstance(fact, str):
        return fact
    return f"{fact:,}" if isinstance(fact, int) else f"{fact:,.3f}"


def slug(title: str) -> str:
    """A title as part of a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def _kind(drawn: object) -> str:
    return type(drawn).__name__.lower()


def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"figure": figure, "interval": interval, "fact": told}
    text = (files("affectgraph.orchestrator.evaluation") / "data" / "report.html").read_text(
        "utf-8"
    )
    return environment.from_string(text)
