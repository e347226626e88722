from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affectgraph.memory.chroma import ChromaMemory
from affectgraph.memory.contracts import Embedder, Memory
from affectgraph.memory.recall import ByMeaning, ByMeaningAndEmotion
from affectgraph.memory.record import Cue, MemoryRecord, record_id
from affectgraph.memory.scope import UserScope
from affectgraph.perceivers.affect import Affect, Distribution, Evidence
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.labels import EKMAN_7

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
EVERYTHING = ByMeaning(max_semantic=2.0)


class HashEmbedder:
    """Bag of words: each word is a fixed random direction."""

    def __init__(self, size: int = 32) -> None:
        self.size = size
        self.warmed = 0

    async def warm_up(self) -> None:
        self.warmed += 1

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> list[float]:
        total = np.zeros(self.size)
        for word in text.lower().split() or [text]:
            seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
            total += np.random.default_rng(seed).normal(size=self.size)
        return [float(x) for x in total / np.linalg.norm(total)]


def record(text: str, user: str = "ana", **changes: object) -> MemoryRecord:
    at = changes.get("at", AT)
    assert isinstance(at, datetime)
    return MemoryRecord.model_validate(
        {
            "id": record_id(user, "t", text, at),
            "user": user,
            "thread": "t",
            "text": text,
            "at": at,
            **changes,
        }
    )


@pytest.fixture
async def memory(tmp_path: Path) -> AsyncIterator[ChromaMemory]:
    memory = ChromaMemory(tmp_path / "store", HashEmbedder(), EVERYTHING)
    await memory.warm_up()
    yield memory
    await memory.close()


async def texts(memory: Memory, text: str, user: str = "ana", limit: int = 10) -> list[str]:
    found = await memory.recall(Cue(user=user, text=text, limit=limit))
    return [each.record.text for each in found]


def test_it_is_a_memory(tmp_path: Path) -> None:
    assert isinstance(ChromaMemory(tmp_path, HashEmbedder()), Memory)
    assert isinstance(HashEmbedder(), Embedder)
    assert not list(tmp_path.iterdir()), "the constructor touches no disk"


async def test_a_record_comes_back_exactly(memory: ChromaMemory) -> None:
    probs = dict(zip(EKMAN_7.labels, [0.1, 0.2, 0.3, 1 / 3, 1e-9, 0.0, 0.07], strict=True))
    affect = Affect.read(
        Distribution.over(EKMAN_7, probs),
        AT.astimezone(timezone(timedelta(hours=5, minutes=45))),
        evidence=(Evidence(kind="span", start=0, end=7, score=0.123456789),),
    )
    written = record(
        "naïve \x00 \u202e 🫶\n  text", reply="Yes.\x00", affect=affect, strategy="Question",
        risk_level=2,
    )  # fmt: skip

    await memory.remember(written)

    (found,) = await memory.recall(Cue(user="ana", text="text"))
    assert found.record == written
    assert found.record.at.tzinfo is not None
    assert await memory.export("ana") == [written]


async def test_nearest_comes_first_with_its_distance(memory: ChromaMemory) -> None:
    for text in ("my sister called", "the exam went badly", "my sister and the exam"):
        await memory.remember(record(text))

    found = await memory.recall(Cue(user="ana", text="my sister called", limit=2))

    assert [each.record.text for each in found] == ["my sister called", "my sister and the exam"]
    assert found[0].distance == pytest.approx(0, abs=1e-6)
    assert found[1].breakdown == {"semantic": found[1].distance}


async def test_the_default_cuts_off_what_is_unrelated(tmp_path: Path) -> None:
    memory = ChromaMemory(tmp_path, HashEmbedder(size=256))
    await memory.remember(record("the exam went badly"))
    assert await texts(memory, "bicycle") == []
    assert await texts(memory, "the exam again") == ["the exam went badly"]
    await memory.close()


async def test_recall_of_an_unknown_user_is_empty(memory: ChromaMemory) -> None:
    assert await texts(memory, "anything") == []
    assert await memory.export("nobody") == []
    assert await memory.erase("nobody") == 0


async def test_writing_again_changes_nothing(memory: ChromaMemory) -> None:
    one = record("again")
    await memory.remember(one)
    await memory.remember(one)
    await asyncio.gather(*(memory.remember(one) for _ in range(3)))
    assert await memory.export("ana") == [one]


