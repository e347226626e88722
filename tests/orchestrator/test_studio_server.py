"""``langgraph dev`` serves the agent, and a ``langgraph_sdk`` client talks with it."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

REPOSITORY = Path(__file__).parents[2]
SECONDS_TO_START = 60.0
GRAPH = "affectgraph"

OFFLINE = """
import os, socket, sys

sys.modules["uvloop"] = None  # it would reach the network without asking Python's sockets

def watched(call):
    def connect(self, address, *rest):
        host = address[0] if isinstance(address, tuple) else ""
        if self.family == socket.AF_UNIX or host in ("127.0.0.1", "::1"):
            return call(self, address, *rest)
        with open(os.environ["OUTSIDE"], "a") as file:
            print(address, file=file)
        raise OSError("there is no outside network here")
    return connect

def looked_up(call):
    def getaddrinfo(host, *rest, **more):
        if host in (None, "", "127.0.0.1", "::1", "localhost"):
            return call(host, *rest, **more)
        with open(os.environ["OUTSIDE"], "a") as file:
            print(host, file=file)
        raise socket.gaierror("there is no outside network here")
    return getaddrinfo

socket.socket.connect = watched(socket.socket.connect)
socket.socket.connect_ex = watched(socket.socket.connect_ex)
socket.getaddrinfo = looked_up(socket.getaddrinfo)
"""
"""Runs before anything else in the server's process (as ``sitecustomize``): refuses every address
that is not this machine's, and writes down who asked for one."""

SERVED = """
from affectgraph.orchestrator import Parts
from affectgraph.orchestrator.studio import GraphFactory
from affectgraph.orchestrator.testing.fakes import FakeTextPerceiver, ListMemory
from affectgraph.orchestrator.testing.reasoner import ScriptedReasoner
from affectgraph.reasoners.context import Exchange


class Recounting(ScriptedReasoner):
    async def reason(self, context):
        assert all(isinstance(past, Exchange) for past in context.history)
        said = " / ".join(past.said for past in context.history)
        long = "There is more. " * 20 if "at length" in context.utterance else ""
        self._says = f"You said: {said or 'nothing'}. {long}Go on."
        async for item in super().reason(context):
            yield item


def parts():
    return Parts(
        perceivers=(FakeTextPerceiver("sadness"),),
        reasoner=Recounting(seconds_per_word=0.05),
        memory=ListMemory(),
    )


graph = GraphFactory(parts)
"""

DOCUMENT = (REPOSITORY / "docs" / "studio.md").read_text()
TALKING, SIGNING_IN = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
"""What the document shows is what is tested: a client, and who is signed in."""


@dataclass(frozen=True)
class Server:
    """A running ``langgraph dev``.

    Attributes:
        url: Where it listens.
        outside: What it tried to reach outside of this machine, one address a line.
    """

    url: str
    outside: Path

    def client(self, **headers: str) -> LangGraphClient:
        return get_client(url=self.url, api_key=None, headers=headers)


