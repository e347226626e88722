"""What a callable reads and writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NotRequired

import pytest
from typing_extensions import TypedDict

from affectgraph.orchestrator.node import Emit, Node
from affectgraph.orchestrator.signature import signature_of
from affectgraph.perceivers.errors import BuildError

if TYPE_CHECKING:
    from decimal import Decimal


class Told(TypedDict):
    summary: str
    length: NotRequired[int]


class Partly(TypedDict, total=False):
    summary: str


async def summarise(utterance: str, limit: int = 3, *, emit: Emit) -> Told:
    raise NotImplementedError


class Summariser:
    async def __call__(self, utterance: str) -> Told:
        raise NotImplementedError

    def partly(self, utterance: str) -> Partly:
        raise NotImplementedError


def test_parameters_are_reads_and_the_typed_dict_is_writes() -> None:
    found = signature_of(summarise)
    assert found.reads == {"utterance": str, "limit": int}
    assert found.optional == {"limit"}
    assert found.writes == {"summary": str, "length": int}
    assert found.sure == {"summary"}
    assert found.given == {"emit"}
    assert found.asynchronous


def test_objects_and_bound_methods() -> None:
    assert signature_of(Summariser()).reads == {"utterance": str}
    assert signature_of(Summariser()).asynchronous
    assert signature_of(Summariser().partly).sure == frozenset()
    assert not signature_of(Summariser().partly).asynchronous


async def hidden(amount: Decimal) -> None:
    raise NotImplementedError


async def bare(utterance) -> None:  # type: ignore[no-untyped-def]
    raise NotImplementedError


async def anything(**state: Any) -> None:
    raise NotImplementedError


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (hidden, "hidden: annotation 'Decimal' cannot be resolved: import it at the top"),
        (bare, "bare: parameter 'utterance' needs a type annotation"),
        (anything, "anything: no state key can fill the parameter 'state': name each key"),
    ],
)
def test_what_cannot_be_known_is_refused(call: Any, message: str) -> None:
    with pytest.raises(BuildError, match=message):
        signature_of(call)


def test_a_node_reads_for_its_degrade_too_and_is_sure_of_what_both_write() -> None:
    def degrade(count: int) -> Partly:
        return {}

    def whole(count: int) -> Told:
        return {"summary": ""}

    partly, sure = Node("n", summarise, degrade=degrade), Node("n", summarise, degrade=whole)
    assert partly.reads == {"utterance": str, "limit": int, "count": int}
    assert partly.optional == {"limit"}
    assert partly.sure == frozenset()
    assert sure.sure == {"summary"}
    assert Node("n", summarise, degrade={"summary": ""}).sure == {"summary"}
    assert Node("n", summarise).sure == frozenset()
