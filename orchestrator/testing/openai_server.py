"""An OpenAI-compatible server without a model: real HTTP on the loopback, at a model's pace.

It obeys what the client asks of the form of the output, as vLLM does (``structured_outputs`` with
one of ``choice``, ``regex``, ``json``; ``response_format``), and says what it was told to say.
What vLLM would refuse or quietly ignore is refused with HTTP 400, so that a test notices.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Self

KINDS = frozenset({"choice", "regex", "json", "grammar"})
_GROUP = re.compile(r"(?<!\\)\(((?:[^()\\]|\\.)*)\)")


class RefusedError(Exception):
    """The request is refused with HTTP 400."""


class FakeOpenAIServer:
    """A server for tests; use it as ``async with FakeOpenAIServer() as server``.

    Args:
        says: The response, streamed word by word.
        prefers: Labels that are chosen where a constraint offers them; else the first is.
        weights: Probability per label that log-probabilities are told for; the choice follows
            the preference all the same.
        model: Name that it serves.
        seconds_to_first: Time before the first token.
        seconds_per_token: Time between tokens.
        statuses: HTTP statuses that the next completions fail with, one each.
        cut_after: Drop the connection after so many pieces of a stream.
        free_text: What is said when nothing constrains the output, in place of ``says``.

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
        seconds_to_first: float = 0.01,
        seconds_per_token: float = 0.002,
        statuses: Sequence[int] = (),
        cut_after: int | None = None,
        free_text: str | None = None,
    ) -> None:
        self.requests: list[dict[str, Any]] = []
        self.abandoned = 0
        self.left = asyncio.Event()
        self._says, self._prefers, self._weights = says, tuple(prefers), dict(weights or {})
        self._model, self._first, self._pace = model, seconds_to_first, seconds_per_token
        self._statuses, self._cut, self._free = list(statuses), cut_after, free_text
        self._server: asyncio.Server | None = None
        self._handling: set[asyncio.Task[None]] = set()

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
        if (method, path) == ("GET", "/v1/models"):
            models = [{"id": self._model, "object": "model", "created": 0, "owned_by": "fake"}]
            await _send(writer, 200, {"object": "list", "data": models})
        elif (method, path) == ("POST", "/v1/chat/completions"):
            await self._complete(json.loads(body), reader, writer)
        else:
            await _send(writer, 404, _error(f"no route {method} {path}"))

    async def _complete(
        self, body: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.requests.append(body)
        if self._statuses:
            status = self._statuses.pop(0)
            await _send(writer, status, _error("made to fail"))
            return
        try:
            self._check(body)
            text = self._text(body)
        except RefusedError as refusal:
            await _send(writer, 400, _error(str(refusal)))
            return
        await asyncio.sleep(self._first)
        if body.get("stream"):
            await self._stream(body, text, reader, writer)
        else:
            pieces = _pieces(text)
            await asyncio.sleep(self._pace * len(pieces))
            choice: dict[str, Any] = {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
                "logprobs": self._logprobs(text) if body.get("logprobs") else None,
            }
            whole = {"object": "chat.completion", "choices": [choice]}
            await _send(writer, 200, _envelope(body) | whole | {"usage": _usage(body, pieces)})

    async def _stream(
        self,
        body: dict[str, Any],
        text: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        writer.write(_head(200, "text/event-stream"))
        pieces = _pieces(text)[: body.get("max_tokens") or None]
        left = asyncio.create_task(reader.read(1))  # ends only when the client goes
        try:
            async for number, piece in self._paced(pieces):
                if left.done() or writer.is_closing():
                    self._abandon()
                    return
                if number == self._cut:
                    writer.transport.abort()
                    return
                await _event(writer, _chunk(body, piece))
            await _event(writer, _chunk(body, None))
            if (body.get("stream_options") or {}).get("include_usage"):
                told = {"object": "chat.completion.chunk", "choices": []}
                await _event(writer, _envelope(body) | told | {"usage": _usage(body, pieces)})
            writer.write(b"data: [DONE]\n\n")
            await writer.drain()
        except ConnectionError:
            self._abandon()
        finally:
            left.cancel()

    def _abandon(self) -> None:
        self.abandoned += 1
        self.left.set()

    async def _paced(self, pieces: Sequence[str]) -> AsyncIterator[tuple[int, str]]:
        for number, piece in enumerate(pieces):
            await asyncio.sleep(self._pace)
            yield number, piece

    def _check(self, body: dict[str, Any]) -> None:
        old = sorted(key for key in body if key.startswith("guided_"))
        if old:
            raise RefusedError(f"{', '.join(old)}: use structured_outputs")
        if body.get("model") != self._model:
            raise RefusedError("the model is not served")
        given = body.get("structured_outputs") or {}
        kinds = sorted(set(given) & KINDS)
        unknown = sorted(set(given) - KINDS - {"disable_any_whitespace", "whitespace_pattern"})
        if unknown or ("structured_outputs" in body and len(kinds) != 1):
            raise RefusedError(f"structured_outputs takes one kind, got {kinds or unknown}")
        if body.get("continue_final_message"):
            if body.get("add_generation_prompt", True):
                raise RefusedError("continue_final_message bars add_generation_prompt")
            if body["messages"][-1]["role"] != "assistant":
                raise RefusedError("the final message is not the assistant's")

    def _text(self, body: dict[str, Any]) -> str:
        given = body.get("structured_outputs") or {}
        schema = (body.get("response_format") or {}).get("json_schema")
        if "choice" in given:
            return self._pick(given["choice"])
        if "regex" in given:
            return self._matching(given["regex"])
        if "json" in given:
            return json.dumps(self._instance(given["json"]))
        if schema is not None:
            return json.dumps(self._instance(schema["schema"]))
        if "grammar" in given:
            raise RefusedError("this fake reads no grammars")
        return self._says if self._free is None else self._free

    def _pick(self, choices: Sequence[str]) -> str:
        wanted = [c for p in self._prefers for c in choices if c.strip() == p]
        return (wanted or list(choices))[0]

    def _matching(self, pattern: str) -> str:
        """A text that the pattern matches: a choice for each group, the response at the end."""

        def choose(group: re.Match[str]) -> str:
            options = [re.sub(r"\\(.)", r"\1", option) for option in group[1].split("|")]
            return self._pick(options)

        text = _GROUP.sub(choose, pattern).replace("\\n]", "]").replace("\\n", "\n")
        text = text.replace("[^]+", self._says).replace("[^]*", self._says)
        if not re.fullmatch(pattern, text):
            raise RefusedError("this fake cannot follow the regex")
        return text

    def _instance(self, schema: Mapping[str, Any]) -> dict[str, str]:
        fields: Mapping[str, Mapping[str, Any]] = schema.get("properties") or {}
        return {
            name: self._pick(field["enum"]) if "enum" in field else self._says
            for name, field in fields.items()
        }

    def _logprobs(self, text: str) -> dict[str, Any]:
        # A tokenizer would cut labels somewhere; the first three characters stand for its cut.
        weights = self._weights or {text.strip(): 1.0}
        lead = " " if text.startswith(" ") else ""
        tops = [
            {"token": lead + label[:3], "logprob": math.log(p), "bytes": None}
            for label, p in weights.items()
            if p > 0
        ]
        first = {"token": text[: 3 + len(lead)], "logprob": tops[0]["logprob"], "bytes": None}
        return {"content": [first | {"top_logprobs": tops}]}


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


def _head(status: int, kind: str) -> bytes:
    # HTTP/1.1 without a length: the body ends with the connection.
    lines = (f"HTTP/1.1 {status} Fake", f"content-type: {kind}", "connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _send(writer: asyncio.StreamWriter, status: int, body: Mapping[str, Any]) -> None:
    writer.write(_head(status, "application/json") + json.dumps(body).encode())
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
    delta = {} if piece is None else {"content": piece}
    finish = "stop" if piece is None else None
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
    return _envelope(body) | {"object": "chat.completion.chunk", "choices": [choice]}


def _pieces(text: str) -> list[str]:
    """Words with the space before them, as a tokenizer would cut them."""
    return re.findall(r"\s?[^\s]+|\s", text)


def _usage(body: Mapping[str, Any], pieces: Sequence[str]) -> dict[str, Any]:
    prompt = sum(len(_pieces(message["content"])) for message in body["messages"])
    return {
        "prompt_tokens": prompt,
        "completion_tokens": len(pieces),
        "total_tokens": prompt + len(pieces),
        "prompt_tokens_details": {"cached_tokens": prompt // 2},
    }