async def test_users_who_share_an_id_keep_their_own_records(memory: ChromaMemory) -> None:
    await memory.remember(record("mine", "ana", id="same"))
    await memory.remember(record("yours", "bo", id="same"))
    assert await texts(memory, "mine", "ana") == ["mine"]
    assert await texts(memory, "mine", "bo") == ["yours"]


async def test_risky_records_stay_out_of_recall_but_are_exported(memory: ChromaMemory) -> None:
    for level in range(7):
        await memory.remember(record(f"level {level}", risk_level=level))
    assert sorted(await texts(memory, "level")) == ["level 0", "level 1", "level 2"]
    assert len(await memory.export("ana")) == 7


async def test_export_is_oldest_first_across_time_zones(memory: ChromaMemory) -> None:
    east = timezone(timedelta(hours=9))
    times = {
        "third": AT + timedelta(hours=2),
        "first": AT.astimezone(east) - timedelta(hours=1),
        "second": AT,
    }
    for text, at in times.items():
        await memory.remember(record(text, at=at))
    assert [each.text for each in await memory.export("ana")] == ["first", "second", "third"]


@pytest.mark.parametrize(("name", "unused"), [("data_level0.bin", 400), ("length.bin", 40)])
async def test_erase_blanks_the_unused_part_of_the_index(
    memory: ChromaMemory, tmp_path: Path, name: str, unused: int
) -> None:
    """Memory of the process that was saved with it may hold words."""
    await memory.remember(record("plain words", "ana"))
    await memory.close()

    def leave_words() -> None:
        (index,) = tmp_path.rglob(name)
        index.write_bytes(index.read_bytes()[:-unused] + b"unrepeatable".ljust(unused))

    def words_are_held() -> bool:
        return any(b"unrepeatable" in file.read_bytes() for file in tmp_path.rglob("*.bin"))

    await asyncio.to_thread(leave_words)
    assert await asyncio.to_thread(words_are_held)
    await memory.erase("bo")
    assert not await asyncio.to_thread(words_are_held)
    await memory.close()
    assert await texts(memory, "words") == ["plain words"]


async def test_erase_takes_one_user_and_leaves_no_words_on_disk(
    memory: ChromaMemory, tmp_path: Path
) -> None:
    for i in range(20):
        await memory.remember(record(f"unrepeatable words {i}", "ana", reply="quixotic answer"))
        await memory.remember(record(f"plain words {i}", "bo"))

    def held(word: bytes) -> bool:
        return any(word in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())

    assert await asyncio.to_thread(held, b"unrepeatable")
    assert await memory.erase("ana") == 20

    assert await texts(memory, "unrepeatable words") == []
    assert await memory.export("ana") == []
    assert len(await memory.export("bo")) == 20
    assert not await asyncio.to_thread(held, b"unrepeatable")
    assert not await asyncio.to_thread(held, b"quixotic")
    assert await asyncio.to_thread(held, b"plain words")
    await memory.remember(record("a new start", "ana"))
    assert await texts(memory, "new") == ["a new start"]
    await memory.close()
    assert await texts(memory, "new") == ["a new start"], "the log still replays"
    assert len(await texts(memory, "plain words", "bo", limit=50)) == 20


async def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    first = ChromaMemory(tmp_path, HashEmbedder(), EVERYTHING)
    await first.remember(record("kept"))
    await first.close()
    await first.close()

    second = ChromaMemory(tmp_path, HashEmbedder(), EVERYTHING)
    assert await texts(second, "kept") == ["kept"]
    await second.close()
    assert await texts(second, "kept") == ["kept"], "a closed memory opens again when asked"
    await second.close()


async def test_warm_up_twice_opens_once_and_close_leaves_no_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    embedder = HashEmbedder()
    memory = ChromaMemory(tmp_path, embedder)
    await memory.warm_up()
    await memory.warm_up()
    await memory.remember(record("one"))
    await memory.close()
    assert embedder.warmed == 2
    left = [
        thread
        for thread in set(threading.enumerate()) - before
        if thread.name != "affectgraph-blocking"
    ]
    assert left == []


