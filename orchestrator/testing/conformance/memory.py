"""The suite of a memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from affectgraph.memory.contracts import Memory
from affectgraph.memory.record import Cue, MemoryRecord, Recollection
from affectgraph.orchestrator.testing.conformance import samples as given
from affectgraph.orchestrator.testing.conformance.asynchronous import AsyncSuite
from affectgraph.orchestrator.testing.conformance.basics import NonconformityError, needs, run, want
from affectgraph.orchestrator.testing.conformance.suite import suite
from affectgraph.orchestrator.testing.conformance.values import verify_model

T = TypeVar("T")

USERS = ("ana", "ANA", "ana:1", "ana%", "*", "' OR 1=1 --", "анна")
"""Names that a careless query takes for one another."""


class MemorySuite(AsyncSuite[Memory, Cue, Sequence[Recollection]]):
    """What every memory does. The one call is a recall, with the sample records in place."""

    contract = "memory"
    protocol = Memory
    _takes = 1

    def make(self) -> Memory:
        """A memory; in a fresh folder, if it wants one."""
        self._made = getattr(self, "_made", -1) + 1
        if needs(type(self)._make) == 0:
            return type(self)._make()
        return type(self)._make(self.folder / f"{self._made}")

    async def prepare(self, part: Memory) -> None:
        """Open the memory and put the sample records in."""
        await part.warm_up()
        await self._fill(part)

    async def first(self, part: Memory, sample: Cue) -> Sequence[Recollection]:
        """Put the sample records in and recall, whether it is open yet or not."""
        await self._fill(part)
        return await part.recall(sample)

    async def _fill(self, part: Memory) -> None:
        for record in _records():
            await part.remember(record)

    def samples(self) -> Sequence[Cue]:
        """Cues of two people, who said different things, and of one who said nothing."""
        return [
            Cue(user="ana", text=given.WORDS[0], affect=given.affect("anger"), limit=2),
            Cue(user="ben", text=given.WORDS[0], limit=2),
            Cue(user="nobody", text=given.WORDS[0]),
        ]

    def odd(self) -> Sequence[Cue]:
        """Unusual words."""
        return [Cue(user="ana", text=text) for text in given.ODD]

    def private(self) -> tuple[Cue, str]:
        """A cue with the secret."""
        return Cue(user="ana", text=given.PRIVATE), given.PERSONAL

    async def ask(self, part: Memory, sample: Cue) -> Sequence[Recollection]:
        """Recall."""
        return await part.recall(sample)

    def verify(self, part: Memory, sample: Cue, answer: Sequence[Recollection]) -> None:
        """Some of this person's records, nearest first, as they were written."""
        del part
        written = {(record.user, record.id): record for record in _records()}
        want(isinstance(answer, Sequence), "A memory recalls a sequence of recollections, or none.")
        for each in answer:
            verify_model(each, Recollection, "A memory")
            want(
                each.record.user == sample.user,
                "A memory never recalls one person's records for another.",
            )
            want(
                written.get((each.record.user, each.record.id)) == each.record,
                "A memory gives records back as they were written.",
            )
        want(len(answer) <= sample.limit, "A memory recalls at most Cue.limit records.")
        distances = [each.distance for each in answer]
        want(distances == sorted(distances), "A memory recalls the nearest record first.")

    # Checks of its own.

    def test_what_was_remembered_is_recalled(self) -> None:
        """The same words find the record again."""
        (told,) = [r for r in _records() if r.user == "ana" and r.text == given.WORDS[0]]
        (first, *_) = [answer for _, answer in self._answers(self.samples())]
        want(
            bool(first) and first[0].record == told,
            "A memory recalls what was said in the cue's own words, before anything else.",
        )

    def test_remembering_twice_keeps_one(self) -> None:
        """A turn that is resumed writes its record again."""

        async def twice(memory: Memory) -> Sequence[MemoryRecord]:
            for record in _records():
                await memory.remember(record)
            return await memory.export("ana")

        kept = self._with(twice)
        want(
            len(kept) == len({record.id for record in kept}),
            "A memory that is told a record again keeps one of it.",
        )

    def test_export_gives_everything_of_a_person_oldest_first(self) -> None:
        """A person has a right to all of it, the hard moments too."""

        async def exported(memory: Memory) -> list[Sequence[MemoryRecord]]:
            return [await memory.export(user) for user in ("ana", "ben", "nobody")]

        for user, records in zip(("ana", "ben", "nobody"), self._with(exported), strict=True):
            want(
                all(record.user == user for record in records),
                "A memory exports nobody else's records.",
            )
            want(
                list(records) == _of(user),
                "A memory exports every record of a person as it was written, oldest first.",
            )

    def test_users_never_cross(self) -> None:
        """Each person's memory is their own, however the names look."""
        records = [given.record(user, given.WORDS[0]) for user in USERS]

        async def crossed(memory: Memory) -> list[tuple[str, str]]:
            await asyncio.gather(*(memory.remember(record) for record in records))
            cues = [Cue(user=user, text=given.WORDS[0], limit=50) for user in USERS]
            recalled = await asyncio.gather(*(memory.recall(cue) for cue in cues))
            return [
                (cue.user, each.record.user)
                for cue, found in zip(cues, recalled, strict=True)
                for each in found
            ]

        want(
            all(asked == got for asked, got in self._with(crossed)),
            "A memory never recalls one person's records for another, however their names look.",
        )

    def test_erase_empties_one_person_and_no_other(self) -> None:
        """A person who leaves is forgotten; nobody else is."""

        async def erased(memory: Memory) -> None:
            count = await memory.erase("ana")
            left = (await memory.export("ana"), await memory.recall(_cue("ana")))
            want(not any(left), "A memory has nothing of a person once it was erased.")
            want(count == len(_of("ana")), "A memory says how many records it erased.")
            want(
                list(await memory.export("ben")) == _of("ben"),
                "A memory that erases one person keeps every other.",
            )
            want(await memory.erase("ana") == 0, "A memory that has nothing to erase says 0.")
            await memory.remember(_of("ana")[0])
            want(
                list(await memory.export("ana")) == _of("ana")[:1],
                "A memory takes a person's records again after it has erased them.",
            )

        self._with(erased)

    def test_writing_side_by_side_loses_nothing(self) -> None:
        """Many turns end at the same time."""
        records = [
            given.record(user, f"Message number {n}.", minute=n) for n in range(10) for user in "ab"
        ]

        async def written(memory: Memory) -> list[Sequence[MemoryRecord]]:
            await asyncio.gather(*(memory.remember(record) for record in records))
            return [await memory.export(user) for user in "ab"]

        for user, kept in zip("ab", self._with(written), strict=True):
            want(
                list(kept) == [record for record in records if record.user == user],
                "A memory keeps every record that is written, many at a time too.",
            )

    def test_writing_tells_nobody(self) -> None:
        """What is kept, exported and erased is in no log either."""
        from affectgraph.orchestrator.testing.conformance.watch import Overheard

        record, overheard = given.record("ana", given.PRIVATE), Overheard()

        async def worked(memory: Memory) -> None:
            await memory.remember(record)
            await memory.export("ana")
            await memory.erase("ana")

        with overheard.listening():
            self._with(worked)
        want(
            not overheard.heard(given.PERSONAL),
            "A memory prints, logs and traces none of the words that it keeps.",
        )

    def test_closing_is_safe(self) -> None:
        """Also of a memory that was never used, and twice."""

        async def closed(memory: Memory) -> None:
            await memory.close()
            await memory.close()

        for use in (self._with, self._unused):
            try:
                use(closed)
            except Exception as error:
                raise NonconformityError(
                    "A memory may be closed at any time, twice and unused too"
                    f" ({type(error).__name__})."
                ) from error

    def _unused(self, work: Callable[[Memory], Awaitable[T]]) -> T:
        memory = self.make()

        async def worked() -> T:
            return await work(memory)

        return run(worked())

    def _with(self, work: Callable[[Memory], Awaitable[T]]) -> T:
        """Do something with a memory that holds the sample records."""
        memory = self.make()

        async def worked() -> T:
            await self.prepare(memory)
            try:
                return await work(memory)
            finally:
                await self.release(memory)

        return run(worked())


