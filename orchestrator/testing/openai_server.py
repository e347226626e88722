"""An OpenAI-compatible server without a model: real HTTP on the loopback, at a model's pace.

It obeys what the client asks of the form of the output, as vLLM does (``structured_outputs`` with
one of ``choice``, ``regex``, ``json``; ``response_format``; ``logprob_token_ids``), and says what
it was told to say. What vLLM would refuse or quietly ignore is refused with HTTP 400, so that a
test notices.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal, Self

from affectgraph.orchestrator.testing.openai_requests import (
    RefusedError,
    check,
    check_completion,
)
from affectgraph.orchestrator.testing.openai_script import Script, pieces, text_of, tokens_of

HttpFault = Literal["silent", "fails", "malformed", "wrong label", "empty"]
"""What goes wrong with every answer: it never comes, it is HTTP 500, it is no JSON, it names a
label that nobody offered, it says nothing."""

NO_LABEL = "serendipity"


class FakeOpenAIServer:
    """A server for tests; use it as ``async with FakeOpenAIServer() as server``.

    Args:
        says: The response, streamed word by word.
        prefers: Labels that are chosen where a constraint offers them; else the first is.
        weights: Probability per label that log-probabilities are told for; the choice follows
            the preference all the same.
        model: Name that it serves.
        adapters: Further names that it serves.
        seconds_to_first: Time before the first token.
        seconds_per_token: Time between tokens.
        statuses: HTTP statuses that the next completions fail with, one each.
        retry_after: Seconds that those failures ask to be left alone.
        cut_after: Drop the connection after so many pieces of a stream.
        free_text: What is said when nothing constrains the output, in place of ``says``.
        fault: What goes wrong with every answer.

    Attributes:
        requests: Bodies of the completions asked for, oldest first.
        abandoned: Streams that the client left before their end.
        left: Set when a client has left one.
    """

    def __init__(
        self,
        says: str = "That sounds hard. What is on your mind most?",
        *,
        prefers: Sequence[str] = (),
        weights: Mapping[str, float] | None = None,
        model: str = "fake-model",
        adapters: Sequence[str] = (),
        seconds_to_first: float = 0.01,
        seconds_per_token: float = 0.002,
        statuses: Sequence[int] = (),
        retry_after: float | None = None,
        cut_after: int | None = None,
        free_text: str | None = None,
        fault: HttpFault | None = None,
    ) -> None:
        self.requests: list[dict[str, Any]] = []
        self.abandoned = 0
        self.left = asyncio.Event()
        self._script = Script(says, tuple(prefers), dict(weights or {}), free_text)
        self._models = (model, *adapters)
        self._first, self._pace = seconds_to_first, seconds_per_token
        self._statuses, self._retry_after = list(statuses), retry_after
        self._cut, self._fault = cut_after, fault
        self._server: asyncio.Server | None = None
        self._handling: set[asyncio.Task[None]] = set()

    def heal(self) -> None:
        """Nothing goes wrong from now on."""
        self._fault = None
        self._statuses.clear()

    @property
    def base_url(self) -> str:
        """Address to give to a client."""
        assert self._server is not None, "the server runs inside `async with`"
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://{host}:{port}/v1"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._handling:
            task.cancel()
        await asyncio.gather(*self._handling, return_exceptions=True)
        await self._server.wait_closed()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._handling.add(task)
        task.add_done_callback(self._handling.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await _read(reader)
            if request is not None:
                await self._answer(*request, reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(
        self,
        method: str,
        path: str,
        body: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        route = (method, path)
        if route == ("GET", "/v1/models"):
            models = [
                {"id": name, "object": "model", "created": 0, "owned_by": "fake"}
                for name in self._models
            ]
            await _send(writer, 200, {"object": "list", "data": models})
        elif route == ("POST", "/tokenize"):
            tokens = tokens_of(_prompt(json.loads(body)))
            await _send(writer, 200, {"tokens": tokens, "count": len(tokens)})
        elif route == ("POST", "/v1/completions"):
            await self._complete(json.loads(body), writer, check_completion, self._plain)
        elif route == ("POST", "/v1/chat/completions"):

            async def chat(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
                await self._chat(body, reader, writer)

            await self._complete(json.loads(body), writer, check, chat)
        else:
            await _send(writer, 404, _error(f"no route {method} {path}"))

    async def _complete(
        self,
        body: dict[str, Any],
        writer: asyncio.StreamWriter,
        check: Callable[[Mapping[str, Any], str], None],
        answer: Callable[[dict[str, Any], asyncio.StreamWriter], Awaitable[None]],
    ) -> None:
        self.requests.append(body)
        if self._fault == "silent":
            await asyncio.Event().wait()
        if self._statuses or self._fault == "fails":
            status = self._statuses.pop(0) if self._statuses else 500
            await _send(writer, status, _error("made to fail"), self._retry_after)
            return
        try:
            name = body.get("model")
            check(body, name if name in self._models else self._models[0])
            await asyncio.sleep(self._first)
            await answer(body, writer)
        except RefusedError as refusal:
            await _send(writer, 400, _error(str(refusal)))

    async def _plain(self, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        """Log-probabilities of given tokens after each of some prompts."""
        ids = body["logprob_token_ids"]
        asked = [text_of([i]) for i in ids]
        choices = []
        for index, prompt in enumerate(body["prompt"]):
            told = self._script.after(text_of(prompt), asked)
            row = {f"token_id:{i}": p for i, p in zip(self._offered(ids), told, strict=True)}
            logprobs = {
                "tokens": [],
                "token_logprobs": [],
                "text_offset": [],
                "top_logprobs": [row],
            }
            choices.append(
                {"index": index, "text": "", "finish_reason": "length", "logprobs": logprobs}
            )
        tokens = sum(len(prompt) for prompt in body["prompt"])
        usage = _usage_of(tokens, len(choices))
        whole = {"object": "text_completion", "choices": choices, "usage": usage}
        await self._whole(writer, _envelope(body) | whole)

    async def _chat(
        self, body: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        text = self._said(body)
        if body.get("stream"):
            await self._stream(body, text, reader, writer)
            return
        said = pieces(text)
        await asyncio.sleep(self._pace * len(said))
        choice: dict[str, Any] = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "stop",
            "logprobs": self._logprobs(body, text) if body.get("logprobs") else None,
        }
        whole = {"object": "chat.completion", "choices": [choice], "usage": _usage(body, said)}
        await self._whole(writer, _envelope(body) | whole)

    async def _whole(self, writer: asyncio.StreamWriter, body: Mapping[str, Any]) -> None:
        if self._fault == "malformed":
            writer.write(_head(200, "application/json") + b'{"choices": [{"index": 0, "mess')
            with suppress(ConnectionError):
                await writer.drain()
            return
        await _send(writer, 200, body)

    def _said(self, body: Mapping[str, Any]) -> str:
        text = self._script.text(body)
        if self._fault == "empty":
            return ""
        if self._fault != "wrong label":
            return text
        offered = [label for label in self._script.prefers if label in text]
        for label in offered or [text]:
            text = text.replace(label, NO_LABEL, 1)
        return text

    def _offered(self, ids: Sequence[int]) -> Sequence[int]:
        """The tokens asked about, or others that nobody asked about."""
        return [i + 100_000 for i in ids] if self._fault == "wrong label" else ids

    def _logprobs(self, body: Mapping[str, Any], text: str) -> dict[str, Any]:
        ids = body.get("logprob_token_ids")
        if ids is None:
            first, tops = self._script.first(text)
        else:
            told = self._script.after(_prompt(body), [text_of([i]) for i in ids])
            tops = {f"token_id:{i}": p for i, p in zip(self._offered(ids), told, strict=True)}
            first = next(iter(tops))
        rows = [{"token": token, "logprob": p, "bytes": None} for token, p in tops.items()]
        if self._fault == "empty":
            return {"content": []}
        return {"content": [{"token": first, "logprob": -0.1, "bytes": None, "top_logprobs": rows}]}

    async def _stream(
        self,
        body: dict[str, Any],
        text: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        writer.write(_head(200, "text/event-stream"))
        options = body.get("stream_options") or {}
        told = (
            {"usage": _usage_of(_length(body), 0)} if options.get("continuous_usage_stats") else {}
        )
        await _event(writer, _chunk(body, "") | told)
        said = pieces(text)[: body.get("max_tokens") or None]
        left = asyncio.create_task(reader.read(1))  # ends only when the client goes
        try:
            async for number, piece in self._paced(said):
                if left.done() or writer.is_closing():
                    self._abandon()
                    return
                if number == self._cut:
                    writer.transport.abort()
                    return
                if self._fault == "malformed":
                    writer.write(b'data: {"choices": [{"index": 0, "del\n\n')
                    await writer.drain()
                    return
                await _event(writer, _chunk(body, piece))
            await _event(writer, _chunk(body, None))
            if options.get("include_usage"):
                last = {"object": "chat.completion.chunk", "choices": []}
                await _event(writer, _envelope(body) | last | {"usage": _usage(body, said)})
            writer.write(b"data: [DONE]\n\n")
            await writer.drain()
        except ConnectionError:
            self._abandon()
        finally:
            left.cancel()

    def _abandon(self) -> None:
        self.abandoned += 1
        self.left.set()

    async def _paced(self, said: Sequence[str]) -> AsyncIterator[tuple[int, str]]:
        for number, piece in enumerate(said):
            await asyncio.sleep(self._pace)
            yield number, piece


async def _read(reader: asyncio.StreamReader) -> tuple[str, str, bytes] | None:
    """Method, path and body of a request; ``None`` if the client has gone."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    method, path, _ = head.split(" ", 2)
    length = re.search(r"(?im)^content-length:\s*(\d+)", head)
    body = await reader.readexactly(int(length[1])) if length else b""
    return method, path, body


