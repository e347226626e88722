from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgraph.perceivers.errors import BackendError
from affectgraph.policies.contracts import Policy, Sentence
from affectgraph.policies.gate import (
    REPLACEMENT,
    Ended,
    Released,
    Replaced,
    SentenceGate,
)
from affectgraph.policies.output import RepetitionPolicy, default_output_policies
from affectgraph.policies.verdict import Verdict

Event = Released | Replaced | Ended
BAD = "forbidden words here"
POLICIES: Sequence[Policy[Sentence]] = default_output_policies()


class _Word:
    """Blocks sentences with a word in them."""

    name = "word"

    def __init__(self, word: str = BAD) -> None:
        self._word = word
        self.seen: list[Sentence] = []

    def review(self, subject: Sentence) -> Verdict:
        self.seen.append(subject)
        if self._word in subject.text:
            return Verdict(action="block", policy=self.name, reasons=("word",))
        return Verdict(action="allow", policy=self.name)


class _Always:
    """Says the same of every sentence."""

    name = "always"

    def __init__(self, verdict: Verdict) -> None:
        self._verdict = verdict

    def review(self, subject: Sentence) -> Verdict:
        return self._verdict


class _Failing:
    name = "failing"

    def review(self, subject: Sentence) -> Verdict:
        raise RuntimeError("broken")


class _Source:
    """Gives pieces and notes that it was closed."""

    def __init__(self, pieces: Sequence[str], error: BaseException | None = None) -> None:
        self._pieces = list(pieces)
        self._error = error
        self.given = 0
        self.closed = 0

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        await asyncio.sleep(0)
        if self.given == len(self._pieces):
            raise self._error or StopAsyncIteration
        self.given += 1
        return self._pieces[self.given - 1]

    async def aclose(self) -> None:
        self.closed += 1


async def _events(
    gate: SentenceGate, pieces: Sequence[str], utterance: str = ""
) -> tuple[list[Event], _Source]:
    source = _Source(pieces)
    events = [event async for event in gate.hold(source, utterance)]
    return events, source


def _cut(text: str, cuts: Sequence[int]) -> list[str]:
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[a:b] for a, b in pairwise(places)]


def _released(events: Sequence[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Released)]


def _ended(events: Sequence[Event]) -> Ended:
    assert isinstance(events[-1], Ended)
    return events[-1]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three? Four", ["One. ", "Two! ", "Three? ", "Four"]),
        ("See Dr. Lee, e.g. today. Good.", ["See Dr. Lee, e.g. today. ", "Good."]),
        ("It is 3.5 hours. Yes.", ["It is 3.5 hours. ", "Yes."]),
        ("1. First thing. 2. Second.", ["1. First thing. ", "2. Second."]),
        ('He said "no." Then left.', ['He said "no." ', "Then left."]),
        ("So it was I. You know.", ["So it was I. ", "You know."]),
        ("A line\nAnother\n\nThird", ["A line\n", "Another\n", "\nThird"]),
        ("What?! Really?? Yes.", ["What?! ", "Really?? ", "Yes."]),
        ("\u597d\u3002\u597d\u3002", ["\u597d\u3002", "\u597d\u3002"]),
        ("   ", []),
        ("", []),
    ],
)
async def test_where_sentences_end(text: str, sentences: list[str]) -> None:
    events, source = await _events(SentenceGate([]), list(text))
    assert _released(events) == sentences
    assert _ended(events).cause == "complete"
    assert _ended(events).delivered == "".join(sentences)
    assert _ended(events).generated == text
    assert source.closed == 1


async def test_a_sentence_is_not_released_before_it_is_complete() -> None:
    gate = SentenceGate([_Word()])
    pieces = ["Good", ". Then ", "comes ", "more. ", "End."]
    source = _Source(pieces)
    read_at = [source.given async for event in gate.hold(source, "") if isinstance(event, Released)]
    assert read_at == [2, 4, 5]


