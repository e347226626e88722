from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.labels import MESC_7, LabelSet
from affectgraph.policies.contracts import Sentence
from affectgraph.policies.output import default_output_policies
from affectgraph.reasoners.context import Exchange, ReasoningContext
from affectgraph.reasoners.plan import Decision, LabelStageName, Plan
from affectgraph.reasoners.replies.checks import Checks, codes
from affectgraph.reasoners.replies.findings import Situation
from affectgraph.reasoners.replies.library import Group, Move, WrittenReplies
from affectgraph.reasoners.replies.slots import slots_of
from affectgraph.reasoners.replies.words import sentences
from affectgraph.reasoners.taxonomy import ESCONV_8, MESC_10

LIBRARY = WrittenReplies()
FILE = LIBRARY.load()
POLICIES = default_output_policies()
FEELS = {
    "sad": "sadness", "loss": "sadness", "afraid": "fear", "angry": "anger", "glad": "joy",
    "even": "neutral",
}  # fmt: skip
SAID: dict[str, tuple[str, ...]] = {
    "sad": (
        "I feel so lonely since my best friend moved.",
        "My exam went badly.",
        "It's all grey.",
    ),
    "loss": ("My grandmother died last week.", "My old dog passed away."),
    "afraid": ("I'm so nervous about my job interview.", "My son is ill.", "What will happen?"),
    "angry": ("I'm furious at my boss.", "My sister lied to me again!", "It's not fair."),
    "glad": ("I'm so proud, I got promoted!", "My wedding was great!", "It worked!"),
    "even": ("I'm bored with my homework.", "My flat is small.", "It rains."),
}


def decided(stage: LabelStageName, labels: LabelSet, label: str) -> Decision:
    belief = Distribution.certain(labels, label)
    return Decision(stage=stage, distribution=belief, label=label, source="test")


def plan(emotion: str, strategy: str | None = None, labels: LabelSet = ESCONV_8) -> Plan:
    made = Plan().deciding(decided("user_emotion", MESC_7, emotion))
    return made if strategy is None else made.deciding(decided("strategy", labels, strategy))


def strategy_of(move: Move) -> tuple[str, LabelSet]:
    for labels in (ESCONV_8, MESC_10):
        for label, its in FILE.moves[labels.name].items():
            if its == move:
                return label, labels
    raise AssertionError(move)


def objections(reply: str, said: str) -> list[str]:
    found, before = [], ""
    for sentence in sentences(reply):
        subject = Sentence(text=f"{sentence} ", before=before, utterance=said)
        found += [f"{p.name}: {sentence}" for p in POLICIES if p.review(subject).action != "allow"]
        before += f"{sentence} "
    return found


def filled(group: Group) -> list[tuple[str, str]]:
    told = [(said, slots_of(said)) for said in SAID[group]]
    return [
        (said, opening)
        for said, slots in told
        for template in LIBRARY.openings(group)
        if (opening := slots.filled(template)) is not None
    ]


@pytest.mark.parametrize("group", get_args(Group))
def test_every_opening_passes_our_own_checks_and_the_policies(group: Group) -> None:
    openings = filled(group)
    assert {opening for _, opening in openings} > {
        o for o in LIBRARY.openings(group) if "{" not in o
    } or group == "loss"
    for said, opening in openings:
        situation = Situation(ReasoningContext(utterance=said), plan(FEELS[group]))
        assert not codes(Checks().reply(opening, situation)), opening
        assert not objections(opening, said)


@pytest.mark.parametrize("group", get_args(Group))
@pytest.mark.parametrize("move", get_args(Move))
def test_every_closing_passes_our_own_checks_and_the_policies(group: Group, move: Move) -> None:
    closings = LIBRARY.closings(move, group)
    assert len(set(closings)) >= 6
    label, labels = strategy_of(move)
    for said in SAID[group]:
        # Advice is only decided on where somebody asks for it, or later in a conversation.
        asked = f"{said} What should I do?" if move == "suggest" else said
        situation = Situation(ReasoningContext(utterance=asked), plan(FEELS[group], label, labels))
        for closing in closings:
            assert not codes(Checks().reply(f"I hear you. {closing}", situation)), closing
            assert not objections(closing, asked)


@pytest.mark.parametrize("labels", [MESC_10, ESCONV_8], ids=lambda labels: labels.name)
@pytest.mark.parametrize("group", get_args(Group))
def test_chosen_replies_are_clean_for_every_strategy(group: Group, labels: LabelSet) -> None:
    for strategy in labels.labels:
        for said in SAID[group]:
            advises = strategy in ("Advisement", "Providing Suggestions")
            context = ReasoningContext(utterance=f"{said} What should I do?" if advises else said)
            made = plan(FEELS[group], strategy, labels)
            reply = LIBRARY.reply(context, made).text
            assert not codes(Checks().reply(reply, Situation(context, made))), reply
            assert len(reply.split()) <= 60
            if advises:
                assert reply.endswith("?")


def test_only_the_suggesting_move_advises() -> None:
    for move in get_args(Move):
        for group in get_args(Group):
            for closing in LIBRARY.closings(move, group):
                found = codes(Checks().reply(closing, Situation(ReasoningContext(utterance="Hm."))))
                assert ("early-advice" in found) == (move == "suggest"), closing


