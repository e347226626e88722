"""Face perceivers, text readers, fusions and embedders with one fault each, and who finds it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from affectgraph.orchestrator.testing import FakeTextPerceiver, HashEmbedder, conformance
from affectgraph.orchestrator.testing.conformance.samples import WORDS
from affectgraph.orchestrator.testing.conformance.suite import Suite
from affectgraph.perceivers.affect import Affect, Distribution, Evidence, Modality, Reading
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import MediaError
from affectgraph.perceivers.fusion import LateFusion
from affectgraph.perceivers.labels import EKMAN_7, FERPLUS_8
from affectgraph.perceivers.turn import Turn

Failing = Callable[[type[Suite[Any, Any, Any]]], set[str]]

ANSWERS = "test_answers_keep_the_contract"


def changed(reading: Reading, **affect: Any) -> Reading:
    assert reading.affect is not None
    return reading.model_copy(update={"affect": reading.affect.model_copy(update=affect)})


class Looks:
    """A perceiver of faces that sees none."""

    modality: Modality = "face"

    async def warm_up(self) -> None:
        """Nothing."""

    async def perceive(self, turn: Turn) -> Reading:
        if not turn.images:
            return Reading.abstain("face", "absent", "no image")
        await BlockingPool().run(lambda: turn.images[0].pixels)
        return Reading.abstain("face", "no-face", "nobody in the image")


class RaisesAForeignError(Looks):
    async def perceive(self, turn: Turn) -> Reading:
        try:
            return await super().perceive(turn)
        except MediaError as error:
            raise OSError("broken file") from error


class GuessesFromABrokenFile(Looks):
    async def perceive(self, turn: Turn) -> Reading:
        try:
            return await super().perceive(turn)
        except MediaError:
            affect = Affect.read(Distribution.certain(EKMAN_7, "neutral"), turn.at)
            return Reading(modality="face", affect=affect, model="guess")


@pytest.mark.parametrize(
    ("broken", "checks"),
    [
        (Looks, set()),
        (RaisesAForeignError, {"test_broken_media_are_refused"}),
        (GuessesFromABrokenFile, {"test_broken_media_are_refused"}),
    ],
)
def test_what_a_perceiver_does_with_a_broken_file(
    broken: Callable[[], Any], checks: set[str], failing: Failing
) -> None:
    assert failing(conformance.perceiver(broken)) == checks


class Reads(FakeTextPerceiver):
    """A text reader with a fault in its ordinary readings."""

    def __init__(self, spoil: Callable[[Reading], Reading] = lambda reading: reading) -> None:
        super().__init__(seconds=0.002)
        self._spoil = spoil

    async def read(self, text: str, captured_at: datetime) -> Reading:
        reading = await super().read(text, captured_at)
        return self._spoil(reading) if text in WORDS else reading


class NeverReadsText(Reads):
    async def read(self, text: str, captured_at: datetime) -> Reading:
        return Reading.abstain("text", "too-short", "never long enough")


class ReadsSilence(Reads):
    async def read(self, text: str, captured_at: datetime) -> Reading:
        return self._reading(captured_at, len(text))


def later(reading: Reading) -> Reading:
    assert reading.affect is not None
    return changed(reading, captured_at=reading.affect.captured_at + timedelta(hours=1))


READERS: list[tuple[Callable[[], Any], str]] = [
    (lambda: Reads(lambda reading: reading.model_copy(update={"covers": 1})), ANSWERS),
    (lambda: Reads(lambda reading: reading.model_copy(update={"modality": "speech"})), ANSWERS),
    (lambda: Reads(later), ANSWERS),
    (NeverReadsText, "test_it_reads_what_it_is_for"),
    (ReadsSilence, "test_it_abstains_where_there_are_no_words"),
]


@pytest.mark.parametrize(("broken", "check"), READERS)
def test_a_fault_of_a_text_reader_is_found_by_one_check(
    broken: Callable[[], Any], check: str, failing: Failing
) -> None:
    assert failing(conformance.text_reader(broken)) == {check}


class OneEmotion(LateFusion):
    async def fuse(self, readings: Sequence[Reading]) -> Affect | None:
        affect = await super().fuse(readings)
        return affect and Affect.read(Distribution.certain(EKMAN_7, "joy"), affect.captured_at)


class NeutralByDefault(LateFusion):
    async def fuse(self, readings: Sequence[Reading]) -> Affect | None:
        affect = await super().fuse(readings)
        neutral = Distribution.certain(EKMAN_7, "neutral")
        return affect or Affect.read(neutral, datetime(2026, 1, 2, tzinfo=UTC))


class TakesTheFirst(LateFusion):
    async def fuse(self, readings: Sequence[Reading]) -> Affect | None:
        heard = [reading for reading in readings if reading.affect]
        return await super().fuse(heard[:1])


class DatesLate(LateFusion):
    async def fuse(self, readings: Sequence[Reading]) -> Affect | None:
        affect = await super().fuse(readings)
        late = {"captured_at": datetime(2999, 1, 1, tzinfo=UTC)}
        return affect and affect.model_copy(update=late)


class InventsEvidence(LateFusion):
    async def fuse(self, readings: Sequence[Reading]) -> Affect | None:
        affect = await super().fuse(readings)
        evidence = (Evidence(kind="span", start=0, end=1),)
        return affect and affect.model_copy(update={"evidence": evidence})


class SpeaksFerPlus(LateFusion):
    async def fuse(self, readings: Sequence[Reading]) -> Affect | None:
        affect = await super().fuse(readings)
        if affect is None:
            return None
        told = affect.distribution.as_dict()
        weights = {"happiness" if label == "joy" else label: p for label, p in told.items()}
        return affect.model_copy(update={"distribution": Distribution.over(FERPLUS_8, weights)})


FUSIONS: list[tuple[Callable[[], Any], str]] = [
    (OneEmotion, "test_agreement_is_kept"),
    (NeutralByDefault, "test_nothing_makes_nothing"),
    (TakesTheFirst, "test_the_order_of_readings_does_not_matter"),
    (DatesLate, ANSWERS),
    (InventsEvidence, ANSWERS),
    (SpeaksFerPlus, ANSWERS),
]


@pytest.mark.parametrize(("broken", "check"), FUSIONS)
def test_a_fault_of_a_fusion_is_found_by_one_check(
    broken: Callable[[], Any], check: str, failing: Failing
) -> None:
    assert failing(conformance.fusion(broken)) == {check}


class Embeds(HashEmbedder):
    """An embedder with a fault in some of its vectors."""

    def __init__(self, spoil: Callable[[list[str], list[list[float]]], Any]) -> None:
        super().__init__(seconds=0.002)
        self._spoil = spoil

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        vectors = await super().embed(texts)
        spoilt: list[list[float]] = self._spoil(list(texts), vectors)
        return spoilt


def doubled(texts: list[str], vectors: list[list[float]]) -> list[list[float]]:
    return [[2 * value for value in v] if v and WORDS[0] in texts else v for v in vectors]


def shared(texts: list[str], vectors: list[list[float]]) -> list[list[float]]:
    """Every text's vector leans on that of the last one beside it."""
    leaning = [[a + b for a, b in zip(v, vectors[-1], strict=True)] for v in vectors]
    return [[value / math.hypot(*v) for value in v] for v in leaning]


