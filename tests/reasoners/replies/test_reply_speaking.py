from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.errors import BackendError, BuildError
from affectgraph.perceivers.labels import MESC_7
from affectgraph.reasoners.brevity import Brevity
from affectgraph.reasoners.context import ReasoningContext
from affectgraph.reasoners.contracts import Sampling
from affectgraph.reasoners.plan import Decision, LabelStageName, Plan
from affectgraph.reasoners.replies.origin import ReplyOrigin, Spoken
from affectgraph.reasoners.replies.speaking import Replies, Replying
from affectgraph.reasoners.taxonomy import ESCONV_8

GOOD = "That sounds really hard. What has been the hardest part?"
LIVED = "I felt the same way last year."
SAID = ReasoningContext(utterance="I failed my exam.")


def decided(stage: LabelStageName, label: str) -> Decision:
    labels = ESCONV_8 if stage == "strategy" else MESC_7
    return Decision(
        stage=stage, distribution=Distribution.certain(labels, label), label=label, source="test"
    )


PLAN = Plan().deciding(decided("user_emotion", "sadness")).deciding(decided("strategy", "Question"))


class Model:
    """Says its replies one after another, a character at a time, and counts what happens."""

    def __init__(self, *replies: str | BackendError) -> None:
        self.replies = list(replies)
        self.samplings: list[Sampling | None] = []
        self.closed = 0
        self.given = ""

    def first(self) -> AsyncIterator[str]:
        return self._say(None)

    def again(self, sampling: Sampling) -> AsyncIterator[str]:
        return self._say(sampling)

    async def _say(self, sampling: Sampling | None) -> AsyncIterator[str]:
        # A second generation begins only when the first has left the model.
        assert self.closed == len(self.samplings)
        self.samplings.append(sampling)
        try:
            reply = self.replies.pop(0)
            if isinstance(reply, BackendError):
                raise reply
            for letter in reply:
                self.given += letter
                yield letter
        finally:
            self.closed += 1


async def spoken(
    model: Model,
    replies: Replies | None = None,
    *,
    context: ReasoningContext = SAID,
    plan: Plan = PLAN,
    again: bool = True,
) -> tuple[str, ReplyOrigin]:
    second: Callable[[Sampling], AsyncIterator[str]] | None = model.again if again else None
    told = (replies or Replies()).speak(context, plan, model.first, second, Sampling(max_tokens=50))
    text, origin = "", None
    async for piece in told:
        text += piece
        if isinstance(piece, Spoken):
            origin = piece.origin
    assert origin is not None
    return text, origin


async def test_a_good_reply_is_said_as_it_is() -> None:
    model = Model(GOOD)
    assert await spoken(model) == (GOOD, ReplyOrigin(source="model"))
    assert model.samplings == [None]


async def test_the_first_sentence_is_out_before_the_second_is_made() -> None:
    model = Model(GOOD)
    told = Replies().speak(SAID, PLAN, model.first)
    assert await anext(told) == "That sounds really hard. "
    assert "hardest part" not in model.given
    await told.aclose()  # type: ignore[attr-defined]
    assert model.closed == 1


async def test_a_bad_first_sentence_is_resampled_once_with_a_seed() -> None:
    model = Model(LIVED, GOOD)
    text, origin = await spoken(model)
    assert text == GOOD
    assert origin == ReplyOrigin(source="resampled", reasons=("invented-life",))
    _, sampling = model.samplings
    assert sampling is not None
    assert sampling.temperature > 0
    assert sampling.seed is not None
    assert sampling.max_tokens == 50
    same = Model(LIVED, GOOD)
    await spoken(same)
    assert same.samplings == model.samplings, "the second try is repeatable"


async def test_two_bad_tries_are_replaced_by_a_written_reply() -> None:
    model = Model(LIVED, "You should try to study harder.")
    text, origin = await spoken(model)
    assert origin.source == "written"
    assert origin.reasons == ("invented-life", "early-advice")
    assert "your exam" in text
    assert text.endswith("?"), "the strategy was a question"
    assert model.closed == 2


@pytest.mark.parametrize("silence", ["", "   \n", "."])
async def test_silence_is_replaced_too(silence: str) -> None:
    text, origin = await spoken(Model(silence, silence))
    assert text
    assert origin.source == "written"
    assert origin.reasons


