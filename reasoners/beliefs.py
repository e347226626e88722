"""Products and powers of distributions over labels."""

from __future__ import annotations

import math
from collections.abc import Collection

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.labels import LabelSet


def product(labels: LabelSet, *experts: tuple[Distribution, float]) -> Distribution:
    """Product of experts (Hinton 2002): each to its power, multiplied, normalised.

    Args:
        labels: The set of the result.
        experts: Distributions over labels of the set, each with its exponent, 0 or more. A label
            that one of them gives no weight has none in the product; one with exponent 0 says
            nothing.

    Raises:
        ValueError: If an exponent is below 0, or no label has a weight with all of them.
    """
    logs = dict.fromkeys(labels.labels, 0.0)
    for distribution, exponent in experts:
        if exponent < 0:
            raise ValueError("an expert's exponent is 0 or more")
        if exponent == 0:
            continue
        known = distribution.as_dict()
        for label in logs:
            p = known.get(label, 0.0)
            logs[label] += exponent * math.log(p) if p > 0 else -math.inf
    # Shifted by the largest, so that high powers do not all vanish.
    top = max(logs.values())
    if top == -math.inf:
        raise ValueError(f"no label of {labels.name} has a weight with every expert")
    return Distribution.over(labels, {label: math.exp(v - top) for label, v in logs.items()})


def floored(distribution: Distribution, labels: LabelSet, floor: float) -> Distribution:
    """A distribution with ``floor`` of its mass spread evenly, so that it vetoes nothing."""
    known = distribution.as_dict()
    even = floor / len(labels)
    return Distribution.over(
        labels, {label: (1 - floor) * known.get(label, 0.0) + even for label in labels.labels}
    )


def within(labels: LabelSet, distribution: Distribution, allowed: Collection[str]) -> Distribution:
    """A distribution with no mass but on what is allowed; even there if it had none."""
    kept = {label: p for label, p in distribution.as_dict().items() if label in allowed}
    if not any(kept.values()):
        kept = dict.fromkeys(allowed, 1.0)
    return Distribution.over(labels, kept)