@contextmanager
def running(folder: Path, config: Path, **variables: str) -> Iterator[Server]:
    """Serve a ``langgraph.json`` on this machine, in a process group that is ended with it."""
    if importlib.util.find_spec("langgraph_api") is None:
        pytest.skip("the server is absent: pip install 'affectgraph[studio]'")
    hooks = folder / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(OFFLINE)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Server(f"http://127.0.0.1:{port}", folder / "outside.txt")
    path = [str(hooks), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "OUTSIDE": str(server.outside),
        "PYTHONPATH": os.pathsep.join(path),
        "LANGGRAPH_CLI_NO_ANALYTICS": "1",
        # Asked for by the machine, forbidden by langgraph.json: what was said must not go there.
        "LANGSMITH_TRACING": "true",
        "LANGCHAIN_TRACING_V2": "true",
        **variables,
    }
    arguments = ["dev", "--no-browser", "--no-reload", "--port", str(port), "--config", str(config)]
    log = folder / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "langgraph_cli", *arguments],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait(server.url, process, log)
        yield server
    finally:
        _end(process)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/ok", timeout=5.0, trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail(f"the server did not start:\n{log.read_text()[-3_000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, sign)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                continue
    assert process.poll() is not None


def served(folder: Path, **more: object) -> Path:
    """The repository's own configuration, over a graph of fakes."""
    (folder / "served.py").write_text(SERVED)
    config = folder / "langgraph.json"
    ours = json.loads((REPOSITORY / "langgraph.json").read_text())
    config.write_text(json.dumps({**ours, "graphs": {GRAPH: "./served.py:graph"}, **more}))
    return config


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    # Strict: a checkpoint's types that nobody has allowed come back as plain data.
    with running(folder, served(folder), LANGGRAPH_STRICT_MSGPACK="true") as server:
        yield server
        assert not server.outside.exists(), server.outside.read_text()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[LangGraphClient]:
    async with server.client() as client:
        yield client


async def said(
    client: LangGraphClient, thread: Any, text: str, **more: Any
) -> tuple[list[tuple[str, Any]], Any]:
    """Say something; what was streamed, and the reply."""
    consent = more.pop("consent", {})
    given = {"text": text, "consent": consent, **more}
    streamed = [
        (part.event, part.data)
        async for part in client.runs.stream(
            thread,
            GRAPH,
            input=given,
            stream_mode=["custom", "values"],
        )
    ]
    replies = [data["reply"] for event, data in streamed if event == "values" and "reply" in data]
    return streamed, replies[-1] if replies else None


async def test_a_client_holds_a_streamed_conversation(client: LangGraphClient) -> None:
    thread = (await client.threads.create())["thread_id"]
    streamed, reply = await said(client, thread, "My cat is ill.")
    assert reply["text"] == "You said: nothing. Go on."
    names = [event for event, _ in streamed]
    assert names.count("custom") > 5
    # Each event is told when it happens, before the run's result.
    tokens = [i for i, (event, data) in enumerate(streamed) if data.get("kind") == "token"]
    result = next(i for i, (event, data) in enumerate(streamed) if data.get("reply") == reply)
    assert len(tokens) == 2
    assert tokens[-1] < result
    again, second = await said(client, thread, "She will not eat.")
    assert second["text"] == "You said: My cat is ill.. Go on."
    assert second["user_emotion"]["label"] == "sadness"
    assert [data["kind"] for event, data in again if event == "custom"][-1] == "done"


async def test_the_conversation_of_the_document_is_held(server: Server) -> None:
    talking = TALKING.replace("http://127.0.0.1:2024", server.url)
    assert server.url in talking
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", talking, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    told, faults = await process.communicate()
    assert faults.decode() == ""
    assert told.decode().splitlines() == [
        "You said: nothing. Go on.",
        "You said: My cat is ill.. Go on.",
    ]


async def test_events_arrive_while_the_run_goes_on(client: LangGraphClient) -> None:
    thread = (await client.threads.create())["thread_id"]
    status = None
    async for part in client.runs.stream(
        thread, GRAPH, input={"text": "My cat is ill."}, stream_mode="custom"
    ):
        if part.event == "custom" and part.data["kind"] == "decided" and status is None:
            status = (await client.threads.get(thread))["status"]
    assert status == "busy"


async def test_a_message_can_interrupt_the_reply_to_the_one_before(client: LangGraphClient) -> None:
    thread = (await client.threads.create())["thread_id"]
    second = None
    async for part in client.runs.stream(
        thread, GRAPH, input={"text": "Tell me at length."}, stream_mode="custom"
    ):
        if part.event == "custom" and part.data["kind"] == "token" and second is None:
            second = await client.runs.create(
                thread, GRAPH, input={"text": "Stop."}, multitask_strategy="interrupt"
            )
        assert not (part.event == "custom" and part.data["kind"] == "done")
    assert second is not None
    reply = (await client.runs.join(thread, second["run_id"]))["reply"]
    assert reply["text"] == "You said: Tell me at length.. Go on."


async def test_a_person_in_crisis_gets_the_crisis_reply(client: LangGraphClient) -> None:
    thread = (await client.threads.create())["thread_id"]
    _, reply = await said(client, thread, "I want to end my life tonight")
    assert reply["source"] == "crisis"
    assert "findahelpline.com" in reply["text"]
    _, after = await said(client, thread, "What now?")
    assert after["text"].startswith("You said: I want to end my life tonight.")


async def test_the_client_is_told_what_is_refused(client: LangGraphClient) -> None:
    thread = (await client.threads.create())["thread_id"]
    streamed, reply = await said(client, thread, "see", images=["/etc/hostname"])
    assert reply is None
    (error,) = [data for event, data in streamed if event == "error"]
    assert error["error"] == "RefusedTurnError"
    assert error["message"].startswith("images: photos and voice notes are not taken here")
    _, reply = await said(client, thread, "All right, in words.")
    assert reply["text"] == "You said: nothing. Go on."


async def test_threads_do_not_share_a_memory(client: LangGraphClient) -> None:
    one = (await client.threads.create())["thread_id"]
    two = (await client.threads.create())["thread_id"]
    agreed = {"memory": True}
    _, first = await said(client, one, "My cat is ill.", consent=agreed)
    _, again = await said(client, one, "My cat is ill.", consent=agreed)
    _, other = await said(client, two, "My cat is ill.", consent=agreed)
    _, nowhere = await said(client, None, "My cat is ill.", consent=agreed)
    assert first["remembered"]
    assert len(again["recalled"]) == 1
    assert other["recalled"] == []
    assert (nowhere["recalled"], nowhere["remembered"]) == ([], None)


async def test_who_is_signed_in_keeps_a_memory_across_threads(tmp_path: Path) -> None:
    (tmp_path / "signing_in.py").write_text(SIGNING_IN)
    config = served(tmp_path, auth={"path": "./signing_in.py:auth", "disable_studio_auth": True})
    with running(tmp_path, config) as server:
        agreed = {"memory": True}
        async with (
            server.client(authorization="ana") as ana,
            server.client(authorization="ben") as ben,
        ):
            one = (await ana.threads.create())["thread_id"]
            two = (await ana.threads.create())["thread_id"]
            bens = (await ben.threads.create())["thread_id"]
            await said(ana, one, "My cat is ill.", consent=agreed)
            _, hers = await said(ana, two, "My cat is ill.", consent=agreed)
            _, his = await said(ben, bens, "My cat is ill.", consent=agreed)
            assert [found["record"]["user"] for found in hers["recalled"]] == ["signed-in:ana"]
            assert his["recalled"] == []
            with pytest.raises(httpx.HTTPStatusError):
                await said(ben, one, "What did she say?")
    assert not server.outside.exists()


@pytest.mark.models
@pytest.mark.local_lm
async def test_the_repositorys_own_configuration_serves_the_default_agent(
    tmp_path: Path, requires_model: Callable[[str], Path]
) -> None:
    pytest.importorskip("torch", reason="the default agent uses the extra 'local'")
    for name in ("mtcnn", "whisper-tiny.en", "smollm2-135m-esconv"):
        requires_model(name)
    models = str(requires_model("mtcnn").parent)
    with running(tmp_path, REPOSITORY / "langgraph.json", AFFECTGRAPH_MODELS=models) as server:
        async with server.client() as client:
            (assistant,) = await client.assistants.search()
            assert assistant["graph_id"] == GRAPH
            thread = (await client.threads.create())["thread_id"]
            # Cold models on a loaded machine may take longer than a turn has.
            for _ in range(5):
                warming = (await client.threads.create())["thread_id"]
                _, warm = await said(client, warming, "I had a long day at work.")
                if warm["source"] == "reasoner":
                    break
            agreed = {"memory": True}
            _, first = await said(client, thread, "My cat is ill.", consent=agreed)
            assert first["source"] == "reasoner"
            assert first["left_out"] == []
            assert first["remembered"]
            _, second = await said(client, thread, "My cat is still ill.", consent=agreed)
            assert [found["record"]["text"] for found in second["recalled"]] == ["My cat is ill."]
            _, crisis = await said(client, thread, "I want to end my life tonight")
            assert crisis["source"] == "crisis"
    assert not server.outside.exists()
