"""Two results of the same task beside each other: is one system better than the other?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from affectgraph.orchestrator.evaluation.bootstrap import Bootstrap
from affectgraph.orchestrator.evaluation.metrics import METRICS, difference
from affectgraph.orchestrator.evaluation.result import Estimate, Kept, finite
from affectgraph.perceivers.errors import InputError


@dataclass(frozen=True)
class Difference:
    """One figure of two results.

    Attributes:
        title: The table.
        metric: The metric.
        first: Of the first result.
        second: Of the second.
        gain: ``second - first``; with a paired interval if both results kept their rows.
    """

    title: str
    metric: str
    first: float
    second: float
    gain: Estimate

    def as_json(self) -> dict[str, Any]:
        """Plain data; what is undefined is null."""
        return {
            "title": self.title, "metric": self.metric, "first": finite(self.first),
            "second": finite(self.second), "gain": self.gain.as_json(),
        }  # fmt: skip


def compare(first: Path, second: Path, bootstrap: Bootstrap) -> tuple[Difference, ...]:
    """Compare two files that ``affectgraph eval NAME --json`` printed.

    With ``--rows`` in both, the difference has a paired bootstrap interval: both systems are
    judged on the same draws of rows.

    Raises:
        InputError: If a file is no such result, the tasks differ, or nothing is in both.
    """
    a, b = _read(first), _read(second)
    if a["name"] != b["name"]:
        raise InputError(
            f"{first} is of {a['name']}, {second} of {b['name']}: compare like with like"
        )
    plain = tuple(_plain(a, b))
    printed = frozenset((each.title, each.metric) for each in plain)
    paired = tuple(_paired(_kept(a, first), _kept(b, second), bootstrap, printed))
    done = {(each.title, each.metric) for each in paired}
    plain = tuple(each for each in plain if (each.title, each.metric) not in done)
    if not paired and not plain:
        raise InputError(f"{first} and {second} have no figure in common")
    return paired + plain


def _read(file: Path) -> dict[str, Any]:
    try:
        read = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{file}: {(error.strerror or 'cannot be read').lower()}") from error
    except ValueError:
        raise InputError(f"{file}: not JSON") from None
    if (
        not isinstance(read, dict)
        or not isinstance(read.get("metrics"), dict)
        or "name" not in read
    ):
        raise InputError(f"{file}: not what `affectgraph eval NAME --json` prints")
    return read


def _kept(result: Mapping[str, Any], file: Path) -> dict[str, Kept]:
    try:
        return {
            row["name"]: Kept(
                row["name"],
                row["metric"],
                np.array(row["truth"]),
                np.array(row["told"]),
                None if row["groups"] is None else np.array(row["groups"]),
            )
            for row in result.get("rows", [])
        }
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{file}: its rows are not what --rows prints") from None


def _paired(
    first: Mapping[str, Kept],
    second: Mapping[str, Kept],
    bootstrap: Bootstrap,
    printed: frozenset[tuple[str, str]],
) -> Iterator[Difference]:
    for name, a in first.items():
        b = second.get(name)
        if b is None or a.metric != b.metric or a.metric not in METRICS:
            continue
        if not np.array_equal(a.truth, b.truth) or a.told.shape != b.told.shape:
            raise InputError(
                f"{name}: the two results are of different rows; use the same --limit and --seed"
            )
        # Rows that serve one metric serve every other of the kind that both tables print.
        own = METRICS[a.metric]
        for metric in dict.fromkeys((own, *METRICS.values())):
            if metric is own or (metric.takes == own.takes and (name, metric.name) in printed):
                gain = difference(metric, a.truth, b.told, a.told, bootstrap, a.groups)
                before, after = metric.score(a.truth, a.told), metric.score(b.truth, b.told)
                yield Difference(name, metric.name, before, after, gain)


def _plain(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Difference]:
    """Differences of printed figures, where a table has one row of ours in both."""
    for title, rows in a["metrics"].items():
        others = b["metrics"].get(title, {})
        if len(rows) != 1 or len(others) != 1:
            continue
        (ours,), (other,) = rows.values(), others.values()
        for metric, told in ours.items():
            if not isinstance(told, dict) or metric not in other:
                continue  # the number of rows, a note
            first, second = told["value"], other[metric]["value"]
            if first is not None and second is not None:
                yield Difference(title, metric, first, second, Estimate(second - first))
