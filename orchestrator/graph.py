"""The shape of the support graph: a plain LangGraph ``StateGraph`` over wrapped nodes.

At most seven supersteps in the joint form: admit, the perceivers side by side, fuse, triage and
recall side by side, escalate, reason or crisis, remember. A hand-off adds one.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from itertools import pairwise
from typing import Final

from langgraph.graph import END, START, StateGraph

from affectgraph.orchestrator import answering, closing, perceiving, weighing
from affectgraph.orchestrator.compiler import Branch, compose
from affectgraph.orchestrator.node import Node
from affectgraph.orchestrator.parts import Parts
from affectgraph.orchestrator.state import TurnState
from affectgraph.perceivers.errors import BuildError
from affectgraph.reasoners.stages import SmesStaged

SupportGraph = StateGraph[TurnState, None, TurnState, TurnState]

INPUTS: Final = frozenset({"turn"})
"""What the caller of the support graph gives; all else a thread keeps or a node writes."""


def support_nodes(parts: Parts) -> tuple[Node, ...]:
    """The nodes of the support graph, in the order of a turn.

    Raises:
        BuildError: If a node is to be replaced that is not in the graph.
    """
    senses = [perceiving.perceiver_node(perceiver, parts) for perceiver in parts.perceivers]
    handing = [closing.hand_off_node(parts.hand_off)] if parts.hand_off else []
    own = (
        perceiving.admit_node(parts),
        *senses,
        perceiving.fuse_node(parts),
        weighing.triage_node(parts),
        weighing.recall_node(parts),
        weighing.escalate_node(parts),
        answering.crisis_node(parts),
        *handing,
        *_reasoning(parts),
        closing.remember_node(parts),
    )
    names = [node.name for node in own]
    for name, node in parts.nodes.items():
        if name not in names:
            near = get_close_matches(name, names, n=1)
            raise BuildError(
                f"there is no node {name!r} to replace: "
                + (f"did you mean {near[0]!r}?" if near else f"the graph has {', '.join(names)}")
            )
        if node.name != name:
            raise BuildError(f"the node in the place of {name!r} is named {node.name!r}")
    return tuple(parts.nodes.get(node.name, node) for node in own)


def support_graph(parts: Parts) -> SupportGraph:
    """Join parts into the support graph, ready to be compiled, extended or embedded.

    Raises:
        BuildError: If the parts do not fit together; every fault is listed.
    """
    reasoning = [node.name for node in _reasoning(parts)]
    senses: list[str] = [perceiver.modality for perceiver in parts.perceivers]
    answered = [*pairwise(reasoning), (reasoning[-1], "remember"), ("remember", END)]
    branches = [Branch("escalate", weighing.path_of, {"crisis": "crisis", "reason": reasoning[0]})]
    if parts.hand_off:
        targets = {"hand_off": "hand_off", "remember": "remember"}
        branches.append(Branch("crisis", closing.hands_off(parts.hand_off), targets))
        answered.append(("hand_off", "remember"))
    else:
        answered.append(("crisis", "remember"))
    return compose(
        TurnState,
        support_nodes(parts),
        [
            (START, "admit"),
            *(("admit", sense) for sense in senses),
            *((sense, "fuse") for sense in senses or ["admit"]),
            *[("fuse", "triage"), ("fuse", "recall")],
            *[("triage", "escalate"), ("recall", "escalate")],
            *answered,
        ],
        branches,
        inputs=INPUTS,
    )


def _reasoning(parts: Parts) -> Sequence[Node]:
    """The reasoner's nodes in their order: four for the staged form, one for the joint."""
    if isinstance(parts.reasoner, SmesStaged):
        decide = [answering.decide_node(stage, parts) for stage in parts.reasoner.stages]
        return [*decide, answering.respond_node(parts.reasoner.response, parts)]
    return [answering.joint_node(parts.reasoner, parts)]