def _head(status: int, kind: str, retry_after: float | None = None) -> bytes:
    # HTTP/1.1 without a length: the body ends with the connection.
    lines = [f"HTTP/1.1 {status} Fake", f"content-type: {kind}", "connection: close"]
    if retry_after is not None:
        lines.append(f"retry-after: {retry_after:g}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _send(
    writer: asyncio.StreamWriter,
    status: int,
    body: Mapping[str, Any],
    retry_after: float | None = None,
) -> None:
    writer.write(_head(status, "application/json", retry_after) + json.dumps(body).encode())
    with suppress(ConnectionError):
        await writer.drain()


async def _event(writer: asyncio.StreamWriter, body: Mapping[str, Any]) -> None:
    writer.write(b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n")
    await writer.drain()


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "fake", "code": None, "param": None}}


def _envelope(body: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": "fake-1", "created": 0, "model": body.get("model", "")}


def _chunk(body: Mapping[str, Any], piece: str | None) -> dict[str, Any]:
    delta = {} if piece is None else {"role": "assistant", "content": piece}
    finish = "stop" if piece is None else None
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
    return _envelope(body) | {"object": "chat.completion.chunk", "choices": [choice]}


def _prompt(body: Mapping[str, Any]) -> str:
    """The text of a prompt, plain or of a chat."""
    if "prompt" in body:
        return str(body["prompt"])
    turns = [f"<{m['role']}>{m['content']}" for m in body["messages"]]
    closed = "" if body.get("continue_final_message") else "\n<assistant>"
    return "\n".join(turns) + closed


def _usage(body: Mapping[str, Any], said: Sequence[str]) -> dict[str, Any]:
    return _usage_of(_length(body), len(said))


def _length(body: Mapping[str, Any]) -> int:
    """Tokens of a chat prompt."""
    return sum(len(pieces(message["content"])) for message in body["messages"])


def _usage_of(prompt: int, said: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": said,
        "total_tokens": prompt + said,
        "prompt_tokens_details": {"cached_tokens": prompt // 2},
    }
