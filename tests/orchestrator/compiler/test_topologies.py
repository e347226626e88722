"""A table of graphs, good and bad, with what is said of each bad one, word for word."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated, Any, Literal, cast

import numpy as np
import pytest
from langgraph.channels.untracked_value import UntrackedValue
from langgraph.graph import END, START
from numpy.typing import NDArray
from typing_extensions import TypedDict

from affectgraph.orchestrator.compiler import Advice, Branch, GraphError, compose
from affectgraph.orchestrator.node import Node
from affectgraph.perceivers.blocking import BlockingPool


class State(TypedDict, total=False):
    said: str
    score: float
    level: int
    words: list[str]
    notes: Annotated[tuple[str, ...], operator.add]


class Score(TypedDict):
    score: float


class Level(TypedDict):
    level: int


class Said(TypedDict):
    said: str


class Notes(TypedDict):
    notes: tuple[str, ...]


class Misspelt(TypedDict):
    scoer: float


class Wordy(TypedDict):
    level: str


def node(name: str, body: Callable[..., Any] | None = None, **options: Any) -> Node:
    async def noted() -> Notes:
        return {"notes": (name,)}

    options.setdefault("degrade", {"notes": ()} if body is None else None)
    return Node(name, body or noted, **options)


async def writes_score() -> Score:
    return {"score": 0.5}


async def writes_level() -> Level:
    return {"level": 1}


async def reads_score(score: float) -> Notes:
    return {"notes": (str(score),)}


async def reads_score_if_any(score: float = 0.0) -> Notes:
    return {"notes": (str(score),)}


async def reads_misspelt(scoer: float) -> None: ...


async def reads_level_as_text(level: str) -> None: ...


async def reads_words(words: list[str]) -> None: ...


async def writes_misspelt() -> Misspelt:
    return {"scoer": 1.0}


async def writes_level_as_text() -> Wordy:
    return {"level": "high"}


async def returns_a_dict() -> dict[str, int]:
    return {"level": 1}


def blocks() -> None: ...


def high_or_low(level: int) -> Literal["high", "low"]:
    return "high" if level > 1 else "low"


def whichever() -> str:
    return "high"


async def chooses_slowly() -> str:
    return "high"


LEVEL = node("level_of", writes_level, degrade={"level": 0})
SCORE = node("score_of", writes_score, degrade={"score": 0.0})
HIGH_LOW = {"high": "high", "low": "low"}


def chain(*names: str) -> list[tuple[str, str]]:
    stops = (START, *names, END)
    return list(pairwise(stops))


@dataclass
class Case:
    """A graph; ``says`` are its faults as they are told, none for a good one."""

    name: str
    nodes: Sequence[Node]
    edges: Sequence[tuple[str, str]]
    branches: Sequence[Branch] = ()
    says: Sequence[str] = ()
    inputs: Sequence[str] = ("said",)
    state: type = State
    ran: Sequence[set[str]] = field(default_factory=list)


A, B, C, D, E = (node(name) for name in "abcde")

GOOD = [
    Case("one node", [A], chain("a"), ran=[{"a"}]),
    Case("a chain", [A, B, C], chain("a", "b", "c"), ran=[{"a", "b", "c"}]),
    Case(
        "a fan and its join",
        [A, B, C, D],
        [*chain("a", "b", "d"), ("a", "c"), ("c", "d")],
        ran=[{"a", "b", "c", "d"}],
    ),
    Case(
        "a fan from the start",
        [A, B, C],
        [(START, "a"), (START, "b"), ("a", "c"), ("b", "c"), ("c", END)],
        ran=[{"a", "b", "c"}],
    ),
    Case(
        "two ends",
        [A, B],
        [(START, "a"), (START, "b"), ("a", END), ("b", END)],
        ran=[{"a", "b"}],
    ),
    Case(
        "a choice and its meeting point",
        [LEVEL, node("high"), node("low"), D],
        [(START, "level_of"), ("high", "d"), ("low", "d"), ("d", END)],
        [Branch("level_of", high_or_low, HIGH_LOW)],
        ran=[{"low", "d"}],
    ),
    Case(
        "a choice that may pass a node over",
        [LEVEL, node("high"), D],
        [(START, "level_of"), ("high", "d"), ("d", END)],
        [Branch("level_of", high_or_low, {"high": "high", "low": "d"})],
        ran=[{"d"}],
    ),
    Case(
        "a choice beside a branch that always runs",
        [LEVEL, node("high"), node("low"), A, D],
        [(START, "level_of"), (START, "a"), ("high", "d"), ("low", "d"), ("a", "d"), ("d", END)],
        [Branch("level_of", high_or_low, HIGH_LOW)],
        ran=[{"low", "a", "d"}],
    ),
    Case(
        "a join of which one source is chosen",
        [LEVEL, node("high"), A, D],
        [(START, "level_of"), ("level_of", "a"), ("a", "d"), ("high", "d"), ("d", END)],
        [Branch("level_of", high_or_low, {"high": "high", "low": END})],
        ran=[{"a", "d"}],
    ),
    Case(
        "a bounded loop",
        [LEVEL, A],
        [(START, "level_of"), ("a", "level_of")],
        [Branch("level_of", whichever, {"high": "a", "low": END}, at_most=2, otherwise="low")],
        ran=[{"a"}],
    ),
    Case(
        "a read with a default that nobody writes",
        [node("n", reads_score_if_any)],
        chain("n"),
        ran=[{"0.0"}],
    ),
    Case(
        "a read of what was written before",
        [SCORE, node("n", reads_score)],
        chain("score_of", "n"),
        ran=[{"0.5"}],
    ),
    Case(
        "two parallel writers of a key with a reducer",
        [A, B],
        [(START, "a"), (START, "b"), ("a", END), ("b", END)],
        ran=[{"a", "b"}],
    ),
    Case(
        "exclusive writers of a plain key",
        [LEVEL, node("high", writes_score), node("low", writes_score)],
        [(START, "level_of"), ("high", END), ("low", END)],
        [Branch("level_of", high_or_low, HIGH_LOW)],
    ),
    Case("blocking code on a pool", [node("n", blocks, pool=BlockingPool(1))], chain("n")),
    Case("quick plain code without a limit", [node("n", blocks, timeout=None)], chain("n")),
    Case(
        "a choice at the very start",
        [node("high"), node("low")],
        [("high", END), ("low", END)],
        [Branch(START, high_or_low, HIGH_LOW)],
        inputs=("level",),
        ran=[{"low"}],
    ),
]


class Media(TypedDict, total=False):
    said: str
    photo: NDArray[np.uint8]


class Untracked(TypedDict, total=False):
    said: str
    photo: Annotated[NDArray[np.uint8], UntrackedValue]


GOOD.append(Case("media that are not tracked", [node("n", blocks, timeout=None)], chain("n"),
                 state=Untracked))  # fmt: skip

BAD = [
    Case(
        "a read that nobody writes",
        [node("n", reads_score)],
        chain("n"),
        says=[
            "node 'n' reads 'score', which nobody writes (add a node that writes it, name it in"
            " inputs, or give the parameter 'score' a default)"
        ],
    ),
    Case(
        "a read that is written later",
        [node("n", reads_score), SCORE],
        chain("n", "score_of"),
        says=[
            "node 'n' reads 'score', which 'score_of' writes only beside or after it (lead through"
            " 'score_of' first, or give the parameter a default)"
        ],
    ),
    Case(
        "a read that is written beside",
        [node("n", reads_score), SCORE],
        [(START, "n"), (START, "score_of"), ("n", END), ("score_of", END)],
        says=[
            "node 'n' reads 'score', which 'score_of' writes only beside or after it (lead through"
            " 'score_of' first, or give the parameter a default)"
        ],
    ),
    Case(
        "a read that is written on another way",
        [
            LEVEL,
            node("high", writes_score, degrade={"score": 0.0}),
            node("low"),
            node("n", reads_score),
        ],
        [(START, "level_of"), ("high", "n"), ("low", "n"), ("n", END)],
        [Branch("level_of", high_or_low, HIGH_LOW)],
        says=[
            "node 'n' reads 'score', which 'high' writes only on other ways (lead through 'high'"
            " first, or give the parameter a default)"
        ],
    ),
    Case(
        "a read that fails with its writer",
        [node("score_of", writes_score), node("n", reads_score)],
        chain("score_of", "n"),
        says=[
            "node 'n' reads 'score', which is unwritten when 'score_of' fails (give 'score_of' a"
            " degrade that writes 'score', or the parameter a default)"
        ],
    ),
    Case(
        "a choice by what nobody writes",
        [A, node("high"), node("low")],
        [(START, "a"), ("high", END), ("low", END)],
        [Branch("a", high_or_low, HIGH_LOW)],
        says=[
            "the branch after 'a' reads 'level', which nobody writes (add a node that writes it,"
            " name it in inputs, or give the parameter 'level' a default)"
        ],
    ),
    Case(
        "a read of no key",
        [node("n", reads_misspelt)],
        chain("n"),
        says=["node 'n' reads 'scoer', which is no key of the state (did you mean 'score'?)"],
    ),
    Case(
        "a write of no key",
        [node("n", writes_misspelt)],
        chain("n"),
        says=["node 'n' writes 'scoer', which is no key of the state (did you mean 'score'?)"],
    ),
    Case(
        "a writer and a reader of different types",
        [LEVEL, node("n", reads_level_as_text)],
        chain("level_of", "n"),
        says=[
            "node 'n' reads 'level' as str, but node 'level_of' writes int (change one of the two)"
        ],
    ),
    Case(
        "a writer of another type than the state's",
        [node("n", writes_level_as_text)],
        chain("n"),
        says=["node 'n' writes 'level' as str, but the state takes int (change one of the two)"],
    ),
    Case(
        "a result that names no keys",
        [node("n", returns_a_dict)],
        chain("n"),
        says=[
            "node 'n' returns dict[str, int], which does not say which keys it writes (annotate it"
            " with a TypedDict of them, or with None)"
        ],
    ),
    Case(
        "two parallel writers of a plain key",
        [SCORE, node("other", writes_score)],
        [(START, "score_of"), (START, "other"), ("score_of", END), ("other", END)],
        says=[
            "'score_of' and 'other' run side by side and both write 'score' (give 'score' a reducer"
            " (Annotated[..., function]), or a key to each)"
        ],
    ),
    Case(
        "two parallel holders of a list",
        [node("n", reads_words), node("m", reads_words)],
        [(START, "n"), (START, "m"), ("n", END), ("m", END)],
        says=[
            "'n' and 'm' run side by side and both hold 'words', a list that one could change under"
            " the other (keep a tuple, a Mapping or a frozen class in the state)"
        ],
        inputs=("words",),
    ),
    Case(
        "an orphan",
        [A, B],
        [*chain("a"), ("b", END)],
        says=[
            "nothing leads to node 'b' (add an edge to it from START or from a node that runs"
            " before 'b')"
        ],
    ),
    Case(
        "a dead end",
        [A, B],
        [*chain("a"), ("a", "b")],
        says=["node 'b' leads nowhere (add an edge from it to END or to what follows)"],
    ),
    Case(
        "no beginning",
        [A],
        [("a", END)],
        says=[
            "nothing leads to node 'a' (add an edge to it from START or from a node that runs"
            " before 'a')",
            "no edge starts at START (name the first node)",
        ],
    ),
    Case(
        "an edge to a node that is not there",
        [node("perceive")],
        [*chain("perceive"), ("percieve", END)],
        says=[
            "an edge leads from 'percieve' to '__end__', but there is no node 'percieve' (did you"
            " mean 'perceive'?)"
        ],
    ),
    Case(
        "an edge out of the end",
        [A],
        [*chain("a"), (END, "a")],
        says=[
            "an edge leads from '__end__' to 'a': nothing leads into START or out of END (turn the"
            " edge round)"
        ],
    ),
    Case(
        "an edge that stands twice",
        [A, B],
        [*chain("a", "b"), ("a", "b")],
        says=["the edge from 'a' to 'b' stands 2 times (name it once)"],
    ),
    Case(
        "two nodes of one name",
        [A, node("a")],
        chain("a"),
        says=["2 nodes are named 'a' (name each differently)"],
    ),
    Case(
        "a node with the name of a key",
        [node("score")],
        chain("score"),
        says=[
            "node 'score' has the name of a state key (LangGraph keeps both in one table: rename"
            " the node)"
        ],
    ),
    Case(
        "a name that means something to LangGraph",
        [node("a:b")],
        chain("a:b"),
        says=[
            "'a:b' cannot name a node (give a name without ':' and '|' that is not LangGraph's own)"
        ],
    ),
    Case(
        "blocking code with a time limit",
        [node("n", blocks, timeout=5.0)],
        chain("n"),
        says=[
            "node 'n' is a plain function, which its time limit of 5 s cannot stop (make it async,"
            " or give it a BlockingPool, or timeout=None if it is quick)"
        ],
    ),
    Case(
        "a cycle without a bound",
        [A, B],
        [*chain("a", "b"), ("b", "a")],
        says=[
            "'a' and 'b' can go round without end (lead back by a Branch with at_most and"
            " otherwise)"
        ],
    ),
    Case(
        "a node that follows itself",
        [A],
        [*chain("a"), ("a", "a")],
        says=["'a' can repeat without end (lead back by a Branch with at_most and otherwise)"],
    ),
    Case(
        "a choice that leads back without a bound",
        [LEVEL, A],
        [(START, "level_of"), ("a", "level_of")],
        [Branch("level_of", high_or_low, {"high": "a", "low": END})],
        says=[
            "'level_of' and 'a' can go round without end (lead back by a Branch with at_most and"
            " otherwise)"
        ],
    ),
    Case(
        "a bound without a way out",
        [LEVEL, A],
        [(START, "level_of"), ("a", "level_of")],
        [Branch("level_of", high_or_low, {"high": "a", "low": END}, at_most=2)],
        says=[
            "the branch after 'level_of' has a bound and no way out (set otherwise to one of 'low'"
            " that does not lead back)"
        ],
    ),
    Case(
        "a bound that bounds nothing",
        [LEVEL, node("high"), node("low")],
        [(START, "level_of"), ("high", END), ("low", END)],
        [Branch("level_of", high_or_low, HIGH_LOW, at_most=2, otherwise="low")],
        says=["the branch after 'level_of' has a bound and never leads back (drop at_most)"],
    ),
    Case(
        "a label that leads nowhere",
        [LEVEL, node("high")],
        [(START, "level_of"), ("high", END)],
        [Branch("level_of", high_or_low, {"high": "high"})],
        says=[
            "the branch after 'level_of' may choose 'low', which leads nowhere (name its target)"
        ],
    ),
    Case(
        "a label that is never chosen",
        [LEVEL, node("high"), node("low"), A],
        [(START, "level_of"), ("high", END), ("low", END), ("a", END)],
        [Branch("level_of", high_or_low, {**HIGH_LOW, "mid": "a"})],
        says=[
            "the branch after 'level_of' never chooses 'mid' (drop its target, or widen the"
            " Literal)"
        ],
    ),
    Case(
        "a branch to a node that is not there",
        [LEVEL, node("high")],
        [(START, "level_of"), ("high", END)],
        [Branch("level_of", high_or_low, HIGH_LOW)],
        says=[
            "the branch after 'level_of' leads by 'low' to 'low', but there is no node 'low' (add"
            " the node, or drop the edge)"
        ],
    ),
    Case(
        "two choices after one node",
        [LEVEL, node("high"), node("low")],
        [(START, "level_of"), ("high", END), ("low", END)],
        [Branch("level_of", high_or_low, HIGH_LOW)] * 2,
        says=[
            "2 branches start at 'level_of' (one node makes one choice: join them, or put a node"
            " between)"
        ],
    ),
    Case(
        "a choice that would have to wait",
        [A, node("high")],
        [(START, "a"), ("high", END)],
        [Branch("a", cast("Any", chooses_slowly), {"high": "high"})],
        says=[
            "the choice after 'a' is a coroutine (decide in the node, and choose by what it wrote)"
        ],
    ),
    Case(
        "media in a checkpoint",
        [node("n", blocks, timeout=None)],
        chain("n"),
        state=Media,
        says=[
            "the state key 'photo' can hold media, which would go into every checkpoint (annotate"
            " it with LangGraph's UntrackedValue)"
        ],
    ),
    Case(
        "two joins that LangGraph would run together",
        [node("high"), A, B, C],
        [(START, "high"), (START, "a"), ("a", "b"), ("b", "c"), ("c", END)],
        [Branch("high", whichever, {"high": "c", "low": "b"})],
        says=[
            "'b' and 'c' both wait for nodes that a branch may pass over, and 'c' also follows"
            " 'high': LangGraph would not keep their order (let 'high' lead to 'b', or fold a"
            " branch into its node)"
        ],
    ),
    Case(
        "many faults at once",
        [node("n", reads_score), node("m", writes_misspelt), node("o", blocks)],
        [(START, "n"), ("n", "m")],
        says=[
            "node 'o' is a plain function, which its time limit of 10 s cannot stop (make it async,"
            " or give it a BlockingPool, or timeout=None if it is quick)",
            "node 'm' writes 'scoer', which is no key of the state (did you mean 'score'?)",
            "node 'n' leads nowhere (add an edge from it to END or to what follows)",
            "node 'm' leads nowhere (add an edge from it to END or to what follows)",
            "nothing leads to node 'o' (add an edge to it from START or from a node that runs"
            " before 'o')",
            "node 'o' leads nowhere (add an edge from it to END or to what follows)",
            "node 'n' reads 'score', which nobody writes (add a node that writes it, name it in"
            " inputs, or give the parameter 'score' a default)",
        ],
    ),
]


def composed(case: Case) -> Any:
    with warnings.catch_warnings():
        # Told of in a test of its own.
        warnings.simplefilter("ignore", Advice)
        return compose(case.state, case.nodes, case.edges, case.branches, inputs=case.inputs)


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.name)
async def test_a_good_graph_runs_each_node_once(case: Case) -> None:
    app = composed(case).compile()
    state = await app.ainvoke({"said": "hello", "level": 0})
    for expected in case.ran:
        notes = list(state.get("notes", ()))
        assert set(notes) == expected
        assert len(notes) == len(expected) or "loop" in case.name


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_a_bad_graph_is_refused_with_all_its_faults(case: Case) -> None:
    with pytest.raises(GraphError) as caught:
        composed(case)
    assert [str(fault) for fault in caught.value.faults] == list(case.says)
    for said in case.says:
        assert said in str(caught.value)


def test_the_table_is_long_enough() -> None:
    names = [case.name for case in (*GOOD, *BAD)]
    assert len(names) == len(set(names)) >= 30


async def test_a_bounded_loop_goes_round_as_often_as_it_may() -> None:
    case = next(case for case in GOOD if case.name == "a bounded loop")
    state = await composed(case).compile().ainvoke({"said": "hello"})
    assert state["notes"] == ("a", "a")


def test_a_node_that_waits_in_vain_is_told_of() -> None:
    edges = [*chain("a", "b", "d", "e"), ("a", "c"), ("c", "e")]
    with pytest.warns(Advice) as told:
        compose(State, [A, B, C, D, E], edges)
    assert str(told[0].message) == (
        "node 'd' needs only 'b' but starts after 'c' too (fold 'b' and 'd' into one node)"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compose(State, [A, B, C], [*chain("a", "b"), ("a", "c"), ("c", END)])


def test_too_many_ways_are_refused() -> None:
    count = 13
    nodes = [node(f"n{i}") for i in range(count + 1)]
    sides = [node(f"s{i}") for i in range(count)]
    branches = [
        Branch(f"n{i}", whichever, {"high": f"s{i}", "low": f"n{i + 1}"}) for i in range(count)
    ]
    edges = [(START, "n0"), (f"n{count}", END), *((f"s{i}", f"n{i + 1}") for i in range(count))]
    with pytest.raises(GraphError, match="more than 4,096 ways through the graph"):
        compose(State, [*nodes, *sides], edges, branches)


async def test_a_choice_sees_what_its_node_does_not_read() -> None:
    case = next(case for case in GOOD if case.name == "a choice at the very start")
    quiet = node("quiet", blocks, timeout=None)
    branch = Branch("quiet", high_or_low, HIGH_LOW)
    edges = [(START, "quiet"), ("high", END), ("low", END)]
    graph: Any = compose(State, [quiet, *case.nodes], edges, [branch], inputs=["level"])
    assert (await graph.compile().ainvoke({"level": 5}))["notes"] == ("high",)


async def test_a_join_that_a_loop_comes_back_to() -> None:
    back = Branch("c", whichever, {"high": "a", "low": "d"}, at_most=1, otherwise="low")
    edges = [(START, "a"), (START, "b"), ("a", "c"), ("b", "c"), ("d", END)]
    graph: Any = compose(State, [A, B, C, D], edges, [back])
    notes = (await graph.compile().ainvoke({"said": ""}))["notes"]
    assert sorted(notes) == ["a", "a", "b", "c", "c", "d"]


def test_a_degraded_result_is_checked_too() -> None:
    wrong = node("level_of", writes_level, degrade={"level": "none"})
    with pytest.raises(GraphError) as caught:
        compose(State, [wrong], chain("level_of"))
    assert [str(fault) for fault in caught.value.faults] == [
        "the degrade of node 'level_of' writes 'level' as str, but the state takes int (change one"
        " of the two)"
    ]
