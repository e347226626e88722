"""The suite of a node of the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from affectgraph.orchestrator.node import Node, Retry
from affectgraph.orchestrator.testing.conformance.asynchronous import AsyncSuite
from affectgraph.orchestrator.testing.conformance.basics import NonconformityError, run, want
from affectgraph.orchestrator.testing.conformance.suite import suite
from affectgraph.orchestrator.testing.run_node import NodeRun, run_node
from affectgraph.perceivers.errors import BuildError

State = Mapping[str, Any]


class NodeSuite(AsyncSuite[Node, State, NodeRun]):
    """What every node does, run with its wrapper around it."""

    contract = "node"
    protocol = Node
    states: tuple[State, ...] = ()
    word: str = ""

    def samples(self) -> Sequence[State]:
        """The author's states."""
        return [dict(state) for state in self.states]

    def private(self) -> tuple[State, str]:
        """The author's first state, with the word that stands in it."""
        return self.samples()[0], self.word

    async def ask(self, part: Node, sample: State) -> NodeRun:
        """Run the node."""
        return await run_node(part, **sample)

    def compared(self, answer: NodeRun) -> object:
        """All but the time that it took."""
        return answer.update, answer.events, answer.left_out

    def verify(self, part: Node, sample: State, answer: NodeRun) -> None:
        """The node ran to its end and wrote what it declares."""
        del sample
        why = answer.left_out.detail if answer.left_out else ""
        want(answer.left_out is None, f"A node works on the states that it is given ({why}).")
        missing = sorted(part.signature.sure - set(answer.update))
        want(
            not missing,
            "A node writes every key that its TypedDict requires, and marks NotRequired what it"
            f" may leave out ({', '.join(missing)}).",
        )

    # Checks of its own.

    def test_it_declares_what_it_reads_and_writes(self) -> None:
        """The compiler joins nodes by nothing else."""
        made = self.make()
        try:
            keys = {*made.reads, *made.writes}
        except BuildError as error:
            raise NonconformityError(
                f"A node declares what it reads and writes by its annotations ({error})."
            ) from error
        want(
            keys,
            "A node declares state keys: by the names of its parameters, and by the TypedDict"
            " that it returns.",
        )

    def test_it_can_be_left_out(self) -> None:
        """A turn goes on with the degraded result when the body fails."""
        made = self.make()
        declared = made.signature.writes
        for state in self.samples():
            broken = _with_body(made, _fails)
            given = {key: value for key, value in state.items() if key in broken.reads}
            update = run(run_node(broken, **given)).update
            want(
                set(update) <= set(declared) and made.degraded.sure <= set(update),
                "A node's degraded result has keys that its body writes, and no others.",
            )
            if update:
                again = run(run_node(_with_body(made, _giving(update, made.signature.returns))))
                want(
                    again.left_out is None,
                    "A node's degraded result has values of the types that its body writes.",
                )


async def _fails() -> None:
    raise RuntimeError("made to fail")


def _giving(update: Mapping[str, Any], returns: object) -> Callable[..., Any]:
    async def gives() -> Any:
        return dict(update)

    gives.__annotations__ = {"return": returns}
    return gives


def _with_body(made: Node, body: Callable[..., Any]) -> Node:
    """The node with another body; made anew, since a subclass may take other arguments."""
    return Node(made.name, body, made.timeout, made.degrade, retry=Retry(attempts=1))


def node(
    make: Callable[[], Node],
    *,
    states: Sequence[State],
    word: str = "quillfeather",
    deterministic: bool = True,
) -> type[NodeSuite]:
    """The suite of a node: ``TestMine = conformance.node(Mine, states=[{"utterance": "Hi."}])``.

    Args:
        make: Makes a fresh node: a class whose arguments have defaults, or a function.
        states: The keys that it reads, with values that it works on; one state at least.
        word: A word of the person that must not be told; put it into the first state.
        deterministic: Whether the same state gives the same update and events.
    """
    return suite(NodeSuite, make, states=tuple(states), word=word, deterministic=deterministic)