async def test_what_fails_later_is_cut_and_closed_with_a_written_sentence() -> None:
    text, origin = await spoken(Model(f"That sounds really hard. {LIVED} And then more."))
    assert text.startswith("That sounds really hard. ")
    assert "last year" not in text
    assert text.endswith("?")
    assert origin.source == "model"
    assert origin.cut
    assert origin.continued
    assert origin.reasons == ("invented-life",)


async def test_what_stands_by_itself_is_only_cut() -> None:
    text, origin = await spoken(Model(f"That sounds hard. What was hardest? {LIVED}"))
    assert text.rstrip() == "That sounds hard. What was hardest?"
    assert origin.cut
    assert not origin.continued


async def test_a_reply_of_two_words_is_closed_with_a_written_sentence() -> None:
    text, origin = await spoken(Model("That's hard."))
    assert text.startswith("That's hard. ")
    assert origin == ReplyOrigin(source="model", reasons=("too-short",), continued=True)


async def test_a_question_that_was_decided_on_is_asked() -> None:
    text, origin = await spoken(Model("I'm so sorry to hear that."))
    assert text.startswith("I'm so sorry to hear that. ")
    assert text.endswith("?")
    assert origin.continued
    comfort = Plan().deciding(decided("strategy", "Affirmation and Reassurance"))
    text, origin = await spoken(Model("I'm so sorry to hear that."), plan=comfort)
    assert text == "I'm so sorry to hear that."
    assert origin == ReplyOrigin(source="model")


async def test_without_a_second_try_written_words_stand_in_at_once() -> None:
    for replies, again in ((Replies(Replying(resample=False)), True), (Replies(), False)):
        model = Model(LIVED, GOOD)
        _, origin = await spoken(model, replies, again=again)
        assert origin.source == "written"
        assert len(model.samplings) == 1


async def test_a_backend_that_fails_at_first_is_the_callers_affair() -> None:
    with pytest.raises(BackendError):
        await spoken(Model(BackendError("fake", "made to fail")))


async def test_a_backend_that_fails_at_the_second_try_is_covered_by_written_words() -> None:
    text, origin = await spoken(Model(LIVED, BackendError("fake", "made to fail")))
    assert text
    assert origin.source == "written"
    assert origin.reasons == ("invented-life", "resample-failed")


async def test_checks_can_be_off_singly_and_all() -> None:
    text, origin = await spoken(Model(f"{LIVED} How are you?"), Replies(Replying(check=False)))
    assert text == f"{LIVED} How are you?"
    assert origin == ReplyOrigin(source="model")
    lenient = Replies(Replying(off=("life", "topic", "facts")))
    assert (await spoken(Model(f"{LIVED} How are you?"), lenient))[0] == f"{LIVED} How are you?"
    with pytest.raises(BuildError, match="no check"):
        Replies(Replying(off=("lives",)))


async def test_a_small_model_is_not_asked_about_greetings_and_other_languages() -> None:
    for said in ("hello", "Ich bin heute sehr traurig.", "asdfgh"):
        model = Model()
        context = ReasoningContext(utterance=said)
        text, origin = await spoken(model, Replies(small=True), context=context)
        assert text
        assert origin.source == "written"
        assert origin.reasons[0].startswith("situation-")
        assert model.samplings == []


async def test_a_large_model_answers_in_the_persons_language() -> None:
    german = "Das tut mir sehr leid. Was ist gerade am schwersten?"
    context = ReasoningContext(utterance="Ich bin heute sehr traurig und weiß nicht warum.")
    assert (await spoken(Model(german), context=context))[0] == german


async def test_the_length_is_kept() -> None:
    long = " ".join(["That sounds hard for you."] + ["It weighs on you each day."] * 20)
    text, _ = await spoken(Model(long), Replies(brevity=Brevity(sentences=2, words=20)))
    assert len(text.split()) <= 40


async def test_origins_tell_no_words() -> None:
    _, origin = await spoken(Model(LIVED, LIVED))
    assert "year" not in origin.model_dump_json()
    assert "exam" not in origin.model_dump_json()
