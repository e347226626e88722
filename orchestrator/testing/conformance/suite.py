"""What the suites of all contracts share.

A suite is a plain class of ``test_`` methods, so that pytest collects it with no plugin and no
setting: a check that needs an event loop makes its own. Every check makes its own part.
"""

from __future__ import annotations

import inspect
import tempfile
import threading
from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from affectgraph.orchestrator.registry.contract import lacks
from affectgraph.orchestrator.testing.conformance.basics import (
    NonconformityError,
    alike,
    needs,
    plain,
    run,
    want,
)
from affectgraph.orchestrator.testing.conformance.watch import (
    Overheard,
    heavy_after_import,
    imported_while,
)

P = TypeVar("P")
In = TypeVar("In")
Out = TypeVar("Out")
S = TypeVar("S", bound="Suite[Any, Any, Any]")


class Suite(Generic[P, In, Out]):
    """Checks that hold for every contract, over hooks that each contract fills in.

    Attributes:
        contract: Name of the contract, for messages.
        protocol: The protocol that a part must satisfy.
        deterministic: Whether the same input gives the same answer.
    """

    contract: str
    protocol: type[Any]
    deterministic: bool = True
    _make: Callable[..., P]
    _takes: int = 0

    @property
    def who(self) -> str:
        """The contract's name with its article, as a sentence begins."""
        return f"{'An' if self.contract[0] in 'aeio' else 'A'} {self.contract}"

    # What a contract says of itself.

    @abstractmethod
    def samples(self) -> Sequence[In]:
        """Two or more ordinary inputs, made anew at every call."""

    @abstractmethod
    def verify(self, part: P, sample: In, answer: Out) -> None:
        """Check one answer against the contract."""

    @abstractmethod
    def private(self) -> tuple[In, str]:
        """An input with a word of the person in it that is found nowhere else, and the word."""

    @abstractmethod
    async def ask(self, part: P, sample: In) -> Out:
        """Make the one call that the contract is about."""

    def compared(self, answer: Out) -> object:
        """What of an answer must be the same for the same input."""
        return answer

    def odd(self) -> Sequence[In]:
        """Unusual inputs that must be answered, not refused."""
        return ()

    def make(self) -> P:
        """A fresh part, made outside of any event loop as an application does."""
        return type(self)._make()

    async def prepare(self, part: P) -> None:
        """What comes before the first call."""
        await self.warm(part)

    async def warm(self, part: P) -> None:
        """Warm the part up, if it can be."""
        warm_up = getattr(part, "warm_up", None)
        if warm_up is not None:
            result = warm_up()
            if inspect.isawaitable(result):
                await result

    async def release(self, part: P) -> None:
        """What comes after the last call."""
        close = getattr(part, "close", None)
        if close is not None:
            await close()

    def setup_method(self) -> None:
        """A folder that the check's inputs and parts may use."""
        self._folder = tempfile.TemporaryDirectory(prefix="conformance-")
        self.folder = Path(self._folder.name)

    def teardown_method(self) -> None:
        """Take the folder away."""
        self._folder.cleanup()

    # The checks.

    def test_its_module_imports_light(self) -> None:
        """Importing a part must cost little: registries and command lines import many."""
        module = type(self.make()).__module__
        heavy = heavy_after_import(module)
        want(
            not heavy,
            f"Importing {self.who.lower()}'s module loads nothing heavy: import {_and(heavy)}"
            " inside of warm_up.",
        )

    def test_its_constructor_is_light(self) -> None:
        """An agent is put together, drawn and explained without loading anything."""
        before = set(threading.enumerate())
        _, heavy = imported_while(self.make)
        want(
            not heavy,
            f"Making {self.who.lower()} loads nothing heavy: import {_and(heavy)} in warm_up.",
        )
        begun = [t.name for t in threading.enumerate() if t not in before]
        want(not begun, f"Making {self.who.lower()} starts no threads: start them in warm_up.")

    def test_it_has_what_the_contract_names(self) -> None:
        """Every member of the protocol is there and can be called as the protocol says."""
        missing = lacks(self.make(), self.protocol)
        want(not missing, f"{self.who} has what its contract names: {'; '.join(missing)}.")

    def test_answers_keep_the_contract(self) -> None:
        """Ordinary inputs are answered as the contract says."""
        for sample, answer in self._answers(self.samples()):
            self.verify(self._part, sample, answer)

    def test_odd_input_is_answered(self) -> None:
        """Input that people do give, unlike what a demonstration gives."""
        for sample, outcome in self._outcomes(self.odd()):
            if isinstance(outcome, Exception):
                raise NonconformityError(
                    f"{self.who} answers unusual input and does not raise"
                    f" ({type(outcome).__name__} for {_brief(sample)})."
                ) from outcome
            self.verify(self._part, sample, outcome)

    def test_input_is_left_as_it_is(self) -> None:
        """Parallel nodes share what they read."""
        samples = self.samples()
        before = plain(samples)
        self._answers(samples)
        want(
            plain(samples) == before,
            f"{self.who} does not change what it is given: others read it too.",
        )

    def test_it_is_deterministic_or_says_that_it_is_not(self) -> None:
        """A turn that is replayed must come out the same, or be known not to."""
        if not self.deterministic:
            return
        first, again = (self._answers(self.samples()) for _ in range(2))
        twice = self._answers([*self.samples(), *self.samples()])[len(first) :]
        for (_, one), (_, other), (_, later) in zip(first, again, twice, strict=True):
            want(
                self._same(one, other) and self._same(one, later),
                f"{self.who} gives the same answer to the same input; if it cannot, say"
                " deterministic=False.",
            )

    def test_the_persons_words_are_not_told(self) -> None:
        """What a person said is in no log, output, warning or span."""
        sample, word = self.private()
        overheard = Overheard()
        with overheard.listening():
            self._answers([sample])
        want(
            not overheard.heard(word),
            f"{self.who} prints, logs and traces none of the person's words.",
        )

    _part: P

    def _same(self, one: Out, other: Out) -> bool:
        return alike(self.compared(one), self.compared(other))

    def _answers(self, samples: Sequence[In]) -> list[tuple[In, Out]]:
        """Ask a fresh part with one sample after the other."""
        answers = []
        for sample, outcome in self._outcomes(samples):
            if isinstance(outcome, Exception):
                raise outcome
            answers.append((sample, outcome))
        return answers

    def _outcomes(self, samples: Sequence[In]) -> list[tuple[In, Out | Exception]]:
        self._part = part = self.make()

        async def one(sample: In) -> Out | Exception:
            try:
                return await self.ask(part, sample)
            except Exception as error:  # noqa: BLE001 - told by the check that asks
                return error

        async def outcomes() -> list[tuple[In, Out | Exception]]:
            await self.prepare(part)
            try:
                return [(sample, await one(sample)) for sample in samples]
            finally:
                await self.release(part)

        return run(outcomes())


def suite(base: type[S], make: Callable[..., Any], **options: Any) -> type[S]:
    """A suite over one part.

    Raises:
        TypeError: If ``make`` needs more arguments than the contract's suite gives.
    """
    needed = needs(make)
    if needed > base._takes:
        given = "nothing" if base._takes == 0 else "one argument at most"
        raise TypeError(
            f"conformance: {getattr(make, '__name__', make)!r} needs {needed} arguments and gets"
            f" {given}: give a function that makes the part"
        )
    return type(base.__name__, (base,), {"_make": staticmethod(make), **options})


def _and(names: Sequence[str] | set[str]) -> str:
    return " and ".join(sorted(names)) or "it"


def _brief(sample: object) -> str:
    told = repr(plain(sample))
    return told if len(told) < 80 else f"{told[:76]}..."