async def test_a_refused_sentence_is_replaced_and_the_source_closed() -> None:
    source = _Source(["Fine. Now ", BAD, " follow. More", " text."])
    closed_at: list[int] = []
    events: list[Event] = []
    async for event in SentenceGate([_Word()]).hold(source, ""):
        events.append(event)
        closed_at.append(source.closed)
    assert _released(events) == ["Fine. "]
    assert isinstance(events[1], Replaced)
    assert events[1].text == REPLACEMENT
    assert events[1].verdict.reasons == ("word",)
    assert closed_at == [0, 1, 1]
    assert source.given == 3
    ended = _ended(events)
    assert ended.cause == "replaced"
    assert ended.delivered == f"Fine. {REPLACEMENT}"
    assert ended.generated == f"Fine. Now {BAD} follow. More"


@pytest.mark.parametrize("action", ["block", "escalate", "replace", "revise"])
async def test_every_verdict_but_allow_holds_the_sentence(action: str) -> None:
    verdict = Verdict.model_validate({"action": action, "policy": "always"})
    events, _ = await _events(SentenceGate([_Always(verdict)], "Instead."), ["Hm. Ho."])
    assert [type(event) for event in events] == [Replaced, Ended]
    assert _ended(events).delivered == "Instead."


async def test_a_policys_own_replacement_comes_before_the_gates() -> None:
    verdict = Verdict(action="replace", policy="always", replacement="Mine.")
    events, _ = await _events(SentenceGate([_Always(verdict)], "Instead."), ["Hm. Ho."])
    assert _ended(events).delivered == "Mine."


async def test_the_replacement_may_depend_on_what_was_delivered() -> None:
    gate = SentenceGate([_Word()], lambda verdict, before: f"{verdict.reasons[0]} {len(before)}")
    events, _ = await _events(gate, [f"Ok. {BAD}."])
    assert _ended(events).delivered == "Ok. word 4"


async def test_a_revision_takes_the_place_of_the_sentence() -> None:
    verdict = Verdict(action="revise", policy="always", replacement="Better. ")
    events, _ = await _events(SentenceGate([_Always(verdict)]), ["Worse. Worst."])
    assert _released(events) == ["Better. ", "Better. "]


async def test_a_policy_that_fails_lets_nothing_pass() -> None:
    events, source = await _events(SentenceGate([_Failing()]), ["Hello there. Yes."])
    assert _released(events) == []
    assert isinstance(events[0], Replaced)
    assert events[0].verdict.reasons == ("policy-failed",)
    assert source.closed == 1


async def test_one_repetition_is_dropped_and_a_second_ends_the_reply() -> None:
    gate = SentenceGate([RepetitionPolicy()])
    once, _ = await _events(gate, ["That is hard. That is hard. Tell me more."])
    assert _released(once) == ["That is hard. ", "Tell me more."]
    assert _ended(once).cause == "complete"
    twice, source = await _events(gate, ["That is hard. " * 5])
    assert _released(twice) == ["That is hard. "]
    assert _ended(twice).cause == "repeated"
    assert source.closed == 1


async def test_the_reply_ends_at_the_sentence_that_reaches_the_limit() -> None:
    gate = SentenceGate([], max_words=5)
    events, source = await _events(gate, ["One two three. ", "Four five six. ", "Seven. "])
    assert _released(events) == ["One two three. ", "Four five six. "]
    assert _ended(events).cause == "limit"
    assert source.given == 2
    assert source.closed == 1


async def test_policies_see_what_was_delivered_and_said() -> None:
    policy = _Word()
    await _events(SentenceGate([policy]), ["One. ", "Two."], "hello")
    assert [(s.text, s.before, s.utterance) for s in policy.seen] == [
        ("One. ", "", "hello"),
        ("Two.", "One. ", "hello"),
    ]


