"""Memories, each with one fault, and the check that finds it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from affectgraph.memory.record import Cue, MemoryRecord, Recollection
from affectgraph.orchestrator.testing import ListMemory, conformance
from affectgraph.orchestrator.testing.conformance.memory import MemoryOnDiskSuite
from affectgraph.orchestrator.testing.conformance.samples import WORDS
from affectgraph.orchestrator.testing.conformance.suite import Suite
from affectgraph.perceivers.blocking import BlockingPool

Failing = Callable[[type[Suite[Any, Any, Any]]], set[str]]

ANSWERS = "test_answers_keep_the_contract"


@pytest.fixture(autouse=True)
def _nothing_blocks_the_loop() -> None:
    """One of these memories writes its file on the loop."""


class Quick(ListMemory):
    def __init__(self) -> None:
        super().__init__(seconds=0.0005)


class FarthestFirst(Quick):
    async def recall(self, cue: Cue) -> Sequence[Recollection]:
        found = list(await super().recall(cue))
        return found[::-1] if cue.text in WORDS and cue.limit == 2 else found


class TooMany(Quick):
    async def recall(self, cue: Cue) -> Sequence[Recollection]:
        return await super().recall(cue.model_copy(update={"limit": cue.limit + 1}))


class Rewords(Quick):
    async def recall(self, cue: Cue) -> Sequence[Recollection]:
        found = await super().recall(cue)
        return [
            each.model_copy(update={"record": each.record.model_copy(update={"reply": ""})})
            for each in found
        ]


class RecallsTheOldest(Quick):
    async def recall(self, cue: Cue) -> Sequence[Recollection]:
        found = await super().recall(cue.model_copy(update={"limit": 50}))
        oldest = sorted(found, key=lambda each: each.record.at)[::-1]
        return [each.model_copy(update={"distance": 0.5}) for each in oldest[: cue.limit]]


class KeepsTwo(Quick):
    async def remember(self, record: MemoryRecord) -> None:
        await asyncio.sleep(0)
        self.records.append(record)


class ExportsInOrderOfWriting(Quick):
    async def export(self, user: str) -> Sequence[MemoryRecord]:
        return [record for record in self.records if record.user == user]


class HidesTheHardMoments(Quick):
    async def export(self, user: str) -> Sequence[MemoryRecord]:
        return [r for r in await super().export(user) if r.risk_level < 3]


class FoldsNames(Quick):
    """Takes names that differ in case for one."""

    async def recall(self, cue: Cue) -> Sequence[Recollection]:
        name, users = cue.user.casefold(), {record.user for record in self.records}
        known = [user for user in sorted(users) if user.casefold() == name]
        same = known[0] if known else cue.user
        return await super().recall(cue.model_copy(update={"user": same}))


class ErasesNothing(Quick):
    async def erase(self, user: str) -> int:
        return sum(record.user == user for record in self.records)


class ErasesEverybody(Quick):
    async def erase(self, user: str) -> int:
        count = sum(record.user == user for record in self.records)
        self.records = []
        return count


class LosesParallelWrites(Quick):
    async def remember(self, record: MemoryRecord) -> None:
        records = list(self.records)
        await asyncio.sleep(0.0005)
        if record not in records:
            self.records = [*records, record]


class LogsWhatItKeeps(Quick):
    async def remember(self, record: MemoryRecord) -> None:
        logging.getLogger("memory").info("remembering %r", record)
        await super().remember(record)


class ClosesOnce(Quick):
    closed = False

    async def close(self) -> None:
        if self.closed:
            raise RuntimeError("closed already")
        self.closed = True


MEMORIES: list[tuple[Callable[[], Any], set[str]]] = [
    (FarthestFirst, {ANSWERS, "test_what_was_remembered_is_recalled"}),
    (TooMany, {ANSWERS}),
    (Rewords, {ANSWERS, "test_odd_input_is_answered", "test_what_was_remembered_is_recalled"}),
    (RecallsTheOldest, {"test_what_was_remembered_is_recalled"}),
    (KeepsTwo, {"test_remembering_twice_keeps_one"}),
    (HidesTheHardMoments, {"test_export_gives_everything_of_a_person_oldest_first"}),
    (ErasesNothing, {"test_erase_empties_one_person_and_no_other"}),
    (ErasesEverybody, {"test_erase_empties_one_person_and_no_other"}),
    (LosesParallelWrites, {"test_writing_side_by_side_loses_nothing"}),
    (LogsWhatItKeeps, {"test_writing_tells_nobody"}),
    (ClosesOnce, {"test_closing_is_safe"}),
    (FoldsNames, {"test_users_never_cross"}),
    (ExportsInOrderOfWriting, {"test_export_gives_everything_of_a_person_oldest_first"}),
]


@pytest.mark.parametrize(("broken", "checks"), MEMORIES)
def test_a_fault_of_a_memory_is_found(
    broken: Callable[[], Any], checks: set[str], failing: Failing
) -> None:
    assert failing(conformance.memory(broken)) == checks


class FileMemory(Quick):
    """A memory that keeps a file beside its list, as a log that is never rewritten."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._file = folder / "records.jsonl"
        self._pool = BlockingPool(1)

    async def warm_up(self) -> None:
        self.records = await self._pool.run(self._read)

    async def remember(self, record: MemoryRecord) -> None:
        await super().remember(record)
        await self._pool.run(lambda: self._write(record))

    def _read(self) -> list[MemoryRecord]:
        if not self._file.exists():
            return []
        lines = self._file.read_text().splitlines()
        return list(dict.fromkeys(MemoryRecord.model_validate_json(line) for line in lines))

    def _write(self, record: MemoryRecord) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a") as file:
            file.write(record.model_dump_json() + "\n")


class ForgetsItsFile(FileMemory):
    def _read(self) -> list[MemoryRecord]:
        return []

    def _write(self, record: MemoryRecord) -> None:
        """Nothing is ever written."""


def test_words_that_stay_in_a_file_are_found(failing: Failing) -> None:
    found = failing(conformance.memory(FileMemory))
    assert "test_erased_words_are_not_in_its_files" in found
    assert "test_it_outlives_its_process" not in found


def test_a_memory_that_does_not_last_is_found(failing: Failing) -> None:
    assert failing(conformance.memory(ForgetsItsFile)) == {"test_it_outlives_its_process"}


def test_every_check_of_its_own_finds_something() -> None:
    found = {check for _, checks in MEMORIES for check in checks}
    on_disk = {"test_erased_words_are_not_in_its_files", "test_it_outlives_its_process"}
    shared = {name for name in dir(Suite) if name.startswith("test_")}
    own = {
        name
        for cls in (MemoryOnDiskSuite, *MemoryOnDiskSuite.__bases__)
        for name in vars(cls)
        if name.startswith("test_")
    }
    assert own - on_disk <= found
    assert found - own <= shared
