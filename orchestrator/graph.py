"""The shape of the support graph: a plain LangGraph ``StateGraph`` over wrapped nodes.

At most seven supersteps in the joint form: admit, the perceivers side by side, fuse, triage and
recall side by side, escalate, reason or crisis, remember.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from langgraph.graph import END, START, StateGraph

from affectgraph.orchestrator import answering, perceiving
from affectgraph.orchestrator.node import Node
from affectgraph.orchestrator.parts import Parts
from affectgraph.orchestrator.state import TurnState
from affectgraph.reasoners.stages import SmesStaged

SupportGraph = StateGraph[TurnState, None, TurnState, TurnState]


def support_graph(parts: Parts) -> SupportGraph:
    """Join parts into the support graph, ready to be compiled, extended or embedded."""
    graph: SupportGraph = StateGraph(TurnState)
    senses = [perceiving.perceiver_node(p, parts) for p in parts.perceivers]
    reasoning = _reasoning(parts)

    def add(*nodes: Node) -> None:
        for node in nodes:
            graph.add_node(node.name, node.wrapped())

    add(perceiving.admit_node(parts), *senses, perceiving.fuse_node(parts))
    add(answering.triage_node(parts), answering.recall_node(parts))
    add(answering.escalate_node(parts), answering.crisis_node(parts))
    add(*reasoning, answering.remember_node(parts))

    graph.add_edge(START, "admit")
    if senses:
        for node in senses:
            graph.add_edge("admit", node.name)
        graph.add_edge([node.name for node in senses], "fuse")
    else:
        graph.add_edge("admit", "fuse")
    graph.add_edge("fuse", "triage")
    graph.add_edge("fuse", "recall")
    graph.add_edge(["triage", "recall"], "escalate")
    graph.add_conditional_edges(
        "escalate", answering.path_of, {"crisis": "crisis", "reason": reasoning[0].name}
    )
    for before, after in pairwise(reasoning):
        graph.add_edge(before.name, after.name)
    graph.add_edge(reasoning[-1].name, "remember")
    graph.add_edge("crisis", "remember")
    graph.add_edge("remember", END)
    return graph


def _reasoning(parts: Parts) -> Sequence[Node]:
    """The reasoner's nodes in their order: four for the staged form, one for the joint."""
    if isinstance(parts.reasoner, SmesStaged):
        decide = [answering.decide_node(stage, parts) for stage in parts.reasoner.stages]
        return [*decide, answering.respond_node(parts.reasoner.response, parts)]
    return [answering.joint_node(parts.reasoner, parts)]
