"""What every store of threads does, whatever it keeps them in."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.checkpoint.base import Checkpoint, CheckpointTuple
from pydantic import ValidationError

from affectgraph.orchestrator.threads import (
    OpenTurn,
    ThreadStore,
    ThreadStoreError,
    thread_key,
)
from affectgraph.orchestrator.threads.upkeep import unkept
from affectgraph.perceivers.errors import SetupError
from affectgraph.reasoners.context import Exchange
from tests.orchestrator.threads.thread_helpers import a_turn, checkpoints, of, talk

ANA = thread_key("ana", "evening")
BEN = thread_key("ben", "evening")


class TestLife:
    async def test_nothing_works_before_it_is_open(self, closed_store: ThreadStore) -> None:
        with pytest.raises(SetupError, match=r"is not open: await its open\(\)"):
            await closed_store.begin(a_turn())
        with pytest.raises(SetupError, match="is not open"):
            _ = closed_store.saver

    async def test_opening_and_closing_twice_is_once(self, closed_store: ThreadStore) -> None:
        await closed_store.open()
        saver = closed_store.saver
        await closed_store.open()
        assert closed_store.saver is saver
        await closed_store.close()
        await closed_store.close()
        with pytest.raises(SetupError, match="is not open"):
            await closed_store.open_turns()

    async def test_opening_from_many_tasks_is_once(self, closed_store: ThreadStore) -> None:
        await asyncio.gather(*(closed_store.open() for _ in range(5)))
        await closed_store.begin(a_turn())
        assert len(await closed_store.open_turns()) == 1
        await closed_store.close()

    async def test_it_holds_what_it_held_when_it_is_opened_again(
        self, closed_store: ThreadStore
    ) -> None:
        await closed_store.open()
        turn = a_turn(ANA)
        await closed_store.begin(turn)
        await closed_store.delivered(turn.id, "There. ")
        ended = a_turn(ANA)
        await closed_store.begin(ended)
        await closed_store.end(ended.id)
        await talk(closed_store, ANA, "a long day")
        await closed_store.close()

        await closed_store.open()
        assert await closed_store.open_turns() == [turn.model_copy(update={"delivered": "There. "})]
        state = await talk(closed_store, ANA, "and a short night")
        assert [one.said for one in state["history"]] == ["a long day", "and a short night"]
        await closed_store.close()


class TestCheckpoints:
    async def test_state_comes_back_as_the_types_that_went_in(self, store: ThreadStore) -> None:
        await talk(store, ANA, "first \x00 words", "second")
        kept = await store.saver.aget_tuple(of(ANA))
        assert kept is not None
        values = kept.checkpoint["channel_values"]
        assert values["last"] == "second"
        assert values["history"] == (
            Exchange(said="first \x00 words", replied="I hear you."),
            Exchange(said="second", replied="I hear you."),
        )
        assert "said" not in values

    async def test_an_older_checkpoint_can_be_read(self, store: ThreadStore) -> None:
        await talk(store, ANA, "one", "two", "three")
        lasts = [
            kept.checkpoint["channel_values"]["last"] for kept in await checkpoints(store, ANA)
        ]
        assert lasts == ["three", "two", "one"]


class TestJournal:
    async def test_a_turn_in_flight_is_found_with_what_was_delivered(
        self, store: ThreadStore
    ) -> None:
        moment = datetime(2024, 5, 6, 7, 8, 9, 123456, timezone(timedelta(hours=2)))
        turn = a_turn(ANA, payload='{"text": "wörter \\u0000"}', begun_at=moment)
        await store.begin(turn)
        for piece in ("Ich ", "", "bin da. \x00", "❤️"):
            await store.delivered(turn.id, piece)
        [found] = await store.open_turns()
        assert found == turn.model_copy(update={"delivered": "Ich bin da. \x00❤️"})
        assert found.begun_at.utcoffset() is not None

    async def test_an_ended_turn_is_forgotten(self, store: ThreadStore) -> None:
        turn = a_turn()
        await store.begin(turn)
        await store.delivered(turn.id, "words")
        await store.end(turn.id)
        assert await store.open_turns() == []
        await store.end(turn.id)

    async def test_beginning_again_changes_nothing(self, store: ThreadStore) -> None:
        turn = a_turn(delivered="Already said. ")
        await store.begin(turn)
        await store.begin(turn.model_copy(update={"payload": "another"}))
        assert await store.open_turns() == [turn]

    async def test_a_piece_of_no_open_turn_is_refused(self, store: ThreadStore) -> None:
        with pytest.raises(ThreadStoreError, match="turn 'ghost' is not open"):
            await store.delivered("ghost", "words")
        turn = a_turn()
        await store.begin(turn)
        await store.end(turn.id)
        with pytest.raises(ThreadStoreError, match="is not open"):
            await store.delivered(turn.id, "late words")
        assert await store.open_turns() == []

    async def test_turns_are_told_apart_by_thread_and_come_in_order(
        self, store: ThreadStore
    ) -> None:
        start = datetime.now(UTC)
        turns = [
            a_turn(thread, id=f"id-{place}", begun_at=start - timedelta(seconds=place))
            for place, thread in enumerate((ANA, BEN, ANA))
        ]
        for turn in turns:
            await store.begin(turn)
        assert await store.open_turns() == turns[::-1]
        assert await store.open_turns(ANA) == [turns[2], turns[0]]
        assert await store.open_turns(thread_key("ana", "morning")) == []

    async def test_an_identifier_that_no_database_keeps_harms_nobody(
        self, store: ThreadStore
    ) -> None:
        turn = a_turn()
        results = await asyncio.gather(
            store.begin(turn), store.delivered("\ud800", "x"), return_exceptions=True
        )
        assert results[0] is None
        assert isinstance(results[1], ThreadStoreError)
        assert await store.open_turns() == [turn]

    async def test_fifty_turns_at_once_lose_nothing(self, store: ThreadStore) -> None:
        turns = [a_turn(thread_key(f"user {n}", "t"), id=f"id-{n}") for n in range(50)]

        async def run(turn: OpenTurn) -> None:
            await store.begin(turn)
            for piece in range(10):
                await store.delivered(turn.id, f"{turn.id}:{piece} ")
            await talk(store, turn.thread, turn.id)
            if int(turn.id[3:]) % 2:
                await store.end(turn.id)

        await asyncio.gather(*(run(turn) for turn in turns))
        expected = {
            turn.id: "".join(f"{turn.id}:{piece} " for piece in range(10)) for turn in turns[::2]
        }
        assert {turn.id: turn.delivered for turn in await store.open_turns()} == expected
        for turn in turns:
            [kept] = await checkpoints(store, turn.thread)
            assert kept.checkpoint["channel_values"]["last"] == turn.id

    async def test_a_cancelled_turn_leaves_its_neighbours_whole(self, store: ThreadStore) -> None:
        left, stopped = a_turn(ANA), a_turn(BEN)
        await store.begin(left)
        await store.begin(stopped)
        writing = asyncio.create_task(store.delivered(stopped.id, "half"))
        staying = asyncio.create_task(store.delivered(left.id, "whole"))
        await asyncio.sleep(0)
        writing.cancel()
        await staying
        [found] = await store.open_turns(ANA)
        assert found.delivered == "whole"
        await store.end(stopped.id)
        assert await store.open_turns(BEN) == []


class TestPrune:
    async def test_the_newest_stay_and_the_thread_goes_on(self, store: ThreadStore) -> None:
        await talk(store, ANA, *(f"words {n}" for n in range(6)))
        await talk(store, BEN, "others", "stay")
        await store.prune(ANA, keep=2)
        kept = await checkpoints(store, ANA)
        assert [one.checkpoint["channel_values"]["last"] for one in kept] == ["words 5", "words 4"]
        assert kept[0].parent_config is not None
        assert kept[1].parent_config is None
        assert len(await checkpoints(store, BEN)) == 2
        state = await talk(store, ANA, "words 6")
        assert [one.said for one in state["history"]] == [f"words {n}" for n in range(7)]

    async def test_writes_go_with_their_checkpoint(self, store: ThreadStore) -> None:
        await talk(store, ANA, "one", "two")
        newest, oldest = await checkpoints(store, ANA)
        for kept in (newest, oldest):
            await store.saver.aput_writes(kept.config, [("last", "pending")], "task")
        await store.prune(ANA, keep=1)
        [left] = await checkpoints(store, ANA)
        assert left.pending_writes == [("task", "last", "pending")]
        assert await store.saver.aget_tuple(oldest.config) is None

    async def test_calls_of_subgraphs_go_with_what_they_began_from(
        self, store: ThreadStore
    ) -> None:
        await talk(store, ANA, "one", "two")
        newest, oldest = await checkpoints(store, ANA)
        for parent, space in ((oldest, "call:old"), (newest, "call:new"), (oldest, "own")):
            await put_under(store, parent, space)
        await store.prune(ANA, keep=1)
        assert not await checkpoints(store, ANA, "call:old")
        assert len(await checkpoints(store, ANA, "call:new")) == 1
        assert len(await checkpoints(store, ANA, "own")) == 1

    async def test_nothing_to_prune_is_no_error(self, store: ThreadStore) -> None:
        await store.prune(ANA, keep=1)
        await talk(store, ANA, "one")
        await store.prune(ANA, keep=5)
        assert len(await checkpoints(store, ANA)) == 1

    async def test_the_last_checkpoint_cannot_be_pruned(self, store: ThreadStore) -> None:
        with pytest.raises(ValueError, match="keep must be at least 1"):
            await store.prune(ANA, keep=0)


async def put_under(store: ThreadStore, parent: CheckpointTuple, space: str) -> None:
    """A checkpoint of a subgraph that began right after ``parent``."""
    config = of(parent.config["configurable"]["thread_id"], checkpoint_ns=space)
    checkpoint: Checkpoint = {**parent.checkpoint, "id": parent.checkpoint["id"] + "-later"}
    versions = parent.checkpoint["channel_versions"]
    await store.saver.aput(config, checkpoint, {"source": "loop", "step": 0}, versions)


class TestErasure:
    async def test_a_deleted_thread_is_gone_and_no_other(self, store: ThreadStore) -> None:
        for thread in (ANA, BEN):
            await talk(store, thread, "words")
            await store.begin(a_turn(thread))
        await store.delete(ANA)
        assert await checkpoints(store, ANA) == []
        assert await store.open_turns(ANA) == []
        assert await store.threads("ana") == []
        assert len(await checkpoints(store, BEN)) == 1
        assert len(await store.open_turns(BEN)) == 1
        await store.delete(ANA)

    async def test_threads_are_those_of_exactly_this_user(self, store: ThreadStore) -> None:
        users = ["ana", "an_", "%", "a%", "anab", "ana:x", "*", "3:ana", "Ana"]
        for user in users:
            await talk(store, thread_key(user, "x:y"), "words")
            await store.begin(a_turn(thread_key(user, "only begun")))
        for user in users:
            assert await store.threads(user) == sorted(
                [thread_key(user, "x:y"), thread_key(user, "only begun")]
            )
        assert await store.threads("nobody") == []

    async def test_threads_where_nothing_happened_since_expire(self, store: ThreadStore) -> None:
        await talk(store, ANA, "old words", "more old words")
        await store.begin(a_turn(ANA, begun_at=datetime.now(UTC) - timedelta(days=1)))
        await store.begin(a_turn(thread_key("cleo", "dead"), begun_at=datetime.now(UTC)))
        await talk(store, BEN, "early words")
        moment = datetime.now(UTC)
        await talk(store, BEN, "new words")
        # Nothing written for long, but a turn is in flight.
        dora = thread_key("dora", "slow")
        await talk(store, dora, "words")
        await set_clock_back(store, dora)
        await store.begin(a_turn(dora))

        assert await store.expire(moment) == 2
        assert await store.threads("ana") == []
        assert await store.threads("cleo") == []
        assert await store.threads("ben") == [BEN]
        assert await store.threads("dora") == [dora]
        assert len(await checkpoints(store, BEN)) == 2
        assert await store.expire(moment) == 0

    async def test_a_time_without_a_zone_is_refused(self, store: ThreadStore) -> None:
        with pytest.raises(ValueError, match="needs a time zone"):
            await store.expire(datetime(2024, 1, 1))


async def set_clock_back(store: ThreadStore, thread: str) -> None:
    [kept] = await checkpoints(store, thread)
    past = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    config = of(thread, checkpoint_ns="")
    await store.saver.aput(config, {**kept.checkpoint, "ts": past}, {}, {})


@pytest.mark.parametrize("name", ["", "a\x00b", "\ud800"])
def test_an_identifier_must_be_storable(name: str) -> None:
    with pytest.raises(ValidationError, match="identifier"):
        a_turn(name)


@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), min_size=2, unique=True))
def test_no_two_threads_share_a_key(threads: list[tuple[str, str]]) -> None:
    assert len({thread_key(user, thread) for user, thread in threads}) == len(threads)


@given(
    st.sets(
        st.tuples(st.sampled_from(["", "own", "call:1", "call:2"]), st.integers(0, 99)), max_size=60
    ),
    st.integers(1, 8),
)
def test_pruning_keeps_what_a_thread_goes_on_from(held: set[tuple[str, int]], keep: int) -> None:
    rows = [(space, f"{number:03}") for space, number in held]
    gone = set(unkept(rows, keep))
    for space in ("", "own"):
        ids = sorted(id_ for where, id_ in rows if where == space)
        assert [id_ for id_ in ids if (space, id_) not in gone] == ids[-keep:]
    oldest = min((id_ for where, id_ in rows if not where and ("", id_) not in gone), default="")
    for space, id_ in rows:
        if ":" in space:
            assert ((space, id_) in gone) == (id_ < oldest)
