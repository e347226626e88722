"""The same no-op turn as a haystack pipeline: the same steps, fan-outs, joins and branch.

Haystack keeps no threads; the history is handed in and kept in a dictionary. Tokens go to a
callback, as its generators' do.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from inspect import signature
from typing import Any, Final

from affectgraph.memory.record import Cue
from affectgraph.orchestrator import Parts
from affectgraph.perceivers.turn import Turn
from affectgraph.policies.triage import accumulate
from affectgraph.reasoners.context import Exchange, ReasoningContext
from affectgraph.reasoners.contracts import JointReasoner
from affectgraph.reasoners.plan import Decision, Plan
from benchmarks.graphs.noop import ABSENT


class HaystackTurns:
    """Takes turns through one pipeline.

    Raises:
        ImportError: If haystack is not installed.
    """

    def __init__(self, parts: Parts) -> None:
        # It reports its use to its makers otherwise.
        os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")
        self.pieces = 0
        self._histories: dict[str, tuple[Exchange, ...]] = {}
        self._pipeline = _pipeline(_Steps(parts, self._count))

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def take(self, turn: Turn) -> str:
        """Take one turn; the reply."""
        history = self._histories.get(turn.thread, ())
        done = await self._pipeline.run_async({"admit": {"turn": turn, "history": history}})
        exchange: Exchange = done["remember"]["exchange"]
        self._histories[turn.thread] = (*history, exchange)
        return exchange.replied

    def _count(self, _piece: str) -> None:
        self.pieces += 1


class _Steps:
    """What the components do."""

    def __init__(self, parts: Parts, told: Callable[[str], None]) -> None:
        assert isinstance(parts.reasoner, JointReasoner)
        assert parts.memory is not None
        self._parts, self._told = parts, told
        self._reasoner, self._memory = parts.reasoner, parts.memory
        self._senses = {perceiver.modality: perceiver for perceiver in parts.perceivers}

    async def admit(self, turn: Any, history: Any) -> Any:
        self._parts.safety.disclosure.notices(turn.at, None, turn.text, ())
        return {"turn": turn, "history": history}

    async def text(self, turn: Any) -> Any:
        return {"reading": await self._senses["text"].perceive(turn)}

    async def face(self, turn: Any) -> Any:
        if not turn.images:
            return {"reading": ABSENT["face"]}
        return {"reading": await self._senses["face"].perceive(turn)}

    async def speech(self, turn: Any) -> Any:
        if turn.audio is None:
            return {"reading": ABSENT["speech"]}
        return {"reading": await self._senses["speech"].perceive(turn)}

    async def fuse(self, text: Any, face: Any, speech: Any) -> Any:
        return {"affect": await self._parts.fusion.fuse((text, face, speech))}

    async def triage(self, turn: Any, affect: Any) -> Any:  # noqa: ARG002 - after the fusion
        return {"risk": self._parts.safety.triage.assess(turn.text)}

    async def recall(self, turn: Any, affect: Any) -> Any:
        cue = Cue(user=turn.user, text=turn.text, affect=affect)
        return {"recalled": tuple(await self._memory.recall(cue))}

    async def escalate(self, risk: Any, recalled: Any) -> Any:
        return {"crisis" if accumulate(0, risk) >= 3 else "calm": (risk, recalled)}

    async def crisis(self, weighed: Any) -> Any:
        return {"said": self._parts.safety.crisis.respond(weighed[0]).text}

    async def reason(self, weighed: Any, turn: Any, affect: Any, history: Any) -> Any:
        context = ReasoningContext(
            utterance=turn.text, affect=affect, recollections=weighed[1], history=history
        )
        plan, pieces = Plan(), []
        async for item in self._reasoner.reason(context):
            if isinstance(item, Decision):
                plan = plan.deciding(item)
            else:
                pieces.append(item)
                self._told(item)
        return {"said": "".join(pieces), "plan": plan}

    async def remember(self, turn: Any, said: Any, plan: Any) -> Any:
        return {"exchange": Exchange(said=turn.text, replied=said, plan=plan)}


_OUTPUTS: Final[Mapping[str, Sequence[str]]] = {
    "admit": ("turn", "history"),
    "text": ("reading",),
    "face": ("reading",),
    "speech": ("reading",),
    "fuse": ("affect",),
    "triage": ("risk",),
    "recall": ("recalled",),
    "escalate": ("crisis", "calm"),
    "crisis": ("said",),
    "reason": ("said", "plan"),
    "remember": ("exchange",),
}

_CONNECTED: Final = (
    *(("admit.turn", f"{name}.turn") for name in ("text", "face", "speech")),
    *((f"{name}.reading", f"fuse.{name}") for name in ("text", "face", "speech")),
    *(("admit.turn", f"{name}.turn") for name in ("triage", "recall", "reason", "remember")),
    *(("fuse.affect", f"{name}.affect") for name in ("triage", "recall", "reason")),
    ("triage.risk", "escalate.risk"),
    ("recall.recalled", "escalate.recalled"),
    ("escalate.crisis", "crisis.weighed"),
    ("escalate.calm", "reason.weighed"),
    ("admit.history", "reason.history"),
    ("reason.said", "remember.said"),
    ("reason.plan", "remember.plan"),
)


def _pipeline(steps: _Steps) -> Any:
    haystack: Any = import_module("haystack")
    pipeline = haystack.Pipeline()
    for name, outputs in _OUTPUTS.items():
        pipeline.add_component(name, _component(outputs, getattr(steps, name)))
    for sender, receiver in _CONNECTED:
        pipeline.connect(sender, receiver)
    return pipeline


def _component(outputs: Sequence[str], call: Callable[..., Any]) -> Any:
    """A component of one method, with inputs and outputs of any type."""
    component: Any = import_module("haystack").component

    class Step:
        def __init__(self) -> None:
            component.set_input_types(self, **dict.fromkeys(signature(call).parameters, Any))

        def run(self, **given: Any) -> Any:
            return asyncio.run(call(**given))

        async def run_async(self, **given: Any) -> Any:
            return await call(**given)

    for method in (Step.run, Step.run_async):
        component.output_types(**dict.fromkeys(outputs, Any))(method)
    return component(Step)()