class MemoryOnDiskSuite(MemorySuite):
    """What a memory in a folder does besides."""

    def test_it_outlives_its_process(self) -> None:
        """What was closed and is opened again is whole."""
        folder = self.folder / "kept"

        async def write() -> None:
            memory = type(self)._make(folder)
            await self.prepare(memory)
            await memory.close()

        async def read() -> Sequence[MemoryRecord]:
            memory = type(self)._make(folder)
            await memory.warm_up()
            try:
                exported: Sequence[MemoryRecord] = await memory.export("ana")
                return exported
            finally:
                await memory.close()

        run(write())
        want(
            list(run(read())) == _of("ana"),
            "A memory in a folder has every record again when the folder is opened anew.",
        )

    def test_erased_words_are_not_in_its_files(self) -> None:
        """Deleted rows stay readable in many a database file."""
        folder = self.folder / "erased"

        async def erase() -> None:
            memory = type(self)._make(folder)
            await memory.warm_up()
            await memory.remember(given.record("ana", given.PRIVATE))
            await memory.remember(given.record("ben", given.WORDS[0]))
            await memory.erase("ana")
            await memory.close()

        run(erase())
        word = given.PERSONAL.encode()
        left = [f.name for f in folder.rglob("*") if f.is_file() and word in f.read_bytes()]
        want(not left, f"A memory that erases leaves no word readable in its files ({left}).")


def _records() -> list[MemoryRecord]:
    return [
        given.record("ana", given.WORDS[2], minute=2, risk_level=3),
        given.record("ana", given.WORDS[0], minute=1),
        given.record("ana", given.WORDS[3], minute=3),
        given.record("ben", given.WORDS[1], minute=1),
    ]


def _of(user: str) -> list[MemoryRecord]:
    return sorted((r for r in _records() if r.user == user), key=lambda record: record.at)


def _cue(user: str) -> Cue:
    return Cue(user=user, text=given.WORDS[0], limit=10)


def memory(
    make: Callable[[], Memory] | Callable[..., Memory], *, deterministic: bool = True
) -> type[MemorySuite]:
    """The suite of a memory: ``TestMine = conformance.memory(Mine)``.

    Args:
        make: Makes a fresh, empty memory. With one argument that must be given it is handed a
            folder that does not exist yet, and the checks of a memory on disk come in:
            ``conformance.memory(lambda folder: Mine(folder, embedder()))``.
        deterministic: Whether the same cue recalls the same.
    """
    base = MemoryOnDiskSuite if needs(make) else MemorySuite
    return suite(base, make, deterministic=deterministic)
