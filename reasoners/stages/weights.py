"""How much each expert counts: exponents fitted for each company of experts.

An expert is first calibrated, ``q = (1 - f) p^(1/T) / Z + f / k`` with its temperature T (Guo et
al. 2017) and the share f that is spread evenly, so that it vetoes nothing. Then the stage's
belief is the product ``Π q_i^w_i`` (Hinton 2002), its exponents w fitted for just the experts
that spoke, as late fusion does it for modalities.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import ModelCorruptError
from affectgraph.perceivers.labels import LabelSet
from affectgraph.reasoners.beliefs import floored, product
from affectgraph.reasoners.plan import LabelStageName

EXPERTS: Final = Path(__file__).parents[1] / "data" / "experts.json"
"""Written by ``python -m affectgraph.reasoners.training.experts``, which says on what."""
ANY: Final = "*"
ASSUMED: Final[Mapping[str, float]] = MappingProxyType({"score": 0.5, "choice": 0.3})
"""Exponents where nothing was fitted for a company: 1, and less for a language model of which
nobody has measured how well it scores or chooses. An assumption."""
UNFITTED_FLOOR: Final = 0.05
"""Of an expert that nothing was fitted for, so that it vetoes nothing; an assumption too."""

_LM: Final = frozenset({"score", "choice"})


@dataclass(frozen=True)
class Calibration:
    """What makes an expert's probabilities honest.

    Attributes:
        temperature: Above 1 for one that is too sure; above 0.
        floor: Share that is spread evenly, in [0, 1).
    """

    temperature: float = 1.0
    floor: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf") or not 0 <= self.floor < 1:
            raise ValueError("a temperature is above 0 and a floor in [0, 1)")

    def apply(self, distribution: Distribution, labels: LabelSet) -> Distribution:
        """The calibrated distribution."""
        if self.temperature != 1.0:
            distribution = product(labels, (distribution, 1 / self.temperature))
        return floored(distribution, labels, self.floor) if self.floor else distribution


@dataclass(frozen=True)
class Company:
    """Exponents of the experts of one company.

    Attributes:
        stage: The label stage.
        labels: Name of its label set.
        model: The language model that scored or chose; ``*`` where none did.
        exponents: Expert -> exponent, 0 or more.
    """

    stage: LabelStageName
    labels: str
    model: str
    exponents: Mapping[str, float]

    def __post_init__(self) -> None:
        if not self.exponents or any(not 0 <= w < float("inf") for w in self.exponents.values()):
            raise ValueError("exponents are 0 or more, of one expert or more")


@dataclass(frozen=True)
class Weights:
    """Fitted calibrations and exponents.

    Attributes:
        companies: What was fitted.
        calibrations: (stage, label set, model or ``*``, expert) -> calibration.
    """

    companies: tuple[Company, ...] = ()
    calibrations: Mapping[tuple[str, str, str, str], Calibration] = field(
        default_factory=lambda: MappingProxyType({})
    )

    def exponents(
        self, stage: LabelStageName, labels: LabelSet, model: str, experts: Collection[str]
    ) -> dict[str, float]:
        """Exponents for the experts that spoke.

        Those fitted for just this company with this model; else with the same model over another
        label set of the stage; else those of the smallest fitted company that holds it; else
        those of the largest that it holds, and for the rest 1, or :data:`ASSUMED`. A model that
        was tuned out of a fitted one (``NAME-more``) scores as that does; how it chooses is what
        tuning changes.
        """
        wanted = set(experts)
        mine = sorted(
            (c for c in self.companies if c.stage == stage and _of(c.model, model, c.exponents)),
            key=lambda c: c.model != model,
        )
        same = [c for c in mine if c.labels == labels.name]
        for found in (
            [c for c in same if set(c.exponents) == wanted],
            [c for c in mine if set(c.exponents) == wanted],
            sorted((c for c in same if set(c.exponents) > wanted), key=lambda c: len(c.exponents)),
        ):
            if found:
                return {name: found[0].exponents[name] for name in experts}
        assumed = {name: ASSUMED.get(name, 1.0) for name in experts}
        held = [c for c in same if set(c.exponents) < wanted]
        largest = max(held, key=lambda c: len(c.exponents), default=None)
        return assumed if largest is None else {**assumed, **largest.exponents}

    def calibration(
        self, stage: LabelStageName, labels: LabelSet, model: str, expert: str
    ) -> Calibration:
        """What an expert is calibrated by; where nothing was fitted, it vetoes nothing.

        A rule is taken as it is: its zeros are meant.
        """
        if expert == "rule":
            return Calibration()
        kept = sorted(self.calibrations.items(), key=lambda item: item[0][2] != model)
        for (where, over, whose, name), found in kept:
            known = (where, over, name) == (stage, labels.name, expert)
            if known and _of(whose, model, (expert,)) and (whose == ANY) == (expert not in _LM):
                return found
        return Calibration(floor=UNFITTED_FLOOR)

    @classmethod
    def parse(cls, stored: Mapping[str, Any]) -> Weights:
        """Read what :meth:`printed` gives.

        Raises:
            ValueError, KeyError, TypeError: If it is not in that form.
        """
        companies = tuple(
            Company(
                each["stage"],
                str(each["labels"]),
                str(each["model"]),
                {str(k): float(v) for k, v in each["exponents"].items()},
            )
            for each in stored["companies"]
        )
        calibrations = {
            (each["stage"], each["labels"], each["model"], each["expert"]): Calibration(
                float(each["temperature"]), float(each["floor"])
            )
            for each in stored["calibrations"]
        }
        return cls(companies, calibrations)

    def printed(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "calibrations": [
                {
                    "stage": stage,
                    "labels": labels,
                    "model": model,
                    "expert": expert,
                    "temperature": each.temperature,
                    "floor": each.floor,
                }
                for (stage, labels, model, expert), each in self.calibrations.items()
            ],
            "companies": [
                {
                    "stage": each.stage,
                    "labels": each.labels,
                    "model": each.model,
                    "exponents": dict(each.exponents),
                }
                for each in self.companies
            ],
        }


def _of(fitted: str, model: str, experts: Collection[str]) -> bool:
    """Whether what was fitted for a model tells of another one, or of any."""
    tuned = "choice" not in experts and model.startswith(f"{fitted}-")
    return fitted in (model, ANY) or tuned


class WeightsFile:
    """Weights that are read from a file when they are first needed.

    Args:
        path: The file; by default what ships.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or EXPERTS
        self._weights: Weights | None = None
        self._pool = BlockingPool(size=1)
        self._reading = threading.Lock()

    async def load(self) -> Weights:
        """The weights; read once.

        Raises:
            ModelCorruptError: If the file is absent or not of weights.
        """
        if self._weights is None:
            await self._pool.run(self._read)
        assert self._weights is not None
        return self._weights

    def _read(self) -> None:
        with self._reading:
            if self._weights is not None:
                return
            try:
                stored = json.loads(self._path.read_text(encoding="utf-8"))
                self._weights = Weights.parse(stored)
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise ModelCorruptError(
                    f"{self._path.name}: no weights of experts ({type(error).__name__}); write"
                    " them by python -m affectgraph.reasoners.training.experts"
                ) from error


def merged(old: Weights, new: Weights) -> Weights:
    """Weights with what was fitted anew, for a stage and a model, in place of the old."""
    renewed = {(c.stage, c.model) for c in new.companies}
    return Weights(
        tuple(c for c in old.companies if (c.stage, c.model) not in renewed) + new.companies,
        {
            **{k: c for k, c in old.calibrations.items() if (k[0], k[2]) not in renewed},
            **new.calibrations,
        },
    )
