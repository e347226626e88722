"""The agent for LangGraph's own tools: ``langgraph dev``, Studio and ``langgraph_sdk`` clients.

A small outer graph stands around the support graph, because what those tools send is JSON and
comes from someone else's machine: its one node checks the input, says whose turn it is, runs the
support graph as a subgraph, and tells its events and its reply as JSON. ``langgraph.json`` names
:data:`graph`; docs/studio.md says how to use it and what its clients may see.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import threading
import uuid
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from langchain_core.runnables import RunnableConfig
from langgraph.channels.ephemeral_value import EphemeralValue
from langgraph.config import get_config
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command, StateSnapshot
from pydantic import BaseModel, ConfigDict, ValidationError
from typing_extensions import TypedDict

from affectgraph.orchestrator.agent import Agent
from affectgraph.orchestrator.control import TurnControl
from affectgraph.orchestrator.events import Done, Event, HandedOff
from affectgraph.orchestrator.handoff import HandOffPacket
from affectgraph.orchestrator.reply import Reply
from affectgraph.orchestrator.running import STOPPING_SECONDS
from affectgraph.orchestrator.state import TurnState
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import AffectGraphError, InputError
from affectgraph.perceivers.turn import Consent, Turn

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph

    from affectgraph.orchestrator.parts import Parts

log = logging.getLogger(__name__)

SPEC_VARIABLE: Final = "AFFECTGRAPH_SPEC"
"""Names a spec file; without it the default agent is served."""

NODE: Final = "support"
"""The outer graph's one node, and the namespace of the support graph's checkpoints."""

_MEDIA: Final = (
    "photos and voice notes are not taken here: a server's files are not for its clients"
)
_REFUSED: Final = {
    "images": f"{_MEDIA}, and media sent as JSON would stay in its checkpoints",
    "audio": f"{_MEDIA}, and media sent as JSON would stay in its checkpoints",
    "video": f"{_MEDIA}, and media sent as JSON would stay in its checkpoints",
    "user": "who speaks is not for the input to say: it is whom the server has signed in",
}


class Said(TypedDict, total=False):
    """What a client sends.

    Attributes:
        text: The message, 1 to 20,000 characters.
        consent: What the person agreed to in this turn, as in
            :class:`~affectgraph.perceivers.turn.Consent`; nothing by default, and nothing from
            an earlier turn. Only ``memory`` matters here.
        images: Refused.
        audio: Refused.
        video: Refused.
        user: Refused.
    """

    # Ephemeral: what one turn said must not stand in for what the next one leaves out.
    text: Annotated[str, EphemeralValue]
    consent: Annotated[dict[str, bool], EphemeralValue]
    # Declared so that they can be refused: LangGraph drops an undeclared key in silence.
    images: Annotated[None, EphemeralValue]
    audio: Annotated[None, EphemeralValue]
    video: Annotated[None, EphemeralValue]
    user: Annotated[None, EphemeralValue]


class Told(TypedDict):
    """What a client gets: ``reply`` is :meth:`~affectgraph.orchestrator.reply.Reply.to_json`."""

    reply: dict[str, Any]


class Exchanged(Said, Told, total=False):
    """State of the outer graph."""


Conversation = StateGraph[Exchanged, None, Said, Told]


class RefusedTurnError(InputError, ValueError):
    """A client's turn cannot be taken.

    Also a ``ValueError``, because the server tells its clients the messages of a few builtin
    errors only, and calls any other an internal error.
    """


class _Given(BaseModel):
    """The input, checked: whatever way a client reached the node, nothing else gets through."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = ""
    consent: Consent = Consent()