async def test_emotion_reranks_beyond_the_nearest(tmp_path: Path) -> None:
    memory = ChromaMemory(tmp_path, HashEmbedder(), ByMeaningAndEmotion(max_semantic=2.0))
    joy, sadness = (
        Affect.read(Distribution.certain(EKMAN_7, label), AT) for label in ("joy", "sadness")
    )
    await memory.remember(record("my sister called", affect=joy))
    await memory.remember(record("my sister and the exam", affect=sadness))

    (found,) = await memory.recall(
        Cue(user="ana", text="my sister called", affect=sadness, limit=1)
    )

    assert found.record.text == "my sister and the exam"
    assert set(found.breakdown) == {"semantic", "emotional"}
    await memory.close()


@pytest.mark.parametrize("kind", ["file", "under a file", "garbage"])
async def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "place"
    if kind == "garbage":
        path.mkdir()
        (path / "chroma.sqlite3").write_bytes(b"no database" * 100)
    else:
        path.write_text("in the way")
    memory = ChromaMemory(path / "sub" if kind == "under a file" else path, HashEmbedder())

    with pytest.raises(SetupError, match=r"memory at .*place"):
        await memory.warm_up()


async def test_another_embedder_is_refused_when_its_vectors_do_not_fit(tmp_path: Path) -> None:
    first = ChromaMemory(tmp_path, HashEmbedder(32))
    await first.remember(record("one"))
    await first.close()
    second = ChromaMemory(tmp_path, HashEmbedder(16))
    with pytest.raises(SetupError, match="dimension"):
        await second.recall(Cue(user="ana", text="one"))
    with pytest.raises(SetupError, match="dimension"):
        await second.remember(record("two"))
    await second.close()


def test_a_scope_refuses_to_write_for_another_user() -> None:
    class Untouchable:
        def upsert(self, **_: object) -> None:
            raise AssertionError("written for another user")

    scope = UserScope(Untouchable(), "ana")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="another user"):
        scope.write(record("hers", "bo"), [1.0])


def test_record_ids_tell_exchanges_apart() -> None:
    base = ("ana", "t", "text", AT)
    assert record_id(*base) == record_id(*base)
    others = [("an", "at", "text", AT), ("ana", "t", "text ", AT), ("bo", "t", "text", AT)]
    others.append(("ana", "t", "text", AT + timedelta(microseconds=1)))
    assert len({record_id(*other) for other in [base, *others]}) == 5


ODD = [
    "ana",
    "Ana",
    "ana ",
    " ana",
    "an\x00a",
    "*",
    "%",
    "' OR 1=1 --",
    '{"$ne": ""}',
    "$ne",
    "\N{CYRILLIC SMALL LETTER A}na",
]
names = st.one_of(
    st.sampled_from(ODD),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=128),
)
words = st.sampled_from(["exam", "sister", "sleep", "work"])


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    said=st.lists(st.tuples(names, words), min_size=1, max_size=8),
    stranger=names,
    cue=words,
)
async def test_nothing_ever_crosses_users(
    tmp_path: Path, said: list[tuple[str, str]], stranger: str, cue: str
) -> None:
    users = {user for user, _ in said} | {stranger}
    memory = ChromaMemory(tmp_path / "shared", HashEmbedder(), EVERYTHING)
    for user in users:
        await memory.erase(user)
    for at, (user, word) in enumerate(said):
        await memory.remember(record(word, user, at=AT + timedelta(seconds=at)))

    for user in users:
        own = sorted(word for name, word in said if name == user)
        found = await memory.recall(Cue(user=user, text=cue, limit=50))
        assert {each.record.user for each in found} <= {user}
        assert sorted(each.record.text for each in found) == own
        assert sorted(each.text for each in await memory.export(user)) == own
    gone = said[0][0]
    assert await memory.erase(gone) == sum(user == gone for user, _ in said)
    for user in users - {gone}:
        assert len(await memory.export(user)) == sum(name == user for name, _ in said)
    await memory.close()


async def test_with_the_real_encoder_related_memories_come_and_others_do_not(
    tmp_path: Path,
) -> None:
    from affectgraph.perceivers.text.encoder import MiniLMEncoder

    memory = ChromaMemory(tmp_path, MiniLMEncoder())
    await memory.warm_up()
    for text in (
        "I had an argument with my sister last week.",
        "The exam at university went badly last month.",
        "My manager wants the report by Friday.",
    ):
        await memory.remember(record(text))

    assert await texts(memory, "My sister and I fought again.", limit=1) == [
        "I had an argument with my sister last week."
    ]
    assert await texts(memory, "I failed my exam again.") == [
        "The exam at university went badly last month."
    ]
    assert await texts(memory, "What is a good recipe for soup?") == []
    await memory.close()
