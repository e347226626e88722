"""Figures of a result as PNG; drawn without a display and without matplotlib's global state."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import numpy as np

from affectgraph.orchestrator.evaluation.result import Bars, Confusion, Figure, Reliability

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

_DPI: Final = 130
_INK: Final = "#1f4e79"
_FAINT: Final = "#b9c7d6"
_PALETTE: Final = ("#1f4e79", "#d0812b", "#4a8f5a", "#8a5a9e", "#8c8c8c", "#b5473c")
_SMALL: Final = 8
_MANY: Final = 12
"""From so many labels on, they stand beside horizontal bars."""


def png(figure: Figure) -> bytes:
    """Draw a figure.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    canvas = _draw(figure)
    written = io.BytesIO()
    canvas.savefig(written, format="png", dpi=_DPI, metadata={"Software": None})
    return written.getvalue()


def _draw(figure: Figure) -> Canvas:
    match figure:
        case Confusion():
            return _confusion(figure)
        case Reliability():
            return _reliability(figure)
        case Bars():
            return _bars(figure)


def _canvas(width: float, height: float) -> Canvas:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(canvas)
    return canvas


def _confusion(figure: Confusion) -> Canvas:
    """Each row as shares of its class, with the counts in the cells."""
    size = len(figure.labels)
    side = max(4.2, 0.62 * size + 1.8)
    canvas = _canvas(side + 0.9, side)
    axes = canvas.add_subplot()
    totals = figure.counts.sum(axis=1, keepdims=True)
    shares = np.divide(figure.counts, totals, out=np.zeros(figure.counts.shape), where=totals > 0)
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    for true in range(size):
        for told in np.flatnonzero(figure.counts[true]).tolist():
            axes.text(
                told, true, f"{shares[true, told]:.2f}\n{figure.counts[true, told]:,}",
                ha="center", va="center", fontsize=_SMALL - (1 if size <= 10 else 3),
                color="white" if shares[true, told] > 0.5 else "#333333",
            )  # fmt: skip
    axes.set_xticks(range(size), figure.labels, rotation=45, ha="right", fontsize=_SMALL + 1)
    axes.set_yticks(range(size), figure.labels, fontsize=_SMALL + 1)
    axes.set(xlabel="told", ylabel="true")
    axes.set_title(figure.title, fontsize=10)
    canvas.colorbar(image, ax=axes, shrink=0.8, label="share of the true class")
    return canvas


def _reliability(figure: Reliability) -> Canvas:
    canvas = _canvas(4.8, 5.2)
    upper, lower = canvas.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    bins = len(figure.count)
    middles = (np.arange(bins) + 0.5) / bins
    filled = figure.count > 0
    upper.plot([0, 1], [0, 1], color="#888888", linewidth=1, linestyle="--", label="calibrated")
    upper.bar(
        middles[filled], figure.accuracy[filled], width=0.9 / bins, color=_FAINT, label="accuracy"
    )
    upper.plot(
        figure.confidence[filled], figure.accuracy[filled], "o-", color=_INK, markersize=4,
        linewidth=1.2, label="at the mean confidence", clip_on=False, zorder=3,
    )  # fmt: skip
    upper.set(ylim=(0, 1), xlim=(0, 1), ylabel="accuracy")
    upper.set_title(f"{figure.title}\nECE {figure.error:.3f}", fontsize=10)
    upper.legend(fontsize=_SMALL, loc="upper left", frameon=False)
    lower.bar(middles, figure.count, width=0.9 / bins, color=_INK)
    lower.set(xlabel="confidence", ylabel="rows")
    _bare(upper, lower)
    return canvas


def _bars(figure: Bars) -> Canvas:
    """Labels in the order given; beside horizontal bars where there are many."""
    count, series = len(figure.labels), len(figure.series)
    places, thick = np.arange(count), 0.8 / max(1, series)
    flat = count >= _MANY
    long = 1.4 + 0.24 * count * max(1.0, series / 2)
    canvas = _canvas(6.4, long) if flat else _canvas(max(5.0, 0.85 * count + 1.5), 3.6)
    axes = canvas.add_subplot()
    for slot, (name, values) in enumerate(figure.series.items()):
        at = places + (slot - (series - 1) / 2) * thick
        color = _PALETTE[slot % len(_PALETTE)]
        if flat:
            drawn = axes.barh(at, values, height=thick, label=name, color=color)
        else:
            drawn = axes.bar(at, values, width=thick, label=name, color=color)
        if series <= 2:
            axes.bar_label(drawn, fmt="%.2f", fontsize=_SMALL - 1, padding=2)
    if flat:
        axes.set_yticks(places, figure.labels, fontsize=_SMALL + 1)
        axes.invert_yaxis()
        axes.set(xlabel=figure.axis)
        axes.margins(x=0.12, y=0.01)
    else:
        axes.set_xticks(places, figure.labels, rotation=30, ha="right", fontsize=_SMALL + 1)
        axes.set(ylabel=figure.axis)
        axes.margins(y=0.12)
    if series > 1:
        axes.legend(fontsize=_SMALL, frameon=False)
    axes.set_title(figure.title, fontsize=10)
    _bare(axes)
    return canvas


def _bare(*several: Axes) -> None:
    """Without the frame's upper and right sides."""
    for axes in several:
        axes.spines[["top", "right"]].set_visible(False)