@pytest.mark.parametrize("error", [BackendError("fake", "gone"), asyncio.CancelledError()])
async def test_errors_of_the_source_come_through(error: BaseException) -> None:
    source = _Source(["Fine. Unfinished"], error)
    released: list[str] = []

    async def read() -> None:
        async for event in SentenceGate([]).hold(source, ""):
            assert isinstance(event, Released)
            released.append(event.text)

    with pytest.raises(type(error)):
        await read()
    assert released == ["Fine. "]
    assert source.closed == 1


async def test_a_consumer_that_leaves_closes_the_source() -> None:
    source = _Source(["One. ", "Two. ", "Three. "])
    held = SentenceGate([]).hold(source, "")
    assert await anext(held) == Released(text="One. ")
    await held.aclose()
    assert source.closed == 1
    assert source.given == 1


async def test_cancelling_the_reader_closes_the_source() -> None:
    source = _Source(["word. "] * 1000)
    reading = asyncio.Event()

    async def read() -> None:
        async for _ in SentenceGate([], max_words=10_000).hold(source, ""):
            reading.set()

    task = asyncio.create_task(read())
    await reading.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert source.closed == 1


async def test_a_generator_is_a_source() -> None:
    closed = False

    async def words() -> AsyncIterator[str]:
        nonlocal closed
        try:
            for word in ("One. ", f"{BAD}. ", "Three."):
                yield word
        finally:
            closed = True

    events = [event async for event in SentenceGate([_Word()]).hold(words(), "")]
    assert _released(events) == ["One. "]
    assert closed


CHUNKED = st.tuples(
    st.text(alphabet="ab .!?\n\u3002\"'1eg", max_size=700),
    st.lists(st.integers(min_value=0, max_value=2000), max_size=12),
)


@given(CHUNKED)
def test_what_is_released_does_not_depend_on_the_pieces(case: tuple[str, list[int]]) -> None:
    text, cuts = case
    gate = SentenceGate([_Word("ab")], max_words=10_000)

    async def both() -> tuple[list[Event], list[Event]]:
        return (await _events(gate, _cut(text, cuts)))[0], (await _events(gate, list(text)))[0]

    pieces, letters = asyncio.run(both())
    assert pieces[:-1] == letters[:-1]
    assert _ended(pieces).delivered == _ended(letters).delivered
    if _ended(pieces).cause == "complete":
        assert (
            "".join(_released(pieces)) == text
            or not text[len("".join(_released(pieces))) :].strip()
        )


@given(
    st.text(alphabet="cd ,.\n", max_size=450),
    st.text(alphabet="cd ,.\n", max_size=450),
    st.lists(st.integers(min_value=0, max_value=2000), max_size=12),
)
def test_a_refused_text_never_leaves_the_buffer(before: str, after: str, cuts: list[int]) -> None:
    text = before + BAD + after

    async def held() -> list[Event]:
        return (await _events(SentenceGate([_Word()], max_words=10_000), _cut(text, cuts)))[0]

    events = asyncio.run(held())
    out = "".join(_released(events))
    assert _ended(events).cause == "replaced"
    assert BAD not in out
    # Not even its beginning: what was released lies wholly before the refused words.
    assert text.startswith(out)
    assert len(out) <= len(before)


async def test_a_run_on_is_cut_and_hides_nothing() -> None:
    words = "and so it goes on " * 60
    events, _ = await _events(SentenceGate([], max_words=10_000), [words])
    assert "".join(_released(events)) == words
    assert all(len(part) <= 300 for part in _released(events))
    hidden = words[:190] + "you should kill yourself " + words
    shown, _ = await _events(SentenceGate(POLICIES), [hidden])
    assert _ended(shown).cause == "replaced"
    assert "kill" not in "".join(_released(shown))


async def test_the_default_policies_pass_an_ordinary_reply() -> None:
    reply = (
        "I'm sorry that the exam went badly again. It makes sense that you feel ashamed in front"
        " of your parents. What was the hardest moment today?"
    )
    events, _ = await _events(SentenceGate(POLICIES), list(reply), "I failed again.")
    assert _ended(events).delivered == reply
    assert _ended(events).cause == "complete"