def conversation(agent: Agent) -> Conversation:
    """A graph that takes a turn as JSON and tells the reply as JSON.

    Compile it with the checkpointer of your choice: the support graph, its only node's subgraph,
    keeps its history there, a thread's under the thread's own id. Stream it with
    ``stream_mode="custom"`` to see the turn's events as they happen, each as the JSON of an
    :data:`~affectgraph.orchestrator.events.Event`; the last is ``done``, or ``handed-off`` where
    the run waits for a person: resume it with a
    :class:`~affectgraph.orchestrator.handoff.HumanAnswer` as JSON.

    Cancelling the run stops the turn; the thread keeps what was said until then.

    Turns of one thread must run one after the other. The server sees to that; who compiles the
    graph without it must.
    """
    # A checkpointer of its own kind: kept in the outer graph's saver from turn to turn.
    inner: Any = agent.graph.compile(checkpointer=True)
    warming: set[asyncio.Task[None]] = set()

    async def support(state: Said, *, runtime: Runtime[None]) -> Told | Command[Literal["support"]]:
        config = get_config()
        turn = _turn(state, config, runtime)
        if not warming:
            warming.add(asyncio.create_task(_warm_up(agent)))
        past = await _past(inner, config)
        if past is None and not _identity(runtime):
            # Nobody could ever ask for what such a run remembered, or have it erased.
            consent = turn.consent.model_copy(update={"memory": False})
            turn = turn.model_copy(update={"consent": consent})
        waits = past is not None and bool(past.interrupts)
        if past is not None and waits and past.values["head"].id != turn.id:
            # An earlier turn waits for a person, and its own has written again. It must be closed
            # or the thread would forget it; then this node starts anew with what was said, because
            # LangGraph gives a second run of a subgraph inside one node another history.
            await Run(inner, config, _to_nobody).close(past)
            return Command(update=state, goto=NODE)
        run = Run(inner, config, runtime.stream_writer)
        end = await run.take({"turn": turn}, past if waits else None)
        if end["head"].id != turn.id:
            # LangGraph resumes the subgraph of a run that began with a command, and there was
            # nothing to resume: this is the state of the turn before.
            raise RefusedTurnError(
                "no turn was taken: send it as the run's input, not by a command"
            )
        reply = Reply.of(end, run.timings_ms)
        run.tell(Done(reply=reply))
        return {"reply": reply.to_json()}

    graph: Conversation = StateGraph(Exchanged, input_schema=Said, output_schema=Told)
    graph.add_node(NODE, support)
    graph.add_edge(START, NODE)
    graph.add_edge(NODE, END)
    return graph


class Run:
    """One run of the support graph inside the outer graph's node.

    Args:
        inner: The compiled support graph.
        config: The node's configuration.
        write: Takes the events as JSON.
    """

    def __init__(self, inner: Any, config: RunnableConfig, write: Callable[[Any], None]) -> None:
        self._inner, self._config, self._write = inner, config, write
        self._numbers = count(1)
        self._control = TurnControl(self._take)

    @property
    def timings_ms(self) -> dict[str, float]:
        """Wall time of each node in milliseconds."""
        return self._control.timings_ms

    def tell(self, event: Event) -> None:
        """Number an event and tell it."""
        numbered = event.model_copy(update={"seq": next(self._numbers)})
        self._write(numbered.model_dump(mode="json"))

    def _take(self, event: Event) -> None:
        # Whether the client has it is the server's to see to.
        self.tell(event)
        self._control.take(event.spoken)

    async def take(self, given: object, past: StateSnapshot | None) -> TurnState:
        """Run to the end, or to where a person is waited for.

        Args:
            given: What to start or resume with.
            past: Where the turn had come to, if it is resumed.

        Raises:
            RefusedTurnError: If the turn, or the answer that it is resumed with, cannot be taken.
        """
        said = past.values.get("answer") if past is not None else None
        if said is not None:
            self._control.resume_from(said.delivered)
        running = asyncio.create_task(self._run(given))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            self._control.stop()
            await asyncio.wait([running], timeout=STOPPING_SECONDS)
            running.cancel()
            await asyncio.wait([running])
            raise
        except InputError as error:
            raise RefusedTurnError(str(error)) from None

    async def close(self, past: StateSnapshot) -> None:
        """End a turn that waits for a person, without one; the thread keeps what was said."""
        self._control.stop()
        await self.take(Command(resume="closed"), past)

    async def _run(self, given: object) -> TurnState:
        end: TurnState = {}
        async for part in self._inner.astream(
            given,
            self._config,
            context=self._control,
            stream_mode="values",
            version="v2",
        ):
            end = part["data"]
            for asked in part["interrupts"]:
                self.tell(HandedOff(packet=HandOffPacket.model_validate(asked.value)))
        return end


