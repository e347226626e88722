"""The suite of a text reader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from affectgraph.orchestrator.testing.conformance import samples as given
from affectgraph.orchestrator.testing.conformance.asynchronous import AsyncSuite
from affectgraph.orchestrator.testing.conformance.basics import want
from affectgraph.orchestrator.testing.conformance.suite import suite
from affectgraph.orchestrator.testing.conformance.values import verify_reading, verify_span
from affectgraph.perceivers.affect import Reading
from affectgraph.perceivers.contracts import TextReader

_WHO = "A text reader"
Words = tuple[str, datetime]


class TextReaderSuite(AsyncSuite[TextReader, Words, Reading]):
    """What every reader of words does, typed or heard."""

    contract = "text reader"
    protocol = TextReader
    texts: tuple[str, ...] = ()

    def samples(self) -> Sequence[Words]:
        """The author's texts, or ours."""
        texts = self.texts or given.WORDS
        return [(text, given.AT + timedelta(minutes=n)) for n, text in enumerate(texts)]

    def odd(self) -> Sequence[Words]:
        """Unusual words."""
        return [(text, given.AT) for text in given.ODD]

    def private(self) -> tuple[Words, str]:
        """Words with the secret."""
        return (given.PRIVATE, given.AT), given.PERSONAL

    async def ask(self, part: TextReader, sample: Words) -> Reading:
        """Read a text."""
        text, at = sample
        return await part.read(text, at)

    def verify(self, part: TextReader, sample: Words, answer: Reading) -> None:
        """A reading of text that covers all of it."""
        del part
        text, at = sample
        verify_reading(answer, _WHO)
        want(answer.modality == "text", "A text reader gives readings of the modality text.")
        if answer.affect is None:
            return
        want(answer.covers == len(text), "A text reader's reading covers the whole text.")
        want(
            answer.affect.captured_at == at,
            "A text reader dates an affect by the time that it is given.",
        )
        for evidence in answer.affect.evidence:
            verify_span(evidence, text, _WHO)

    def test_it_reads_what_it_is_for(self) -> None:
        """Abstaining is right on bad input only."""
        want(
            any(reading.affect is not None for _, reading in self._answers(self.samples())),
            "A text reader reads at least one of the suite's texts; give texts=[...] that yours"
            " is made for.",
        )

    def test_it_abstains_where_there_are_no_words(self) -> None:
        """A silent transcript is no neutral text."""
        for _, reading in self._answers([("", given.AT), (" \n\t", given.AT)]):
            want(reading.affect is None, "A text reader abstains from a text without words.")


def text_reader(
    make: Callable[[], TextReader], *, texts: Sequence[str] = (), deterministic: bool = True
) -> type[TextReaderSuite]:
    """The suite of a text reader: ``TestMine = conformance.text_reader(Mine)``.

    Args:
        make: Makes a fresh reader: a class whose arguments have defaults, or a function.
        texts: Texts that it is made for, two at least; by default English messages.
        deterministic: Whether the same text gives the same reading.
    """
    return suite(TextReaderSuite, make, texts=tuple(texts), deterministic=deterministic)
