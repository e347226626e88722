"""Clients of one or several servers, and another try where one may help."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import BackendError
from affectgraph.reasoners.backends.faults import (
    BusyError,
    ServerFailedError,
    SilentError,
    StreamCutError,
    UnreachableError,
    fault_of,
)
from affectgraph.reasoners.backends.replicas import Replica, Replicas
from affectgraph.reasoners.contracts import Message

if TYPE_CHECKING:
    from openai import AsyncOpenAI

T = TypeVar("T")

_OF_THE_SERVER = (
    UnreachableError, SilentError, BusyError, ServerFailedError, StreamCutError,
)  # fmt: skip
"""Faults that say something of the server and nothing of the request: another may do better."""


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for, and how often it is asked.

    What a server refuses (HTTP 4xx) or answers out of form is never asked again: it would be the
    same. What stayed silent is asked of another server at most, since the turn has waited once.
    Nothing is asked again once a piece of the answer has been given out.

    Attributes:
        answer: Seconds to the answer, and at most between two pieces of a stream.
        connect: Seconds to make the connection.
        waits: Seconds before each further round over the servers, if all have failed.
        longest: Seconds at most that a server's own ``Retry-After`` is obeyed; asked to wait
            longer, the call fails at once.
    """

    answer: float = 30.0
    connect: float = 5.0
    waits: tuple[float, ...] = (0.2, 0.8)
    longest: float = 10.0


class Servers:
    """Asks one of several servers, and the next one if it fails.

    Args:
        name: Of the backend, for errors.
        replicas: The servers.
        api_key: By default ``$OPENAI_API_KEY``; servers without keys take any.
        patience: Time-outs and tries.
    """

    def __init__(
        self, name: str, replicas: Replicas, *, api_key: str | None, patience: Patience
    ) -> None:
        self._name, self._key, self._patience = name, api_key, patience
        self.replicas = replicas
        self._clients: dict[str, AsyncOpenAI] = {}
        self._pool = BlockingPool(size=1)

    async def close(self) -> None:
        """Close the connections."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.close()

    async def call(
        self,
        ask: Callable[[AsyncOpenAI], Awaitable[T]],
        messages: Sequence[Message] = (),
        *,
        light: bool = False,
    ) -> T:
        """Ask once, with further tries.

        Args:
            ask: Makes the request. Whatever it raises while it reads the answer is a fault of
                the answer's form.
            messages: The prompt, so that a conversation stays with its server.
            light: Whether the request costs a server nothing, such as tokenizing.

        Raises:
            BackendError: If no server gives an answer.
        """
        answer, replica = await self._begun(ask, messages, light=light)
        self.replicas.end(replica)
        return answer

    async def stream(
        self, ask: Callable[[AsyncOpenAI], Awaitable[Any]], messages: Sequence[Message] = ()
    ) -> AsyncGenerator[Any, None]:
        """The chunks of a streamed request, with further tries before the first.

        Raises:
            BackendError: If no server begins an answer, or one breaks off.
        """

        async def opened(client: AsyncOpenAI) -> tuple[Any, Any]:
            chunks = await ask(client)
            try:
                return chunks, await anext(aiter(chunks), None)
            except BaseException:
                await chunks.close()
                raise

        (chunks, first), replica = await self._begun(opened, messages)
        failed = True
        try:
            if first is not None:
                yield first
                async for chunk in chunks:
                    yield chunk
            failed = False
        except GeneratorExit:
            failed = False
            raise
        except Exception as error:
            fault = self._fault(error, replica)
            if isinstance(fault, UnreachableError):
                fault = StreamCutError(self._name, f"the stream from {replica.address} broke off")
            raise fault from error
        finally:
            self.replicas.end(replica, failed=failed)
            await chunks.close()

    async def _begun(
        self,
        ask: Callable[[AsyncOpenAI], Awaitable[T]],
        messages: Sequence[Message],
        *,
        light: bool = False,
    ) -> tuple[T, Replica]:
        for wait in (*self._patience.waits, None):
            tried: set[str] = set()
            while (replica := self.replicas.pick(messages, tried)) is not None:
                tried.add(replica.address)
                try:
                    return await self._once(ask, replica, messages, light=light), replica
                except _OF_THE_SERVER as fault:
                    last: BackendError = fault
            pause = None if wait is None else self._pause(last, wait)
            if pause is None:
                raise last
            await asyncio.sleep(pause)
        raise AssertionError("the last round returns or raises")

    async def _once(
        self,
        ask: Callable[[AsyncOpenAI], Awaitable[T]],
        replica: Replica,
        messages: Sequence[Message],
        *,
        light: bool,
    ) -> T:
        client = await self._client(replica.address)
        self.replicas.begin(replica, messages, light=light)
        try:
            return await ask(client)
        except Exception as error:
            fault = self._fault(error, replica)
            pause = fault.retry_after if isinstance(fault, BusyError) else None
            failed = isinstance(fault, _OF_THE_SERVER)
            self.replicas.end(replica, failed=failed, pause=pause)
            raise fault from error
        except BaseException:
            self.replicas.end(replica)
            raise

    def _pause(self, fault: BackendError, wait: float) -> float | None:
        """Seconds before all servers are asked again; ``None`` if that is not worth it."""
        if isinstance(fault, SilentError):
            return None
        if isinstance(fault, BusyError) and fault.retry_after is not None:
            longer = max(wait, fault.retry_after)
            return longer if longer <= self._patience.longest else None
        return wait

    def _fault(self, error: Exception, replica: Replica) -> BackendError:
        return fault_of(self._name, error, replica.address, self._patience.answer)

    async def _client(self, address: str) -> AsyncOpenAI:
        if address not in self._clients:
            # On a thread: the import and the certificates it reads would hold the loop.
            await self._pool.run(lambda: self._client_now(address))
        return self._clients[address]

    def _client_now(self, address: str) -> None:
        if address in self._clients:
            return
        from openai import AsyncOpenAI, Timeout

        client = AsyncOpenAI(
            base_url=address,
            api_key=self._key or os.environ.get("OPENAI_API_KEY") or "none",
            timeout=Timeout(self._patience.answer, connect=self._patience.connect),
            max_retries=0,
        )
        # The client imports its resources when they are first named; here, not on the loop.
        _ = client.chat.completions, client.completions, client.models
        self._clients[address] = client