class GraphFactory:
    """Makes the served graph once, at the first call, away from the event loop.

    The server asks for the graph at every run and every read of its shape; the models must be
    loaded once.

    Args:
        parts: Makes the parts of the agent; may read files.
    """

    def __init__(self, parts: Callable[[], Parts]) -> None:
        self._parts = parts
        self._making = threading.Lock()
        self._made: CompiledStateGraph[Exchanged, None, Said, Told] | None = None

    async def __call__(self) -> CompiledStateGraph[Exchanged, None, Said, Told]:
        """The compiled graph, the same at every call.

        Raises:
            BuildError: If the parts, or the spec that names them, do not fit together.
            SetupError: If the machine lacks something that a part needs to be made.
        """
        if self._made is not None:
            return self._made
        return await BlockingPool(size=1).run(self._make)

    def _make(self) -> CompiledStateGraph[Exchanged, None, Said, Told]:
        with self._making:
            if self._made is None:
                self._made = conversation(Agent(self._parts())).compile(name="affectgraph")
            return self._made


def served_parts() -> Parts:
    """The parts of the spec that ``AFFECTGRAPH_SPEC`` names, or of the default agent.

    Raises:
        BuildError: If the spec is not sound.
    """
    spec = os.environ.get(SPEC_VARIABLE)
    if spec:
        from affectgraph.orchestrator.spec import load_spec

        return load_spec(Path(spec)).build().parts
    from affectgraph.orchestrator.presets import Settings, default_parts

    return default_parts(Settings())


graph = GraphFactory(served_parts)
"""What ``langgraph.json`` names."""


def _turn(said: Said, config: RunnableConfig, runtime: Runtime[None]) -> Turn:
    for key, why in _REFUSED.items():
        if said.get(key) is not None:
            raise RefusedTurnError(f"{key}: {why}")
    speaker, thread = _speaker(config, runtime)
    given = {key: value for key, value in said.items() if key not in _REFUSED}
    try:
        checked = _Given.model_validate(given, strict=True)
        # Named after the task, which keeps its id when the run is resumed.
        info = runtime.execution_info
        return Turn(
            user=speaker,
            thread=thread,
            text=checked.text,
            consent=checked.consent,
            id=info.task_id if info is not None else uuid.uuid4().hex,
        )
    except ValidationError as error:
        # Without what was said: errors go to logs.
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        fault = first["msg"].removeprefix("Value error, ")
        raise RefusedTurnError(f"{where}: {fault}" if where else fault) from None


def _speaker(config: RunnableConfig, runtime: Runtime[None]) -> tuple[str, str]:
    """Whose memory this turn may use, and in which conversation.

    The prefixes keep the two kinds apart: whatever name someone signs in with, it never is that
    of a thread.
    """
    thread = str((config.get("configurable") or {}).get("thread_id") or "thread")
    identity = _identity(runtime)
    own = _name("thread", thread)
    return (_name("signed-in", identity) if identity else own), own


async def _past(inner: Any, config: RunnableConfig) -> StateSnapshot | None:
    """The thread's state before this run; ``None`` where the run has no thread."""
    try:
        past: StateSnapshot = await inner.aget_state(config)
    except ValueError:  # there is no checkpointer
        return None
    return past


def _identity(runtime: Runtime[None]) -> str:
    """Whom the server has signed in; empty without authentication. No client can set it."""
    server = runtime.server_info
    return server.user.identity if server is not None and server.user is not None else ""


def _name(kind: str, name: str) -> str:
    """A name that a turn takes: a long one is told by its digest.

    That has a prefix of its own, so that nobody can be called like another's digest.
    """
    if len(name) <= 100:
        return f"{kind}:{name}"
    return f"{kind}-sha256:{hashlib.sha256(name.encode()).hexdigest()}"


def _to_nobody(_event: Any) -> None:
    """The events of a turn that is only being closed belong to no one's stream."""


async def _warm_up(agent: Agent) -> None:
    """Load the models beside the first turn, which leaves out what is not ready in time."""
    try:
        await agent.warm_up()
    except AffectGraphError as error:
        log.warning("the agent did not warm up: %s", error)
