"""What is particular to threads in a file: its place, its bytes, its key."""

# ruff: noqa: ASYNC240 - a test may wait for the disk

from __future__ import annotations

import logging
import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from affectgraph.orchestrator.threads import (
    SqliteThreads,
    ThreadStoreError,
    sqlite_file,
    thread_key,
)
from affectgraph.perceivers.errors import BuildError, SetupError
from affectgraph.reasoners.context import Exchange
from tests.orchestrator.threads.thread_helpers import Talk, a_turn, checkpoints, of, talk

ANA = thread_key("anastasia", "evening")
WORDS = "something nobody else may read"
KEY = "00112233445566778899aabbccddeeff"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "threads.sqlite"


@asynccontextmanager
async def opened(path: Path, **options: str) -> AsyncIterator[SqliteThreads]:
    store = SqliteThreads(path, allowed=Talk, **options)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def bytes_on_disk(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob(path.name + "*")))


async def fill(store: SqliteThreads, thread: str = ANA) -> None:
    """Words in checkpoints, in pending writes and in the journal; enough for several pages."""
    await talk(store, thread, *(f"{WORDS} {n} " * 40 for n in range(5)))
    [newest, *_] = await checkpoints(store, thread)
    await store.saver.aput_writes(newest.config, [("last", WORDS)], "task")
    turn = a_turn(thread, payload=WORDS * 200)
    await store.begin(turn)
    await store.delivered(turn.id, WORDS)


