"""The curves of a run as a picture; needs matplotlib (extra ``eval``), imported inside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read(file: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of ``curves.jsonl``: those of steps, and those of validations."""
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]
    return [row for row in rows if "train" in row], [row for row in rows if "valid" in row]


def plot(file: Path, out: Path, *, title: str) -> None:
    """Draw training and validation loss over the steps.

    Args:
        file: ``curves.jsonl`` of a run.
        out: The picture, ``.png`` or ``.svg``.
        title: What the run is.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    steps, valid = read(file)
    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(
        [row["step"] for row in steps], [row["train"] for row in steps],
        color="0.7", linewidth=0.8, label="training, weighted",
    )  # fmt: skip
    for key, label in (
        ("valid", "validation, weighted"),
        ("response", "validation, response tokens"),
        ("label", "validation, label tokens"),
    ):
        axes.plot(
            [row["step"] for row in valid], [row[key] for row in valid], marker=".", label=label
        )
    axes.set(xlabel="step", ylabel="loss (nats a token)", title=title)
    axes.legend()
    figure.savefig(out, dpi=120)
