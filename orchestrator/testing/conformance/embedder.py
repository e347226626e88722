"""The suite of an embedder."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from affectgraph.memory.contracts import Embedder
from affectgraph.orchestrator.testing.conformance import samples as given
from affectgraph.orchestrator.testing.conformance.asynchronous import AsyncSuite
from affectgraph.orchestrator.testing.conformance.basics import alike, want
from affectgraph.orchestrator.testing.conformance.suite import suite

Texts = list[str]
Vectors = list[list[float]]


class EmbedderSuite(AsyncSuite[Embedder, Texts, Vectors]):
    """What every embedder does."""

    contract = "embedder"
    protocol = Embedder

    def samples(self) -> Sequence[Texts]:
        """Single texts and several at once."""
        return [[given.WORDS[0]], list(given.WORDS), [given.WORDS[1], given.WORDS[1]]]

    def odd(self) -> Sequence[Texts]:
        """No text, an empty one, unusual ones."""
        return [[], [""], *([text] for text in given.ODD)]

    def private(self) -> tuple[Texts, str]:
        """A text with the secret."""
        return [given.PRIVATE], given.PERSONAL

    async def ask(self, part: Embedder, sample: Texts) -> Vectors:
        """Embed texts."""
        return await part.embed(sample)

    def verify(self, part: Embedder, sample: Texts, answer: Any) -> None:
        """One unit vector a text, all of one length."""
        del part
        want(
            isinstance(answer, list) and len(answer) == len(sample),
            "An embedder gives one vector a text.",
        )
        for vector in answer:
            want(
                isinstance(vector, list) and all(isinstance(value, float) for value in vector),
                "An embedder gives vectors as lists of plain floats.",
            )
            length = math.sqrt(sum(value * value for value in vector))
            want(
                math.isclose(length, 1.0, abs_tol=1e-3),
                "An embedder gives unit vectors, also of a text without words.",
            )
        want(len({len(v) for v in answer}) <= 1, "An embedder's vectors have one length.")

    def test_a_text_has_one_vector_whatever_stands_beside_it(self) -> None:
        """What is remembered in one batch must be found from another."""
        ((_, batch), *singles) = self._answers([list(given.WORDS), *([w] for w in given.WORDS)])
        for vector, (_, single) in zip(batch, singles, strict=True):
            want(
                all(
                    math.isclose(a, b, abs_tol=1e-3) for a, b in zip(vector, single[0], strict=True)
                ),
                "An embedder gives a text the same vector alone and among others, in their order.",
            )

    def test_texts_that_differ_have_vectors_that_differ(self) -> None:
        """A constant vector finds everything and nothing."""
        ((_, vectors),) = self._answers([list(given.WORDS)])
        want(
            not any(alike(vectors[0], other) for other in vectors[1:]),
            "An embedder gives different texts different vectors.",
        )


def embedder(make: Callable[[], Embedder], *, deterministic: bool = True) -> type[EmbedderSuite]:
    """The suite of an embedder: ``TestMine = conformance.embedder(Mine)``.

    Args:
        make: Makes a fresh embedder: a class whose arguments have defaults, or a function.
        deterministic: Whether the same texts give the same vectors.
    """
    return suite(EmbedderSuite, make, deterministic=deterministic)