@pytest.mark.parametrize("name", sorted(FILE.situations))
def test_replies_to_situations_pass_the_policies(name: str) -> None:
    variants = {str(key): value for key, value in FILE.situations.items()}[name]
    assert len(set(variants)) >= 6
    for reply in variants:
        assert not objections(reply, "hello")


def test_replies_in_other_languages_pass_the_policies() -> None:
    for tongue in FILE.languages.values():
        for reply in (*tongue.low, *tongue.glad, *tongue.even, tongue.note):
            assert not objections(reply, "...")
            assert reply[-1] in ".?!"


def test_a_reply_reflects_the_persons_own_words() -> None:
    context = ReasoningContext(utterance="I failed my math exam.")
    assert "your math exam" in LIBRARY.reply(context, plan("sadness", "Question")).text
    lost = ReasoningContext(utterance="My grandmother passed away.")
    assert "your grandmother" in LIBRARY.reply(lost, plan("sadness", "Others")).text


def test_the_choice_is_the_same_again_and_goes_on_in_the_thread() -> None:
    made, history, seen = plan("sadness", "Question"), list[Exchange](), set[str]()
    for turn in range(6):
        context = ReasoningContext(utterance="It hurts.", history=tuple(history))
        reply = LIBRARY.reply(context, made).text
        assert reply == loaded().reply(context, made).text
        assert not seen & set(sentences(reply)), f"said again in turn {turn}"
        seen |= set(sentences(reply))
        history.append(Exchange(said="It hurts.", replied=reply))


def loaded() -> WrittenReplies:
    made = WrittenReplies()
    made.load()
    return made


def test_without_a_plan_the_persons_own_words_decide() -> None:
    reply = LIBRARY.reply(ReasoningContext(utterance="I'm so happy today!")).text
    openings = [o.replace("{feeling}", "happy") for o in LIBRARY.openings("glad")]
    assert any(reply.startswith(opening) for opening in openings)


def test_the_honest_note_of_a_language_is_said_once_a_thread() -> None:
    first = ReasoningContext(utterance="Ich bin heute sehr traurig.")
    written = LIBRARY.reply(first)
    assert written.reason == "situation-language-de"
    assert FILE.languages["de"].note in written.text
    history = (Exchange(said=first.utterance, replied=written.text),)
    later = ReasoningContext(utterance="Ich weiß auch nicht warum.", history=history)
    assert FILE.languages["de"].note not in LIBRARY.reply(later).text


@settings(deadline=None)
@given(
    st.text(max_size=300),
    st.sampled_from(MESC_7.labels),
    st.sampled_from(MESC_10.labels),
    st.lists(st.text(max_size=50), max_size=3),
)
def test_there_is_a_whole_reply_to_any_message(
    said: str, emotion: str, strategy: str, replies: list[str]
) -> None:
    history = tuple(Exchange(said="...", replied=reply) for reply in replies)
    context = ReasoningContext(utterance=said, history=history)
    reply = LIBRARY.reply(context, plan(emotion, strategy, MESC_10)).text
    assert reply.strip()
    assert "{" not in reply
    assert LIBRARY.closing(context, plan(emotion, strategy, MESC_10), "I hear you.")


def test_before_it_is_loaded_nothing_can_be_chosen() -> None:
    with pytest.raises(SetupError, match="not loaded"):
        WrittenReplies().reply(ReasoningContext(utterance="I feel sad."))


def test_a_library_with_too_few_variants_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    text = (Path(__file__).parents[3] / "reasoners/data/written_replies.yaml").read_text("utf-8")
    file.write_text(text.replace("      - What worries you the most about it?\n", "", 1), "utf-8")
    with pytest.raises(SetupError, match=r"mine\.yaml(.|\n)*5 closings for ask x afraid"):
        WrittenReplies(file).load()
    with pytest.raises(SetupError, match=r"cannot read none\.yaml"):
        WrittenReplies(tmp_path / "none.yaml").load()


def test_a_library_of_ones_own_is_spoken(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    text = (Path(__file__).parents[3] / "reasoners/data/written_replies.yaml").read_text("utf-8")
    file.write_text(text.replace("- Goodbye, and all", "- Farewell, and all"), "utf-8")
    own = WrittenReplies(file)
    own.load()
    said = {own.reply(ReasoningContext(utterance=f"bye{'e' * n}")).text for n in range(40)}
    assert any("Farewell" in reply for reply in said)


@pytest.mark.parametrize("said", ["What can I do tonight?", "My sister is sad. How can I help?"])
def test_who_asks_what_to_do_is_told_something(said: str) -> None:
    context = ReasoningContext(utterance=said)
    reply = LIBRARY.reply(context, plan("neutral", "Question", ESCONV_8)).text
    suggestions = {
        closing for each in LIBRARY.load().closings["suggest"].values() for closing in each
    }
    assert any(reply.endswith(closing) for closing in suggestions)


def test_who_asks_is_not_thanked_for_telling() -> None:
    asked = ReasoningContext(utterance="What is the weather like?")
    reply = LIBRARY.reply(asked, plan("neutral", "Question", ESCONV_8)).text
    assert reply.startswith(tuple(LIBRARY.load().asked))
    assert not any("thank" in opening.lower() for opening in LIBRARY.load().asked)
