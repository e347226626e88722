"""What a perceiver says of the person: distributions, affect, evidence, readings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

from affectgraph.perceivers.course import Course
from affectgraph.perceivers.labels import EMOTIONS, LabelSet, mapping
from affectgraph.perceivers.prosody import Prosody

Modality = Literal["text", "face", "speech"]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Distribution(_Frozen):
    """Probabilities over a label set.

    Attributes:
        label_set: Name of the set.
        labels: Its labels, in the set's order.
        probs: One probability per label; they sum to 1 (within 1e-3).
    """

    label_set: str
    labels: tuple[str, ...]
    probs: tuple[Probability, ...]

    @model_validator(mode="before")
    @classmethod
    def _from_json(cls, data: object) -> object:
        """Accept the printed form too: ``{"label_set": ..., "probs": {label: p}}``."""
        if isinstance(data, dict) and isinstance(data.get("probs"), dict):
            probs = data["probs"]
            return {**data, "labels": tuple(probs), "probs": tuple(probs.values())}
        return data

    @model_validator(mode="after")
    def _normal(self) -> Self:
        if len(self.labels) != len(self.probs):
            raise ValueError(f"{len(self.labels)} labels, {len(self.probs)} probabilities")
        if not math.isclose(sum(self.probs), 1.0, abs_tol=1e-3):
            raise ValueError(f"probabilities sum to {sum(self.probs):.4f}, not 1")
        return self

    @model_serializer
    def _printed(self) -> dict[str, object]:
        return {"label_set": self.label_set, "probs": self.as_dict()}

    @classmethod
    def over(cls, label_set: LabelSet, weights: Mapping[str, float]) -> Self:
        """Normalise non-negative weights over a label set; absent labels weigh nothing.

        Raises:
            ValueError: If a label is not in the set, a weight is negative or not finite, or all
                are zero.
        """
        unknown = sorted(set(weights) - set(label_set.labels))
        if unknown:
            raise ValueError(f"not in {label_set.name}: {', '.join(unknown)}")
        raw = [float(weights.get(label, 0.0)) for label in label_set.labels]
        total = sum(raw)
        if not math.isfinite(total) or min(raw) < 0 or total <= 0:
            raise ValueError(f"weights over {label_set.name} must be >= 0, finite and not all 0")
        return cls(
            label_set=label_set.name,
            labels=label_set.labels,
            probs=tuple(min(1.0, w / total) for w in raw),
        )

    @classmethod
    def certain(cls, label_set: LabelSet, label: str) -> Self:
        """All mass on one label."""
        return cls.over(label_set, {label: 1.0})

    @property
    def top(self) -> str:
        """The most probable label."""
        return self.labels[max(range(len(self.probs)), key=self.probs.__getitem__)]

    @property
    def top_p(self) -> float:
        """Probability of the most probable label."""
        return max(self.probs)

    def __getitem__(self, label: str) -> float:
        return self.probs[self.labels.index(label)]

    def as_dict(self) -> dict[str, float]:
        """Label to probability, in the set's order."""
        return dict(zip(self.labels, self.probs, strict=True))

    def to(self, target: LabelSet) -> Distribution:
        """Tell the same distribution over another emotion label set, by a declared mapping.

        Raises:
            BuildError: If no mapping between the sets is declared.
        """
        if target.name == self.label_set:
            return self
        probs = mapping(self.label_set, target.name).apply(self.probs)
        return Distribution.over(target, dict(zip(target.labels, probs, strict=True)))


class VAD(_Frozen):
    """Valence (unpleasant to pleasant), arousal (calm to excited), dominance, each in [-1, 1]."""

    valence: float = Field(ge=-1.0, le=1.0)
    arousal: float = Field(ge=-1.0, le=1.0)
    dominance: float = Field(ge=-1.0, le=1.0)


VAD_ANCHORS: Final[Mapping[str, VAD]] = MappingProxyType(
    {
        label: VAD(valence=v, arousal=a, dominance=d)
        for label, (v, a, d) in {
            "anger": (-0.51, 0.59, 0.25),
            "disgust": (-0.60, 0.35, 0.11),
            "fear": (-0.62, 0.82, -0.43),
            "joy": (0.81, 0.51, 0.46),
            "neutral": (0.0, 0.0, 0.0),
            "sadness": (-0.63, -0.27, -0.33),
            "surprise": (0.40, 0.67, -0.13),
        }.items()
    }
)
"""Anchors of the Ekman-7 labels: Russell and Mehrabian (1977), as used with PELD
(Wen et al. 2021). Other label sets are anchored through their mapping to Ekman-7."""


def expected_vad(distribution: Distribution) -> VAD:
    """Mean of the anchors under a distribution over any emotion set that maps to Ekman-7.

    Raises:
        BuildError: If the set has no declared mapping to Ekman-7.
    """
    basic = distribution.to(EMOTIONS["ekman-7"]).as_dict()

    def mean(axis: Literal["valence", "arousal", "dominance"]) -> float:
        total = sum(p * float(getattr(VAD_ANCHORS[label], axis)) for label, p in basic.items())
        return max(-1.0, min(1.0, total))

    return VAD(valence=mean("valence"), arousal=mean("arousal"), dominance=mean("dominance"))


