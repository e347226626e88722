"""The beginnings of a package with a part of one's own."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

from affectgraph.orchestrator.registry import KINDS
from affectgraph.perceivers.errors import InputError

SCAFFOLDS: Final = ("perceiver", "fusion", "stage", "reasoner", "triage", "output", "node")
"""Kinds of part that a package can be begun with."""

_NAME: Final = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
_FILE: Final = re.compile(r"^=== (.+)\n", re.MULTILINE)


def scaffold(name: str, kind: str, folder: Path) -> Path:
    """Write an installable package: a part, its tests, and an ``agent.yaml`` that uses it.

    Args:
        name: Name of the distribution, such as ``my-perceiver``.
        kind: One of :data:`SCAFFOLDS`.
        folder: Where the package's folder is made.

    Returns:
        The package's folder.

    Raises:
        InputError: If the name or the kind cannot be used, or the folder is there already.
    """
    if kind not in SCAFFOLDS:
        raise InputError(f"no scaffold for {kind!r}; there are: {', '.join(SCAFFOLDS)}")
    if _NAME.fullmatch(name) is None:
        raise InputError(f"{name!r} is no name: use lower-case letters, digits and hyphens")
    package = name.replace("-", "_")
    if package in sys.stdlib_module_names or package == "affectgraph":
        raise InputError(f"{name!r} is the name of another package: choose one of your own")
    root = folder / name
    words = {
        "name": name,
        "package": package,
        "title": "".join(word.capitalize() for word in package.split("_")),
        "kind": kind,
        "part": f"{name}.v1",
        "group": KINDS[kind].group,
    }
    texts = {**_texts("common", words), **_texts(kind, words)}
    try:
        root.mkdir(parents=True)
        for path, text in texts.items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
    except FileExistsError:
        raise InputError(f"{root}: is there already; nothing was written") from None
    except OSError as error:
        raise InputError(f"{root}: {(error.strerror or 'cannot be written').lower()}") from error
    return root


def _texts(which: str, words: Mapping[str, str]) -> dict[str, str]:
    """Path -> text: a template holds several files, each under a line ``=== path``."""
    template = (files("affectgraph.orchestrator") / "data" / f"new-{which}.txt").read_text("utf-8")
    _, *parts = _FILE.split(Template(template).substitute(words))
    return {path: text.strip() + "\n" for path, text in zip(parts[::2], parts[1::2], strict=True)}
