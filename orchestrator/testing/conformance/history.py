"""The suite of a compressor of histories."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from affectgraph.orchestrator.testing.conformance import samples as given
from affectgraph.orchestrator.testing.conformance.asynchronous import AsyncSuite
from affectgraph.orchestrator.testing.conformance.basics import run, want
from affectgraph.orchestrator.testing.conformance.suite import suite
from affectgraph.orchestrator.testing.conformance.values import verify_model
from affectgraph.orchestrator.testing.conversation import PlayedTurn, TurnPrompt, played
from affectgraph.reasoners.context import Exchange, Recap
from affectgraph.reasoners.history import (
    CompressedHistory,
    HistoryCompressor,
    HistoryTools,
    Notes,
)
from affectgraph.reasoners.history.counting import counter
from affectgraph.reasoners.prompts import PromptLayout, Prompts

History = tuple[Exchange, ...]

_WHO: Final = "A history compressor"
_TURNS: Final = 40
_SPENT: Final = 12
_AT_RISK: Final = (1, 2, 4)
_GRAVE: Final = " ".join(
    [
        *("It was a long day, and the bus was late again." for _ in range(8)),
        "Since the spring I have wished that I was dead.",
        *("Then I went home and nobody was there." for _ in range(8)),
    ]
)


class HistorySuite(AsyncSuite[HistoryCompressor, History, CompressedHistory]):
    """What every compressor of histories does."""

    contract = "history compressor"
    protocol = HistoryCompressor
    risk_level: int = 2

    def samples(self) -> Sequence[History]:
        """One exchange, some, and many with one at risk among the first."""
        return [_history(1), _history(5), _risky(30)]

    def odd(self) -> Sequence[History]:
        """None yet, unusual words, and one exchange as long as a budget."""
        words = tuple(Exchange(said=text, replied="I hear you.") for text in ("", *given.ODD))
        long = Exchange(said="It went on and on. " * 4_000, replied="I hear you.", turn="1")
        return [(), words, (long,), (*_history(3), long)]

    def private(self) -> tuple[History, str]:
        """An exchange with the secret."""
        said = Exchange(said=given.PRIVATE, replied=f"Thank you, {given.PERSONAL}.", turn="1")
        return (said, *_history(3)), given.PERSONAL

    async def ask(self, part: HistoryCompressor, sample: History) -> CompressedHistory:
        """Compress a history."""
        return await part.compress(sample, _tools())

    def verify(self, part: HistoryCompressor, sample: History, answer: CompressedHistory) -> None:
        """Exchanges of the history in their order, the newest among them, and honest numbers."""
        del part
        verify_model(answer, CompressedHistory, _WHO)
        keys = [exchange.key for exchange in sample]
        kept = [exchange.key for exchange in answer.kept]
        want(
            kept == [key for key in keys if key in set(kept)],
            f"{_WHO} keeps exchanges of the history, in their order.",
        )
        want(
            not sample or kept[-1:] == keys[-1:],
            f"{_WHO} keeps the newest exchange: the next words answer it.",
        )
        risky = {e.key for e in sample if e.risk_level >= self.risk_level}
        want(risky <= set(kept), f"{_WHO} never leaves out what was said at risk.")
        want(
            answer.clipped <= len(kept) and (answer.clip > 0) == (answer.clipped > 0),
            f"{_WHO} says how many it clips, and at how many characters.",
        )
        want(
            bool(answer.tokens_before) == any(e.said or e.replied for e in sample),
            f"{_WHO} counts the tokens of all that was said.",
        )
        want(
            all(line.strip() for line in answer.summary.split("\n")) or not answer.summary,
            f"{_WHO} writes a summary as lines with a sentence on each.",
        )

    def test_it_stays_with_what_it_chose(self) -> None:
        """A prompt whose beginning changes every turn is read anew every turn."""
        moves = 0
        for before, after in self._played(_TURNS):
            stays = tuple(e.key for e in after.kept[:-1]) == tuple(e.key for e in before.kept)
            if stays and after.clipped == before.clipped:
                want(
                    after.summary == before.summary,
                    f"{_WHO} changes the summary only when it leaves something out: the summary"
                    " stands before what is told.",
                )
            moves += not stays
        want(
            moves <= _TURNS // 3,
            f"{_WHO} leaves much out at a time and then nothing for some turns; it left something"
            f" out in {moves} of {_TURNS}.",
        )

    def test_what_it_tells_is_bounded(self) -> None:
        """A conversation has no end; the model's positions have."""
        lengths = [answer.tokens_after for _, answer in self._played(_TURNS * 2, words=400)]
        half = len(lengths) // 2
        want(
            max(lengths[half:]) <= max(lengths[:half]),
            f"{_WHO} does not tell more and more as a conversation goes on.",
        )

    def test_nothing_at_risk_is_lost_as_a_conversation_goes_on(self) -> None:
        """Not even when the window has long moved past it."""
        at_risk = {f"turn-{n}" for n in (2, 5)}
        for _, answer in self._played(_TURNS, risky=at_risk, after=6):
            kept = {exchange.key for exchange in answer.kept}
            want(at_risk <= kept, f"{_WHO} never leaves out what was said at risk.")

    def test_the_words_of_a_message_at_risk_are_told_whole(self) -> None:
        """However long they are: what matters may stand in the middle."""
        part, prompts = self.make(), Prompts(PromptLayout.small())
        said = [_turn(n, _GRAVE if n in _AT_RISK else "") for n in range(_TURNS)]

        async def play() -> list[TurnPrompt]:
            await self.prepare(part)
            try:
                return await played(prompts, Notes(prompts, part), said)
            finally:
                await self.release(part)

        for number, prompt in enumerate(run(play())):
            text = "\n".join(message.content for message in prompt.messages[:-1])
            due = [n for n in _AT_RISK if n < number]
            want(
                all(f"{_GRAVE} ({n})" in text for n in due),
                f"{_WHO} cuts no message at risk; before turn {number} one was told in part.",
            )

    def _played(
        self, turns: int, *, words: int = 12, risky: frozenset[str] | set[str] = frozenset(),
        after: int = 1,
    ) -> list[tuple[CompressedHistory, CompressedHistory]]:  # fmt: skip
        """What it tells turn by turn: each answer from number ``after`` on with the one before."""
        part = self.make()

        async def play() -> list[CompressedHistory]:
            await self.prepare(part)
            history: History = ()
            answers = []
            try:
                for exchange in _history(turns, words=words):
                    level = 3 if exchange.key in risky else 0
                    history = (*history, exchange.model_copy(update={"risk_level": level}))
                    answer = await self.ask(part, history)
                    answers.append(answer)
                    history = (*history[:-1], history[-1].model_copy(update=_recap(answer)))
            finally:
                await self.release(part)
            return answers

        answers = run(play())
        return [(answers[n - 1], answers[n]) for n in range(after, len(answers))]


