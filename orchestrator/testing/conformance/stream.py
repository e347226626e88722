"""What the suites share whose part gives a stream, and those whose part asks a backend."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, TypeVar, cast

from affectgraph.orchestrator.testing.backend import ScriptedBackend
from affectgraph.orchestrator.testing.conformance.asynchronous import PROMPT, AsyncSuite
from affectgraph.orchestrator.testing.conformance.basics import NonconformityError, needs, run, want
from affectgraph.orchestrator.testing.conformance.suite import Suite
from affectgraph.orchestrator.testing.conformance.watch import lasting_tasks
from affectgraph.perceivers.errors import AffectGraphError

P = TypeVar("P")
In = TypeVar("In")
Out = TypeVar("Out")


class OverBackend(Suite[P, In, Out]):
    """For parts that may ask a language model: a function with one argument is given a fake one."""

    _takes = 1

    def make(self) -> P:
        """A part, over a backend with a script if it wants one."""
        if needs(type(self)._make) == 0:
            return type(self)._make()
        return self.over(ScriptedBackend())

    def over(self, backend: ScriptedBackend) -> P:
        """A part over a given backend."""
        return type(self)._make(backend)


class FailsWithItsBackend(OverBackend[P, In, Out]):
    """For parts over a backend: what they do when it fails."""

    def test_a_failing_backend_is_told_in_our_errors(self) -> None:
        """Messages of foreign errors may quote the person; those of ours do not."""
        part = self.over(ScriptedBackend(fault="fails"))
        sample, word = self.private()
        contract = f"{self.who} whose backend fails raises an error of affectgraph's"

        async def asked() -> None:
            await self.prepare(part)
            await self.ask(part, sample)

        try:
            run(asked())
        except AffectGraphError as error:
            want(word not in str(error), f"{contract}, without any of the person's words.")
        except Exception as error:
            raise NonconformityError(f"{contract}, not {type(error).__name__}.") from error
        else:
            raise NonconformityError(f"{contract}: it does not make an answer up.")


class StreamSuite(AsyncSuite[P, In, list[Any]]):
    """For parts whose one call gives a stream; the answer is the list of its items."""

    @abstractmethod
    def stream(self, part: P, sample: In) -> AsyncIterator[Any]:
        """Open the stream."""

    async def ask(self, part: P, sample: In) -> list[Any]:
        """Read the stream to its end."""
        stream = self.stream(part, sample)
        want(hasattr(stream, "__anext__"), f"{self.who} gives an asynchronous iterator.")
        want(
            hasattr(stream, "aclose"),
            f"The stream of {self.who.lower()} has aclose: closing it stops the model.",
        )
        async with aclosing(_closable(stream)) as items:
            return [item async for item in items]

    def test_closing_ends_the_stream(self) -> None:
        """A person who interrupts must not pay for the rest."""
        part = self.make()
        sample = self.samples()[0]
        contract = f"The stream of {self.who.lower()} that is closed ends at once"

        async def closed() -> None:
            await self.prepare(part)
            before = asyncio.all_tasks()
            try:
                for count in range(5):
                    stream = _closable(self.stream(part, sample))
                    for _ in range(count):
                        await anext(stream, None)
                    try:
                        async with asyncio.timeout(PROMPT):
                            await stream.aclose()
                    except Exception as error:
                        raise NonconformityError(f"{contract} ({type(error).__name__}).") from error
                    want(await anext(stream, None) is None, f"{contract}: nothing follows.")
                    want(
                        not await lasting_tasks(before),
                        f"{contract}: no task goes on behind it.",
                    )
            finally:
                await self.release(part)

        run(closed())


class StreamOverBackend(FailsWithItsBackend[P, In, list[Any]], StreamSuite[P, In]):
    """For parts whose stream comes from a backend."""

    def test_closing_stops_the_backend(self) -> None:
        """The model behind a stream that nobody reads would go on and on."""
        sample = self.samples()[0]

        async def left_open() -> int:
            backend = ScriptedBackend("I hear you. " * 20)
            part = self.over(backend)
            await self.prepare(part)
            try:
                stream = _closable(self.stream(part, sample))
                while not _spoken(await anext(stream, None)):
                    pass
                asked = backend.streams
                await stream.aclose()
                # At once: what garbage collection closes later has run on until then.
                return asked - backend.closed
            finally:
                await self.release(part)

        want(
            run(left_open()) <= 0,
            f"{self.who} whose stream is closed closes the backend's stream before aclose"
            " returns (in a finally, or with aclosing).",
        )


def _spoken(item: object) -> bool:
    """Whether a stream has begun to speak, or has ended."""
    return item is None or isinstance(item, str)


def _closable(stream: AsyncIterator[Any]) -> Any:
    return cast("Any", stream)
