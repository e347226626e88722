"""Checks of the values that parts give: distributions, affects, readings, decisions, verdicts."""

from __future__ import annotations

import math
import re
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from affectgraph.orchestrator.testing.conformance.basics import NonconformityError, want
from affectgraph.perceivers.affect import Affect, Distribution, Evidence, Reading
from affectgraph.perceivers.errors import BuildError
from affectgraph.perceivers.labels import EKMAN_7, EMOTIONS
from affectgraph.policies.verdict import Verdict
from affectgraph.reasoners.plan import Decision

CODE: Final = re.compile(r"[a-z0-9][a-z0-9:._-]{0,63}")
"""A reason that a program can branch on and that holds no words of a person."""


def verify_model(value: Any, kind: type[BaseModel], who: str) -> None:
    """The value is of its type, and would pass that type's own checks."""
    want(isinstance(value, kind), f"{who} gives a {kind.__name__}, not a {type(value).__name__}.")
    try:
        kind.model_validate(value.model_dump())
    except ValidationError as error:
        faults = {".".join(map(str, fault["loc"])) or "it" for fault in error.errors()}
        raise NonconformityError(
            f"{who} gives a {kind.__name__} whose values are in range: look at"
            f" {', '.join(sorted(faults))}."
        ) from None


def verify_emotions(distribution: Distribution, who: str) -> None:
    """A distribution over a registered emotion label set that others can translate."""
    known = EMOTIONS.get(distribution.label_set)
    want(
        known is not None and distribution.labels == known.labels,
        f"{who} uses a registered emotion label set, with its labels in their order: one of"
        f" {', '.join(EMOTIONS)}.",
    )
    try:
        distribution.to(EKMAN_7)
    except BuildError as error:
        raise NonconformityError(
            f"{who} uses a label set with a declared mapping to {EKMAN_7.name}."
        ) from error


def verify_affect(affect: Any, who: str) -> None:
    """An affect in range, over a registered label set."""
    verify_model(affect, Affect, who)
    verify_emotions(affect.distribution, who)
    numbers = (affect.confidence, *affect.vad.model_dump().values(), *affect.distribution.probs)
    want(all(map(math.isfinite, numbers)), f"{who} gives finite numbers.")


def verify_reading(reading: Any, who: str) -> None:
    """A reading with an affect in range or a reason of its own."""
    verify_model(reading, Reading, who)
    if reading.affect is not None:
        verify_affect(reading.affect, who)
        want(reading.model, f"{who} names the model and version that read, in Reading.model.")
    else:
        want(
            reading.abstention.reason not in ("failed", "timeout"),
            f"{who} abstains for a reason of its own: 'failed' and 'timeout' are the"
            " orchestrator's.",
        )


def verify_span(evidence: Evidence, text: str, who: str) -> None:
    """Evidence in words that points into them."""
    want(
        evidence.kind == "span"
        and evidence.start is not None
        and evidence.end is not None
        and evidence.start < evidence.end <= len(text)
        and float(evidence.start).is_integer()
        and float(evidence.end).is_integer(),
        f"{who} gives as evidence stretches of the text: whole numbers, start < end <= length.",
    )


def verify_decision(decision: Any, stage: str, who: str) -> None:
    """A decision for a stage: the label is one that has weight."""
    verify_model(decision, Decision, who)
    want(decision.stage == stage, f"{who} decides the label of its own stage.")
    belief = decision.distribution.as_dict()
    want(
        belief.get(decision.label, 0.0) > 0,
        f"{who} decides a label that its distribution gives weight to.",
    )
    want(decision.source, f"{who} names in Decision.source what decided.")


def verify_verdict(verdict: Any, name: str, who: str) -> None:
    """A verdict with codes for reasons, under the policy's own name."""
    verify_model(verdict, Verdict, who)
    want(verdict.policy == name, f"{who} puts its own name into its verdicts.")
    want(
        verdict.action == "allow" or verdict.reasons,
        f"{who} gives a reason for whatever it does not allow.",
    )
    want(
        all(CODE.fullmatch(reason) for reason in verdict.reasons),
        f"{who} gives short codes as reasons, such as 'method-information', and no words of the"
        " person.",
    )
    replaces = verdict.action in ("revise", "replace")
    want(
        bool(verdict.replacement and verdict.replacement.strip()) == replaces,
        f"{who} gives a replacement with 'revise' and 'replace', and with nothing else.",
    )
