"""Perceivers, each with one fault, and the check that finds it."""

from __future__ import annotations

import asyncio
import importlib
import logging
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from affectgraph.orchestrator.testing import conformance
from affectgraph.orchestrator.testing.conformance.perceiver import PerceiverSuite
from affectgraph.orchestrator.testing.conformance.samples import WORDS
from affectgraph.orchestrator.testing.conformance.suite import Suite
from affectgraph.perceivers.affect import VAD, Affect, Distribution, Evidence, Modality, Reading
from affectgraph.perceivers.labels import EKMAN_7
from affectgraph.perceivers.turn import Turn

Failing = Callable[[type[Suite[Any, Any, Any]]], set[str]]

ANSWERS = "test_answers_keep_the_contract"


@pytest.fixture(autouse=True)
def _nothing_blocks_the_loop() -> None:
    """Some of these parts block it on purpose."""


class Good:
    """A perceiver without a fault."""

    modality: Modality = "text"

    async def warm_up(self) -> None:
        await asyncio.sleep(0)

    async def perceive(self, turn: Turn) -> Reading:
        await asyncio.sleep(0.002)
        return self.reading(turn)

    def reading(self, turn: Turn) -> Reading:
        if not turn.text.strip():
            return Reading.abstain("text", "absent", "no words")
        return self.spoilt(turn, good_reading(turn)) if turn.text in WORDS else good_reading(turn)

    def spoilt(self, turn: Turn, reading: Reading) -> Reading:
        return reading


def good_reading(turn: Turn) -> Reading:
    loud = sum(c.isupper() for c in turn.text) / len(turn.text)
    belief = Distribution.over(EKMAN_7, {"anger": loud + 0.01, "neutral": 1 - loud})
    affect = Affect.read(belief, turn.at)
    return Reading(modality="text", affect=affect, covers=len(turn.text), model="good")


def changed(reading: Reading, **affect: Any) -> Reading:
    assert reading.affect is not None
    return reading.model_copy(update={"affect": reading.affect.model_copy(update=affect)})


class TakesAnothersModality(Good):
    def spoilt(self, turn: Turn, reading: Reading) -> Reading:
        return reading.model_copy(update={"modality": "face"})


class HearsWordsInText(Good):
    def spoilt(self, turn: Turn, reading: Reading) -> Reading:
        return reading.model_copy(update={"transcript": "hm"})


class UsesItsOwnLabels(Good):
    def spoilt(self, turn: Turn, reading: Reading) -> Reading:
        own = Distribution(label_set="mine-2", labels=("up", "down"), probs=(0.5, 0.5))
        return changed(reading, distribution=own)


class UsesLabelsInAnotherOrder(Good):
    def spoilt(self, turn: Turn, reading: Reading) -> Reading:
        labels = EKMAN_7.labels[::-1]
        own = Distribution(label_set="ekman-7", labels=labels, probs=(0.4, *[0.1] * 6))
        return changed(reading, distribution=own)


class DoesNotSumToOne(Good):
    def spoilt(self, turn: Turn, reading: Reading) -> Reading:
        own = Distribution.model_construct(
            label_set="ekman-7", labels=EKMAN_7.labels, probs=(0.9,) * 7
        )
        return changed(reading, distribution=own)


class IsOutOfRange(Good):
    def spoilt(self, turn: Turn, reading: Reading) -> Reading:
        return changed(reading, vad=VAD.model_construct(valence=3.0, arousal=0.0, dominance=0.0))


class DatesByTheClock(Good):
    def spoilt(self, turn: Turn, reading: Reading) -> Reading:
        return changed(reading, captured_at=datetime(2999, 1, 1, tzinfo=UTC))


class PointsBehindTheText(Good):
    def spoilt(self, turn: Turn, reading: Reading) -> Reading:
        end = len(turn.text) + 1
        return changed(reading, evidence=(Evidence(kind="span", start=0, end=end),))


class CoversNothing(Good):
    def spoilt(self, turn: Turn, reading: Reading) -> Reading:
        return reading.model_copy(update={"covers": 0})


class NamesNoModel(Good):
    def spoilt(self, turn: Turn, reading: Reading) -> Reading:
        return reading.model_copy(update={"model": ""})


class ClaimsATimeout(Good):
    def spoilt(self, turn: Turn, reading: Reading) -> Reading:
        if turn.text != WORDS[0]:
            return reading
        return Reading.abstain("text", "timeout", "I was too slow")


