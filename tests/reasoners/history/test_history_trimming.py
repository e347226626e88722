from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from affectgraph.reasoners.context import Exchange, Recap
from affectgraph.reasoners.history import trimmed
from affectgraph.reasoners.history.trimming import AT_RISK


def exchange(n: int, risk: int = 0, recap: Recap | None = None) -> Exchange:
    return Exchange(said=f"said {n}", replied="Yes?", turn=f"t{n}", risk_level=risk, recap=recap)


def turns(history: tuple[Exchange, ...]) -> list[int]:
    return [int(e.turn[1:]) for e in history]


def test_the_latest_stay_and_of_the_others_those_at_risk() -> None:
    history = [exchange(n, risk=3 if n == 1 else 0) for n in range(8)]
    assert turns(trimmed(history, 3)) == [1, 5, 6, 7]


def test_so_many_at_risk_stay_at_most_the_gravest_first() -> None:
    risks = [2, 5, *[2] * AT_RISK, 3, 0, 0, 0]
    history = [exchange(n, risk) for n, risk in enumerate(risks)]
    # Two too many, beside the latest two: the oldest of the least grave go.
    assert turns(trimmed(history, 2)) == [1, *range(4, AT_RISK + 3), AT_RISK + 4, AT_RISK + 5]


def test_what_the_newest_recap_names_stays_and_older_recaps_go() -> None:
    history = [exchange(n) for n in range(6)]
    history[2] = exchange(2, recap=Recap(kept=("t0",)))
    history[5] = exchange(5, recap=Recap(kept=("t1", "t5")))
    kept = trimmed(history, 4)
    assert turns(kept) == [1, 2, 3, 4, 5]
    assert [e.turn for e in kept if e.recap] == ["t5"]


def test_an_exchange_without_a_turn_is_known_by_its_words() -> None:
    one, other = (Exchange(said=said, replied="Yes?") for said in ("a", "b"))
    assert one.key == Exchange(said="a", replied="Yes?").key != other.key
    assert Exchange(said="a", replied="Yes?", turn="t").key == "t"


@given(st.lists(st.integers(0, 6), max_size=30), st.integers(1, 8))
def test_all_at_risk_stay_and_of_the_others_only_the_latest(risks: list[int], keep: int) -> None:
    history = [exchange(n, risk) for n, risk in enumerate(risks)]
    kept = trimmed(history, keep)
    assert {n for n, risk in enumerate(risks) if risk >= 2} <= set(turns(kept))
    assert sum(e.risk_level < 2 for e in kept) <= keep
    assert turns(kept) == sorted(turns(kept))
    assert turns(kept)[-keep:] == list(range(len(history)))[-keep:]
