from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from affectgraph.reasoners.backends.replicas import Replicas
from affectgraph.reasoners.contracts import Message

A, B, C = "http://a/v1", "http://b/v1", "http://c/v1"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def said(*words: str) -> list[Message]:
    """A system text, then the person and the companion in turns."""
    roles = ("user", "assistant")
    turns = [Message(role=roles[i % 2], content=w) for i, w in enumerate(words)]  # type: ignore[arg-type]
    return [Message(role="system", content="Be kind."), *turns]


def ask(replicas: Replicas, messages: list[Message]) -> str:
    replica = replicas.pick(messages)
    assert replica is not None
    replicas.begin(replica, messages)
    replicas.end(replica)
    return replica.address


def test_a_conversation_stays_and_new_ones_are_spread() -> None:
    replicas = Replicas([A, B, C])
    homes = {name: ask(replicas, said(f"I am {name}.")) for name in ("Ada", "Ben", "Cleo")}
    assert set(homes.values()) == {A, B, C}
    for name, home in homes.items():
        history = [f"I am {name}."]
        for turn in range(3):
            # The stages of one turn: an unfinished reply hangs on to the same words.
            assert ask(replicas, said(*history, "User emotion:")) == home
            history += ["I hear you.", f"And then {turn}."]
            assert ask(replicas, said(*history)) == home


def test_an_opening_that_many_share_is_no_conversation() -> None:
    replicas = Replicas([A, B])
    shown = ("I failed.", "(sadness)(Approval)(neutral): I hear you.")
    homes = [ask(replicas, said(*shown, f"Number {n}.")) for n in range(8)]
    assert homes.count(A) == homes.count(B) == 4


def test_a_busy_home_is_left_only_if_it_is_much_busier() -> None:
    replicas = Replicas([A, B], slack=2)
    talk = said("Hello.")
    home = replicas.pick(talk)
    assert home is not None
    replicas.begin(home, talk)
    for _ in range(2):
        replicas.begin(home)
    assert replicas.pick(talk) is not home
    replicas.end(home)
    assert replicas.pick(talk) is home


def test_what_fails_is_left_alone_for_longer_and_longer_and_comes_back() -> None:
    clock = Clock()
    replicas = Replicas([A, B], cool_down=5, longest=12, clock=clock)
    first = replicas.all[0]
    for pause in (5, 10, 12):
        replicas.begin(first)
        replicas.end(first, failed=True)
        clock.now += pause - 0.1
        assert replicas.pick() is replicas.all[1]
        clock.now += 0.2
    assert first in (replicas.pick(), replicas.pick(tried=[B]))
    replicas.begin(first)
    replicas.end(first)
    assert first.failures == 0


def test_a_pause_that_the_server_asks_for_is_kept() -> None:
    clock = Clock()
    replicas = Replicas([A, B], clock=clock)
    replicas.begin(replicas.all[0])
    replicas.end(replicas.all[0], failed=True, pause=30)
    clock.now += 29
    assert replicas.pick() is replicas.all[1]


def test_where_all_are_left_alone_the_first_to_come_back_is_asked() -> None:
    clock = Clock()
    replicas = Replicas([A, B], clock=clock)
    for replica, pause in zip(replicas.all, (9, 3), strict=True):
        replicas.begin(replica)
        replicas.end(replica, failed=True, pause=pause)
    assert replicas.pick() is replicas.all[1]
    assert replicas.pick(tried=[B]) is replicas.all[0]
    assert replicas.pick(tried=[A, B]) is None


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.booleans()), max_size=40))
def test_somebody_is_always_found_and_the_counts_stay_right(
    events: list[tuple[int, bool, bool]],
) -> None:
    clock = Clock()
    replicas = Replicas([A, B, C], clock=clock)
    for who, failed, later in events:
        clock.now += 3.0 if later else 0.0
        picked = replicas.pick(said(f"Hello {who}."))
        assert picked is not None
        replicas.begin(picked, said(f"Hello {who}."))
        replicas.end(picked, failed=failed)
    assert all(replica.busy == 0 for replica in replicas.all)
    assert sum(replica.asked for replica in replicas.all) == len(events)
