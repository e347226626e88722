"""The table of docs/reasoner.md, from ``data/experts.json``.

``python -m affectgraph.reasoners.training.experts_table`` prints it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from affectgraph.reasoners.stages.weights import EXPERTS

_HEAD: Final = (
    "| stage | model | experts | exponents | rows | fitted | without the choice | exponents 1"
    " | uncalibrated | best alone | frequencies |\n|---|---|---|---|---|---|---|---|---|---|---|"
)


def table(fitted: Sequence[Mapping[str, Any]]) -> str:
    """One row for each company: held-out log-loss / accuracy in percent.

    Args:
        fitted: The reports of the file.
    """
    return "\n".join([_HEAD, *map(_row, fitted)])


def _row(report: Mapping[str, Any]) -> str:
    exponents = ", ".join(f"{name} {w:g}" for name, w in report["exponents"].items())
    best = min(report["alone"].values(), key=lambda each: float(each["log_loss"]))
    told = [report.get(key) for key in ("fitted", "unasked", "equal", "raw")]
    measured = " | ".join(_measured(each) for each in (*told, best, report["prior"]))
    model = "none" if report["model"] == "*" else report["model"]
    return (
        f"| {report['stage']}, {report['labels']} | {model} | {report['experts']} | {exponents}"
        f" | {report['fitted']['rows']} | {measured} |"
    )


def _measured(each: Mapping[str, Any] | None) -> str:
    if each is None:
        return ""
    return f"{each['log_loss']:.3f} / {100 * each['accuracy']:.1f}"


def main() -> None:
    """Print the table of the file that ships."""
    stored = json.loads(EXPERTS.read_text(encoding="utf-8"))
    sys.stdout.write(table(stored["fitted"]) + "\n")


if __name__ == "__main__":
    main()