class TestFile:
    async def test_nothing_is_touched_before_it_is_opened(self, path: Path) -> None:
        SqliteThreads(path / "deep" / "t.sqlite")
        assert not path.exists()

    async def test_only_its_owner_may_read_it(self, path: Path) -> None:
        async with opened(path) as store:
            await fill(store)
            modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        assert modes == {0o600}

    async def test_an_open_file_is_closed_to_others(self, path: Path) -> None:
        path.touch(mode=0o644)
        path.chmod(0o644)
        async with opened(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600

    async def test_a_file_that_is_no_database_is_refused_and_left_alone(self, path: Path) -> None:
        path.write_text("notes " * 500)
        path.chmod(0o644)
        with pytest.raises(SetupError, match=r"threads\.sqlite is not a database: name another"):
            await SqliteThreads(path).open()
        assert path.read_text() == "notes " * 500
        assert stat.S_IMODE(path.stat().st_mode) == 0o644

    async def test_another_programs_database_is_refused_and_left_alone(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as database:
            database.execute("CREATE TABLE recipes (name)")
        before = path.read_bytes()
        with pytest.raises(SetupError, match="another program's database"):
            await SqliteThreads(path).open()
        assert path.read_bytes() == before

    async def test_a_file_of_langgraphs_own_saver_is_taken(self, path: Path) -> None:
        async with AsyncSqliteSaver.from_conn_string(str(path)) as saver:
            await saver.setup()
        async with opened(path) as store:
            await talk(store, ANA, "words")

    async def test_a_folder_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        before = tmp_path.stat().st_mode
        with pytest.raises(SetupError, match="it is a folder; name a file"):
            await SqliteThreads(tmp_path).open()
        assert tmp_path.stat().st_mode == before

    async def test_a_place_that_cannot_be_written_is_refused(self, path: Path) -> None:
        path.write_text("a file, no folder")
        with pytest.raises(SetupError, match="name a file in a folder that this user may write"):
            await SqliteThreads(path / "t.sqlite").open()

    async def test_a_damaged_file_is_refused(self, path: Path) -> None:
        async with opened(path) as store:
            await fill(store)
        raw = bytearray(path.read_bytes())
        raw[100:4096] = b"\xff" * 3996
        path.write_bytes(raw)
        with pytest.raises(SetupError, match=r"threads\.sqlite is damaged: restore it"):
            await SqliteThreads(path).open()

    async def test_a_failed_opening_can_be_repeated(self, path: Path) -> None:
        path.write_text("notes " * 500)
        store = SqliteThreads(path, allowed=Talk)
        with pytest.raises(SetupError):
            await store.open()
        path.unlink()
        await store.open()
        await talk(store, ANA, "words")
        await store.close()

    async def test_two_stores_on_one_file_wait_for_each_other(self, path: Path) -> None:
        async with opened(path) as first, opened(path) as second:
            for store, name in ((first, "a"), (second, "b"), (first, "c")):
                await talk(store, thread_key(name, "t"), "words")
                await store.begin(a_turn(thread_key(name, "t"), id=name))
            assert [turn.id for turn in await second.open_turns()] == ["a", "b", "c"]

    async def test_a_write_that_the_file_refuses_is_our_error(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite_file, "BUSY_MILLISECONDS", 1)
        async with opened(path) as store:
            await store.begin(a_turn(id="1"))
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("DROP TABLE affectgraph_journal")
            with pytest.raises(ThreadStoreError, match="the database of threads failed"):
                await store.delivered("1", WORDS)
            with pytest.raises(ThreadStoreError, match="the database of threads failed"):
                await store.open_turns()

    async def test_statements_are_not_logged(
        self, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        async with opened(path) as store:
            await fill(store)
        assert WORDS not in caplog.text


class TestErasure:
    async def test_deleted_words_leave_the_bytes(self, path: Path) -> None:
        other = thread_key("bertram", "evening")
        async with opened(path) as store:
            await fill(store)
            await talk(store, other, "words that stay")
            assert WORDS.encode() in bytes_on_disk(path)
            await store.delete(ANA)
            left = bytes_on_disk(path)
        assert WORDS.encode() not in left
        assert b"anastasia" not in left
        assert b"words that stay" in left

    async def test_expired_words_leave_the_bytes(self, path: Path) -> None:
        async with opened(path) as store:
            await fill(store)
            assert await store.expire(datetime.now(UTC) + timedelta(seconds=1)) == 1
            left = bytes_on_disk(path)
        assert WORDS.encode() not in left
        assert b"anastasia" not in left

    async def test_pruned_and_ended_words_leave_the_bytes_with_the_next_closing(
        self, path: Path
    ) -> None:
        async with opened(path) as store:
            await talk(store, ANA, WORDS)
            turn = a_turn(ANA, payload="{}", id="one")
            await store.begin(turn)
            await store.delivered("one", "delivered " + WORDS)
            await store.end("one")
        left = bytes_on_disk(path)
        assert b"delivered " not in left
        assert WORDS.encode() in left

    async def test_a_reader_in_the_way_is_told(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            sqlite_file, "_PRAGMAS", "PRAGMA busy_timeout = 20; PRAGMA journal_mode = WAL;"
        )
        async with opened(path) as store:
            await fill(store)
            with closing(sqlite3.connect(path, isolation_level=None)) as reader:
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM checkpoints").fetchall()
                with pytest.raises(ThreadStoreError, match="another process reads the file"):
                    await store.delete(ANA)
            assert await store.threads("anastasia") == []
            await store.delete(ANA)

    async def test_an_unreadable_thread_expires_too(self, path: Path) -> None:
        async with opened(path) as store:
            await talk(store, ANA, WORDS)
        strict = SqliteThreads(path, allowed=dict)
        await strict.open()
        with pytest.raises(SetupError, match=r"reasoners\.context\.Exchange"):
            await strict.saver.aget_tuple(of(ANA))
        assert await strict.expire(datetime.now(UTC)) == 1
        await strict.close()


class TestGrowth:
    async def test_pruning_bounds_the_file(self, path: Path) -> None:
        async with opened(path) as store:
            sizes = []
            for _ in range(4):
                for n in range(15):
                    await store.delete(thread_key("x", str(n)))
                    await talk(store, ANA, "words " * 50)
                    await store.prune(ANA, keep=1)
                    await talk(store, ANA)
                [kept] = await checkpoints(store, ANA)
                history = kept.checkpoint["channel_values"]["history"]
                sizes.append(path.stat().st_size)
            assert len(history) == 60
        # Every exchange is 400 bytes of a history that grows; checkpoints do not add up.
        assert sizes[-1] < 4 * 60 * 400


class TestEncryption:
    async def test_no_words_are_in_the_bytes(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KEY", KEY)
        async with opened(path, key_env="KEY") as store:
            await fill(store)
            await store.end("none")
            inside = bytes_on_disk(path)
        async with opened(path, key_env="KEY") as store:
            [turn] = await store.open_turns()
            [newest, *_] = await checkpoints(store, ANA)
        assert turn.delivered == WORDS
        assert isinstance(newest.checkpoint["channel_values"]["history"][0], Exchange)
        for part in (b"nobody", b"else may", b"I hear you"):
            assert part not in inside
            assert part not in bytes_on_disk(path)

    async def test_threads_expire_under_a_key(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KEY", KEY)
        async with opened(path, key_env="KEY") as store:
            await talk(store, ANA, WORDS)
            assert await store.expire(datetime.now(UTC) - timedelta(days=1)) == 0
            assert await store.expire(datetime.now(UTC)) == 1

    async def test_a_wrong_key_is_a_clear_error_for_all_that_is_read(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KEY", KEY)
        async with opened(path, key_env="KEY") as store:
            await fill(store)
        monkeypatch.setenv("KEY", KEY[::-1])
        async with opened(path, key_env="KEY") as store:
            with pytest.raises(SetupError, match="the key is not the one"):
                await store.saver.aget_tuple(of(ANA))
            with pytest.raises(SetupError, match="the key is not the one"):
                await store.open_turns()
            await store.delete(ANA)
            assert await store.open_turns() == []

    async def test_a_missing_key_stops_the_opening(self, path: Path) -> None:
        with pytest.raises(SetupError, match="ABSENT_KEY is not set"):
            await SqliteThreads(path, key_env="ABSENT_KEY").open()
        assert not path.exists()


async def test_a_state_with_a_type_of_no_schema_is_not_stored(path: Path) -> None:
    store = SqliteThreads(path, allowed=dict)
    await store.open()
    with pytest.raises(BuildError, match=r"may not hold affectgraph\.reasoners\.context\.Exchange"):
        await talk(store, ANA, WORDS)
    assert await store.threads("anastasia") == []
    await store.close()