def _recap(answer: CompressedHistory) -> dict[str, Recap]:
    kept = tuple(exchange.key for exchange in answer.kept)
    return {
        "recap": Recap(
            kept=kept,
            summary=answer.summary,
            clip=answer.clip,
            clipped=answer.clipped,
            tokens=answer.tokens_before,
        )
    }


def _history(turns: int, *, words: int = 12) -> History:
    return tuple(
        Exchange(
            said=f"Number {n}. {given.WORDS[n % len(given.WORDS)]} " + "word " * (words - _SPENT),
            replied=f"What was it like, number {n}?",
            turn=f"turn-{n}",
        )
        for n in range(turns)
    )


def _turn(number: int, grave: str) -> PlayedTurn:
    said = f"{grave} ({number})" if grave else f"My neighbour sang the song of number {number}."
    return PlayedTurn(said, "What was that like?", risk_level=3 if grave else 0)


def _risky(turns: int) -> History:
    history = list(_history(turns))
    history[1] = history[1].model_copy(update={"risk_level": 4})
    return tuple(history)


def _tools() -> HistoryTools:
    prompts = Prompts(PromptLayout.trained())
    return HistoryTools(
        printed=lambda exchange, clip: "\n".join(prompts.printed(exchange, clip)),
        count=counter(None),
    )


def history(
    make: Callable[[], HistoryCompressor], *, deterministic: bool = True, risk_level: int = 2
) -> type[HistorySuite]:
    """The suite of a compressor of histories: ``TestMine = conformance.history(Mine)``.

    Args:
        make: Makes a fresh compressor: a class whose arguments have defaults, or a function.
        deterministic: Whether the same history gives the same answer.
        risk_level: From which level of risk on it leaves nothing out.
    """
    return suite(HistorySuite, make, deterministic=deterministic, risk_level=risk_level)