class GivesADictionary(Good):
    def spoilt(self, turn: Turn, reading: Reading) -> Reading:
        return reading.model_dump()  # type: ignore[return-value]


class CannotReadOneMark(Good):
    def reading(self, turn: Turn) -> Reading:
        if turn.text.strip() and not any(c.isalnum() for c in turn.text):
            raise ZeroDivisionError
        return super().reading(turn)


class LowersTheTurn(Good):
    async def perceive(self, turn: Turn) -> Reading:
        turn.__dict__["text"] = turn.text.lower()
        return await super().perceive(turn)


class Drifts(Good):
    calls = 0

    def spoilt(self, turn: Turn, reading: Reading) -> Reading:
        self.calls += 1
        return changed(reading, confidence=1 / self.calls)


class Logs(Good):
    async def perceive(self, turn: Turn) -> Reading:
        logging.getLogger("logs").debug("reading %s", turn.text)
        return await super().perceive(turn)


class Prints(Good):
    async def perceive(self, turn: Turn) -> Reading:
        print(turn.text, file=sys.stderr)  # noqa: T201 - the fault
        return await super().perceive(turn)


class Traces(Good):
    async def perceive(self, turn: Turn) -> Reading:
        from affectgraph.perceivers.tracing import span

        with span("perceive", {"words": turn.text}):
            return await super().perceive(turn)


class Sleeps(Good):
    async def perceive(self, turn: Turn) -> Reading:
        time.sleep(0.001)  # noqa: ASYNC251 - the fault
        return await super().perceive(turn)


class Computes(Good):
    def spoilt(self, turn: Turn, reading: Reading) -> Reading:
        until = time.thread_time() + (0.15 if turn.text == WORDS[-1] else 0.0)
        while time.thread_time() < until:
            pass
        return reading


class WarmsUpOnce(Good):
    warm = False

    async def warm_up(self) -> None:
        if self.warm:
            raise RuntimeError("warm already")
        self.warm = True


class NeedsWarmingUp(Good):
    warm = False

    async def warm_up(self) -> None:
        await asyncio.sleep(0.005)
        self.warm = True

    async def perceive(self, turn: Turn) -> Reading:
        if not self.warm:
            raise RuntimeError("not loaded")
        return await super().perceive(turn)


class GuessesUntilItIsWarm(NeedsWarmingUp):
    async def perceive(self, turn: Turn) -> Reading:
        reading = await Good.perceive(self, turn)
        return reading if self.warm or not reading.affect else changed(reading, confidence=0.1)


class KeepsTheTurnInItself(Good):
    async def perceive(self, turn: Turn) -> Reading:
        self.turn = turn
        await asyncio.sleep(0.002)
        return self.reading(self.turn)


class SwallowsCancellation(Good):
    async def perceive(self, turn: Turn) -> Reading:
        try:
            return await super().perceive(turn)
        except asyncio.CancelledError:
            return self.reading(turn)


class IsBrokenByCancellation(Good):
    broken = False

    async def perceive(self, turn: Turn) -> Reading:
        if self.broken:
            raise RuntimeError("the session is lost")
        try:
            return await super().perceive(turn)
        except asyncio.CancelledError:
            self.broken = True
            raise


class LeavesATask(Good):
    async def perceive(self, turn: Turn) -> Reading:
        self.task = asyncio.create_task(asyncio.sleep(60))
        return await super().perceive(turn)


class LeavesAThread(Good):
    async def perceive(self, turn: Turn) -> Reading:
        threading.Thread(target=time.sleep, args=(0.3,)).start()
        return await super().perceive(turn)


class HasNoWarmUp(Good):
    warm_up: Any = None


class LoadsWhenMade(Good):
    def __init__(self) -> None:
        with suppress(ImportError):
            importlib.import_module("tensorflow.keras")


class StartsAThreadWhenMade(Good):
    def __init__(self) -> None:
        threading.Thread(target=time.sleep, args=(0.1,), daemon=True).start()


class NeverReads(Good):
    def reading(self, turn: Turn) -> Reading:
        return Reading.abstain("text", "too-short", "never long enough")


class ReadsNothingAsNeutral(Good):
    def reading(self, turn: Turn) -> Reading:
        return good_reading(turn)


class RaisesOnNothing(Good):
    def reading(self, turn: Turn) -> Reading:
        if not turn.text.strip():
            raise ValueError
        return super().reading(turn)


