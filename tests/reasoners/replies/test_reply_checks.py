from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.errors import BuildError
from affectgraph.perceivers.labels import MESC_7
from affectgraph.reasoners.context import Exchange, ReasoningContext
from affectgraph.reasoners.plan import Decision, Plan
from affectgraph.reasoners.replies.checks import DEFAULT_CHECKS, Checks, codes
from affectgraph.reasoners.replies.findings import Situation
from affectgraph.reasoners.taxonomy import ESCONV_8
from benchmarks.reply_checks import Judged, judged, on_examples

CASES = judged()


def situation(said: str, *, emotion: str | None = None, strategy: str | None = None) -> Situation:
    plan = Plan()
    if emotion is not None:
        belief = Distribution.certain(MESC_7, emotion)
        plan = plan.deciding(
            Decision(stage="user_emotion", distribution=belief, label=emotion, source="test")
        )
    if strategy is not None:
        chosen = Distribution.certain(ESCONV_8, strategy)
        plan = plan.deciding(
            Decision(stage="strategy", distribution=chosen, label=strategy, source="test")
        )
    return Situation(ReasoningContext(utterance=said), plan)


def test_the_examples_are_enough_and_the_checks_are_right_about_them() -> None:
    measured = on_examples(Checks())
    assert measured["good"] >= 80
    assert measured["bad"] >= 80
    assert measured["precision"] >= 0.97
    assert measured["recall"] >= 0.97
    assert measured["named_rightly"] >= 0.93


@pytest.mark.parametrize("code", sorted({case.code for case in CASES if case.code}))
def test_every_kind_of_fault_is_found_by_its_own_name(code: str) -> None:
    found = [codes(Checks().reply(c.reply, c.situation)) for c in CASES if c.code == code]
    assert any(code in each for each in found)


@pytest.mark.parametrize("check", DEFAULT_CHECKS, ids=lambda check: check.name)
def test_a_check_that_is_off_finds_nothing(check: object) -> None:
    name = getattr(check, "name")  # noqa: B009 - a protocol's property
    left = Checks.without([name])
    assert all(
        finding.check != name
        for case in CASES
        for finding in left.reply(case.reply, case.situation)
    )


def test_switching_off_what_is_not_there_is_refused() -> None:
    with pytest.raises(BuildError, match=r"spelling.*loops"):
        Checks.without(["spelling"])


def test_advice_is_welcome_when_it_was_asked_for() -> None:
    advice = "You could try a short walk."
    assert "early-advice" in codes(Checks().reply(advice, situation("I feel sad.")))
    assert not Checks().reply(advice, situation("I feel sad. What can I do?"))


def test_decided_advice_is_welcome_after_a_question() -> None:
    asked = (Exchange(said="I feel sad.", replied="What has happened?"),)
    given_ = situation("We had a fight.", strategy="Providing Suggestions")
    later = given_.context.model_copy(update={"history": asked})
    advice = "You could write down what you want to say."
    assert codes(Checks().reply(advice, given_)) == ("early-advice",)
    assert not Checks().reply(advice, Situation(later, given_.plan))


def test_the_persons_own_words_of_joy_outweigh_a_wrong_belief() -> None:
    glad = "Congratulations, you can be proud!"
    assert codes(Checks().reply(glad, situation("I passed!", emotion="sadness")))
    assert not Checks().reply(glad, situation("I'm so happy, I passed!", emotion="sadness"))


def test_what_was_said_in_an_earlier_turn_is_known() -> None:
    history = (Exchange(said="My wife is ill.", replied="I'm so sorry."),)
    context = ReasoningContext(utterance="I'm tired.", history=history)
    assert not Checks().reply("How is your wife today?", Situation(context))
    assert codes(Checks().reply("How is your wife today?", situation("I'm tired.")))


def test_in_other_languages_only_form_is_checked() -> None:
    german = situation("Ich habe heute meine Prüfung nicht bestanden und das ist schlimm.")
    assert not Checks().reply("Das tut mir sehr leid. Wie geht es dir damit?", german)
    loop = "Das tut mir so leid, das tut mir so leid."
    assert codes(Checks().reply(loop, german)) == ("loop",)


@settings(deadline=None)
@given(st.text(max_size=200), st.text(max_size=200))
def test_no_text_breaks_a_check(said: str, reply: str) -> None:
    found = Checks().reply(reply, situation(said))
    assert all(finding.code for finding in found)


def test_a_good_example_stays_good_whatever_else_was_said_before() -> None:
    before = (Exchange(said="hello", replied="Hello there!"),)
    for case in CASES:
        if case.code is None and not case.situation.context.history:
            moved = _after(case, before)
            assert codes(Checks().reply(case.reply, moved)) == codes(
                Checks().reply(case.reply, case.situation)
            )


def _after(case: Judged, before: tuple[Exchange, ...]) -> Situation:
    context = case.situation.context.model_copy(update={"history": before})
    return Situation(context, case.situation.plan)


@pytest.mark.parametrize(
    ("said", "reply", "code"),
    [
        (
            "I had pasta for dinner.",
            "That sounds delicious. What did you read?",
            "ungrounded-question",
        ),
        ("Do you think it's my fault?", "Of course. What makes you think so?", "bare-answer"),
        ("I had pasta for dinner.", "I see. How was the pasta?", None),
        ("I failed my exam.", "I'm sorry to hear that. Which class was it?", None),
        ("I failed my exam.", "I'm sorry to hear that. What hurts you the most about it?", None),
        ("It is a long story.", "Of course. Would you like to tell me more about it?", None),
    ],
)
def test_a_small_models_questions_are_open_or_take_something_up(
    said: str, reply: str, code: str | None
) -> None:
    asked = situation(said)
    strict = codes(Checks.without((), strict=True).reply(reply, asked))
    assert strict == (() if code is None else (code,))
    # A larger model may ask what it likes, and answer what it is asked.
    assert codes(Checks().reply(reply, asked)) == ()


def test_the_length_is_the_one_agreed() -> None:
    told = situation("I failed my exam.")
    reply = "I hear you, and it sounds as if a lot of work went into it."
    assert codes(Checks.without((), words=8).reply(reply, told)) == ("too-long",)
    assert not Checks.without((), words=20).reply(reply, told)