class Box(_Frozen):
    """A rectangle in pixels of the original image, from the top-left corner."""

    x: int = Field(ge=0)
    y: int = Field(ge=0)
    width: int = Field(gt=0)
    height: int = Field(gt=0)


class Evidence(_Frozen):
    """What a reading rests on, so that a person can check it.

    Attributes:
        kind: ``box`` (a face), ``span`` (a stretch of words) or ``segment`` (of sound).
        box: The face, for ``box``.
        start: For ``span`` the first character, for ``segment`` the first second.
        end: One past the last character, or the last second.
        score: Detector's or recogniser's own score in [0, 1], where there is one.
    """

    kind: Literal["box", "span", "segment"]
    box: Box | None = None
    start: float | None = Field(default=None, ge=0)
    end: float | None = Field(default=None, ge=0)
    score: Probability | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.kind == "box" and self.box is None:
            raise ValueError("evidence of kind 'box' needs a box")
        if self.kind != "box" and (self.start is None or self.end is None or self.end < self.start):
            raise ValueError(f"evidence of kind {self.kind!r} needs start <= end")
        return self


class Affect(_Frozen):
    """How a person seems to be, as one source or a fusion of several tells it.

    Attributes:
        distribution: Probabilities over an emotion label set.
        vad: Valence, arousal, dominance in [-1, 1].
        vad_source: ``derived`` where ``vad`` follows from the distribution by
            :func:`expected_vad` (and so tells nothing that the distribution does not);
            ``measured`` where a model was trained to read it.
        confidence: Calibrated probability, in [0, 1], that the top label is right.
        evidence: What it rests on.
        captured_at: When what was perceived happened (time zone aware).
    """

    distribution: Distribution
    vad: VAD
    vad_source: Literal["derived", "measured"] = "derived"
    confidence: Probability
    evidence: tuple[Evidence, ...] = ()
    captured_at: datetime

    @model_validator(mode="after")
    def _aware(self) -> Self:
        if self.captured_at.tzinfo is None:
            raise ValueError("captured_at needs a time zone")
        return self

    @classmethod
    def read(
        cls,
        distribution: Distribution,
        captured_at: datetime,
        *,
        evidence: tuple[Evidence, ...] = (),
        vad: VAD | None = None,
    ) -> Self:
        """An affect whose confidence, and VAD unless measured, follow from a distribution.

        Args:
            distribution: Calibrated.
            captured_at: When what was perceived happened (time zone aware).
            evidence: What it rests on.
            vad: What a model measured; derived from the distribution if not given.
        """
        return cls(
            distribution=distribution,
            vad=expected_vad(distribution) if vad is None else vad,
            vad_source="derived" if vad is None else "measured",
            confidence=distribution.top_p,
            evidence=evidence,
            captured_at=captured_at,
        )

    @property
    def top(self) -> str:
        """The most probable label."""
        return self.distribution.top


class Abstention(_Frozen):
    """Why a perceiver says nothing of the person.

    Attributes:
        reason: A word to branch on. ``failed`` and ``timeout`` are set by the orchestrator.
        detail: One line for a person, without any user content.
    """

    reason: Literal[
        "no-consent", "absent", "no-face", "several-faces", "silence", "noise", "too-short",
        "low-quality", "unsupported-language", "failed", "timeout",
    ]  # fmt: skip
    detail: str


class Reading(_Frozen):
    """One modality's say in a turn: an affect, or an abstention with its reason.

    Attributes:
        modality: Which sense.
        affect: What was perceived.
        abstention: Why nothing was.
        transcript: The words that were heard; speech only, may stand beside an abstention.
        prosody: How they were said; speech only, may stand beside an abstention.
        course: How it changed over a video; face only, may stand beside an abstention.
        covers: How many characters of the utterance a text reading rests on. Of two text
            readings in a turn the one that covers more counts (see :func:`merge_readings`).
        model: Name and version of the model that read.
    """

    modality: Modality
    affect: Affect | None = None
    abstention: Abstention | None = None
    transcript: str | None = None
    prosody: Prosody | None = None
    course: Course | None = None
    covers: int = Field(default=0, ge=0)
    model: str = ""

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.affect is None) == (self.abstention is None):
            raise ValueError("a reading holds either an affect or an abstention")
        return self

    @classmethod
    def abstain(
        cls, modality: Modality, reason: str, detail: str, *, transcript: str | None = None
    ) -> Self:
        """A reading that says why it says nothing."""
        abstention = Abstention.model_validate({"reason": reason, "detail": detail})
        return cls(modality=modality, abstention=abstention, transcript=transcript)


def merge_readings(old: tuple[Reading, ...], new: tuple[Reading, ...]) -> tuple[Reading, ...]:
    """Keep one reading a modality: an affect before an abstention, then the wider cover.

    Commutative over a turn's readings, so that parallel perceivers may report in any order.
    """
    best: dict[Modality, Reading] = {}
    for reading in (*old, *new):
        held = best.get(reading.modality)
        if held is None or _rank(reading) > _rank(held):
            best[reading.modality] = reading
    return tuple(best[modality] for modality in sorted(best))


def _rank(reading: Reading) -> tuple[bool, int, str]:
    return (reading.affect is not None, reading.covers, reading.model_dump_json())
