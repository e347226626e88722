"""What is particular to threads in Postgres: the server, and where the saver puts values."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from affectgraph.orchestrator.threads import PostgresThreads, ThreadStoreError, thread_key
from affectgraph.perceivers.errors import ExtraMissingError, SetupError
from tests.orchestrator.threads.thread_helpers import Talk, a_turn, checkpoints, talk

ANA = thread_key("ana", "evening")
WORDS = "something nobody else may read"
TABLES = ("checkpoints", "checkpoint_blobs", "checkpoint_writes", "affectgraph_journal")


@contextmanager
def database(server: str) -> Iterator[Any]:
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        yield connection


def everything(server: str) -> str:
    with database(server) as connection:
        rows = [row for table in TABLES for row in connection.execute(f"SELECT * FROM {table}")]  # noqa: S608
    return repr(rows)


async def test_no_words_are_in_the_rows_under_a_key(
    postgres_env: str, postgres_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "ab" * 32)
    store = PostgresThreads(postgres_env, key_env="KEY", allowed=Talk)
    await store.open()
    await talk(store, ANA, WORDS, WORDS)
    turn = a_turn(ANA, payload=WORDS)
    await store.begin(turn)
    await store.delivered(turn.id, WORDS)
    [found] = await store.open_turns()
    assert found.delivered == WORDS
    assert "nobody" not in everything(postgres_server)
    await store.close()


async def test_pruning_takes_the_values_that_nothing_uses(
    postgres_env: str, postgres_server: str
) -> None:
    store = PostgresThreads(postgres_env, allowed=Talk)
    await store.open()
    await talk(store, ANA, *(f"words {n}" for n in range(8)))
    await store.prune(ANA, keep=1)
    [kept] = await checkpoints(store, ANA)
    assert len(kept.checkpoint["channel_values"]["history"]) == 8
    left = everything(postgres_server)
    assert "words 7" in left
    with database(postgres_server) as connection:
        [(blobs,)] = connection.execute("SELECT count(*) FROM checkpoint_blobs").fetchall()
    assert blobs <= len(kept.checkpoint["channel_versions"])
    await store.delete(ANA)
    assert "words" not in everything(postgres_server)
    await store.close()


async def test_a_lost_server_is_our_error(postgres_env: str, postgres_server: str) -> None:
    store = PostgresThreads(postgres_env, allowed=Talk)
    await store.open()
    turn = a_turn()
    await store.begin(turn)
    with database(postgres_server) as connection:
        connection.execute("DROP TABLE affectgraph_journal")
    with pytest.raises(ThreadStoreError, match="Postgres server of the threads failed"):
        await store.delivered(turn.id, WORDS)
    with pytest.raises(ThreadStoreError, match="Postgres server of the threads failed"):
        await store.open_turns()
    await store.close()


async def test_a_server_that_does_not_answer_stops_the_opening(
    monkeypatch: pytest.MonkeyPatch, postgres_server: str
) -> None:
    monkeypatch.setenv("DSN", postgres_server + "/absent&password=hunter2")
    with pytest.raises(SetupError, match="the Postgres server of DSN does not answer") as caught:
        await PostgresThreads("DSN").open()
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


async def test_an_absent_connection_string_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, postgres_server: str
) -> None:
    monkeypatch.delenv("DSN", raising=False)
    with pytest.raises(SetupError, match="DSN is not set: give it a connection string"):
        await PostgresThreads("DSN").open()


async def test_without_its_extra_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg_pool", None)
    with pytest.raises(ExtraMissingError, match="extra 'postgres'"):
        await PostgresThreads().open()