def same(texts: list[str], vectors: list[list[float]]) -> list[list[float]]:
    return [[1.0, *[0.0] * (len(v) - 1)] for v in vectors]


def one_short(texts: list[str], vectors: list[list[float]]) -> list[list[float]]:
    return vectors[:-1] if WORDS[0] in texts and len(texts) > 1 else vectors


def whole(texts: list[str], vectors: list[list[float]]) -> list[Any]:
    return [[1, *[0] * 63] if texts == [WORDS[0]] else v for v in vectors]


def nothing_of_nothing(texts: list[str], vectors: list[list[float]]) -> list[list[float]]:
    return [v if text else [0.0] * len(v) for text, v in zip(texts, vectors, strict=True)]


EMBEDDERS: list[tuple[Callable[..., Any], set[str]]] = [
    (doubled, {ANSWERS, "test_a_text_has_one_vector_whatever_stands_beside_it"}),
    (one_short, {ANSWERS, "test_a_text_has_one_vector_whatever_stands_beside_it"}),
    (whole, {ANSWERS, "test_a_text_has_one_vector_whatever_stands_beside_it"}),
    (nothing_of_nothing, {"test_odd_input_is_answered"}),
    (shared, {"test_a_text_has_one_vector_whatever_stands_beside_it"}),
    (same, {"test_texts_that_differ_have_vectors_that_differ"}),
]


@pytest.mark.parametrize(("spoil", "checks"), EMBEDDERS)
def test_a_fault_of_an_embedder_is_found(
    spoil: Callable[..., Any], checks: set[str], failing: Failing
) -> None:
    found = failing(conformance.embedder(lambda: Embeds(spoil)))
    assert found
    assert found <= checks