class SmellsAtTimes(Good):
    made = 0

    def __init__(self) -> None:
        type(self).made += 1
        # The suite asks two parts at once for their modality in one check only.
        self.modality = "text" if type(self).made % 2 else "smell"  # type: ignore[assignment]


PERCEIVERS: list[tuple[Callable[[], Any], str]] = [
    *[
        (broken, ANSWERS)
        for broken in (
            TakesAnothersModality,
            HearsWordsInText,
            UsesItsOwnLabels,
            UsesLabelsInAnotherOrder,
            DoesNotSumToOne,
            IsOutOfRange,
            DatesByTheClock,
            PointsBehindTheText,
            CoversNothing,
            NamesNoModel,
            ClaimsATimeout,
        )
    ],
    (CannotReadOneMark, "test_odd_input_is_answered"),
    (LowersTheTurn, "test_input_is_left_as_it_is"),
    (Drifts, "test_it_is_deterministic_or_says_that_it_is_not"),
    (Logs, "test_the_persons_words_are_not_told"),
    (Prints, "test_the_persons_words_are_not_told"),
    (Traces, "test_the_persons_words_are_not_told"),
    (Sleeps, "test_the_event_loop_is_not_blocked"),
    (Computes, "test_the_event_loop_is_not_blocked"),
    (WarmsUpOnce, "test_warming_up_twice_or_at_once_is_harmless"),
    (NeedsWarmingUp, "test_it_answers_while_it_is_warming_up"),
    (GuessesUntilItIsWarm, "test_it_answers_while_it_is_warming_up"),
    (KeepsTheTurnInItself, "test_calls_side_by_side_do_not_mix"),
    (SwallowsCancellation, "test_cancelling_ends_a_call"),
    (IsBrokenByCancellation, "test_cancelling_ends_a_call"),
    (LeavesATask, "test_nothing_is_left_running"),
    (LeavesAThread, "test_nothing_is_left_running"),
    (HasNoWarmUp, "test_it_has_what_the_contract_names"),
    (LoadsWhenMade, "test_its_constructor_is_light"),
    (StartsAThreadWhenMade, "test_its_constructor_is_light"),
    (NeverReads, "test_it_reads_what_it_is_for"),
    (ReadsNothingAsNeutral, "test_it_abstains_where_there_is_nothing_to_read"),
    (RaisesOnNothing, "test_it_abstains_where_there_is_nothing_to_read"),
]


@pytest.mark.parametrize(("broken", "check"), PERCEIVERS)
def test_a_fault_of_a_perceiver_is_found_by_one_check(
    broken: Callable[[], Any], check: str, failing: Failing
) -> None:
    assert failing(conformance.perceiver(broken)) == {check}


def test_a_part_of_another_type_altogether_fails_too(failing: Failing) -> None:
    assert ANSWERS in failing(conformance.perceiver(GivesADictionary))


def test_a_modality_that_changes_is_found() -> None:
    suite = conformance.perceiver(SmellsAtTimes)
    with pytest.raises(conformance.NonconformityError, match="always the same"):
        suite().test_its_modality_is_known_and_constant()


def test_a_module_that_imports_heavily_is_found(
    failing: Failing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tensorflow.py").write_text("")
    (tmp_path / "heavy_perceiver.py").write_text(
        "import tensorflow\n"
        "from affectgraph.orchestrator.testing import FakeTextPerceiver\n"
        "class Heavy(FakeTextPerceiver): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import heavy_perceiver  # type: ignore[import-not-found]

    found = failing(conformance.perceiver(heavy_perceiver.Heavy))
    for module in ("tensorflow", "heavy_perceiver"):
        monkeypatch.delitem(sys.modules, module)
    assert found == {"test_its_module_imports_light"}


def test_a_perceiver_without_a_fault_passes(failing: Failing) -> None:
    assert failing(conformance.perceiver(Good)) == set()


def test_what_cannot_be_deterministic_says_so(failing: Failing) -> None:
    assert failing(conformance.perceiver(Drifts, deterministic=False)) == set()


def test_every_check_finds_something() -> None:
    found = {check for _, check in PERCEIVERS}
    apart = {
        "test_broken_media_are_refused",
        "test_its_modality_is_known_and_constant",
        "test_its_module_imports_light",
    }
    checks = {name for name in dir(PerceiverSuite) if name.startswith("test_")}
    assert checks - apart == found
