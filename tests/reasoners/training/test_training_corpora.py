from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.labels import MESC_7
from affectgraph.reasoners.taxonomy import ESCONV_8, MESC_10
from affectgraph.reasoners.training import esconv_dialogues, mesc_dialogues, own_dialogues
from affectgraph.reasoners.training.esconv_dialogues import felt_in, fit_to_say
from affectgraph.reasoners.training.reading import TextBeliefs

REPOSITORY = Path(__file__).parents[3]


def belief(**odds: float) -> Distribution:
    return Distribution.over(MESC_7, {label: odds.get(label, 0.0) for label in MESC_7.labels})


async def afraid(texts: Sequence[str]) -> list[Distribution | None]:
    return [belief(fear=1.0) if "exam" in text else None for text in texts]


async def test_chats_become_exchanges_that_the_person_opens(esconv_folder: Path) -> None:
    chats = await esconv_dialogues.load(esconv_folder, "train", afraid)
    assert len(chats) == 6
    first = chats[0]
    assert first.exchanges[0].said == "My exam is tomorrow and I cannot sleep."
    assert len(first.exchanges) == 4
    plans = [e.plan for e in first.exchanges]
    felt = [p.user_emotion.label for p in plans if p.user_emotion]
    assert felt == ["fear", "neutral", "neutral", "neutral"]
    assert [p.strategy.label for p in plans if p.strategy][:2] == [
        "Question", "Reflection of feelings",
    ]  # fmt: skip
    assert plans[0].system_emotion is not None
    assert plans[0].system_emotion.label == "sadness"  # told as compassion


async def test_what_an_ai_must_not_say_stays_in_the_history_unlearned(esconv_folder: Path) -> None:
    chat = (await esconv_dialogues.load(esconv_folder, "train", afraid))[0]
    assert chat.learned == (True, True, True, False)
    assert chat.exchanges[3].replied == "I failed two of mine. It went well later."


@pytest.mark.parametrize(
    "said",
    [
        "As a therapist I see this often.",
        "My own mother was ill for years.",
        "When I was at school I hated it.",
        "I have been there too.",
        "I'm a student as well.",
        "I went through the same thing.",
        "It happened to me last year.",
        "Same here, honestly.",
        "Please press the quit button for the survey.",
        "",
    ],
)
def test_claims_of_a_life_are_not_learned(said: str) -> None:
    assert not fit_to_say(said, ["Others"])


@pytest.mark.parametrize(
    "said",
    [
        "That sounds so hard. What happened then?",
        "You did well to tell your mother.",
        "I am sorry to hear that, your dog meant a lot to you.",
        "I can hear how tired you are. Would a walk help?",
        "I understand. Have you talked to a doctor?",
    ],
)
def test_plain_support_is_learned(said: str) -> None:
    assert fit_to_say(said, ["Question", "Others"])
    assert not fit_to_say(said, ["Question", "Self-disclosure"])


def test_the_named_emotion_tips_a_close_reading_and_no_clear_one() -> None:
    assert felt_in(belief(joy=0.4, fear=0.35, neutral=0.25), "anxiety") == "fear"
    assert felt_in(belief(joy=0.9, fear=0.05, neutral=0.05), "anxiety") == "joy"
    assert felt_in(belief(sadness=0.6, neutral=0.4), "depression") == "depression"
    assert felt_in(belief(sadness=0.6, neutral=0.4), "anger") == "sadness"
    assert felt_in(None, "anger") == "neutral"


async def test_the_text_reader_gives_beliefs_in_order() -> None:
    texts = [
        "I am so happy for my sister!",
        "",
        "I am furious at him.",
        "Мне сегодня очень грустно",
    ]
    found = await TextBeliefs()(texts)
    assert [None if each is None else each.top for each in found] == ["joy", None, "anger", None]


def test_the_projects_own_dialogues_are_fit_to_learn() -> None:
    dialogues = own_dialogues.load()
    exchanges = [exchange for dialogue in dialogues for exchange in dialogue.exchanges]
    assert len(exchanges) > 100
    assert len({exchange.said for exchange in exchanges}) == len(exchanges)
    for exchange in exchanges:
        assert fit_to_say(exchange.replied, ["Others"]), exchange.replied
        assert len(exchange.replied.split()) <= 60
    strategies = {e.plan.strategy.label for e in exchanges if e.plan.strategy}
    assert strategies == set(ESCONV_8.labels) - {"Self-disclosure"}


def test_no_message_of_the_everyday_table_was_learned() -> None:
    told = yaml.safe_load((REPOSITORY / "benchmarks" / "data" / "everyday.yaml").read_text("utf-8"))

    def words(text: str) -> frozenset[str]:
        return frozenset(re.findall(r"\w+", text.lower()))

    def texts(node: object) -> Iterator[str]:
        if isinstance(node, str):
            yield node
        elif isinstance(node, list | dict):
            for each in node.values() if isinstance(node, dict) else node:
                yield from texts(each)

    asked = {words(text) for text in texts(told)}
    assert len(asked) >= 60
    learned = [words(e.said) for dialogue in own_dialogues.load() for e in dialogue.exchanges]
    near = [
        (sorted(one), sorted(other))
        for one in learned
        for other in asked
        if len(one) > 3 and len(one & other) / len(one | other) > 0.7
    ]
    assert not near


def test_mesc_strategies_are_told_in_the_taxonomys_spelling() -> None:
    assert mesc_dialogues.strategy_named("open question") == "Open questions"
    for label in MESC_10.labels:
        assert mesc_dialogues.strategy_named(label.upper()) == label
    with pytest.raises(ValueError, match="no strategy"):
        mesc_dialogues.strategy_named("hypnosis")


@pytest.mark.data
def test_every_turn_of_mesc_is_told(data_root: Path) -> None:
    dialogues = mesc_dialogues.load(data_root, "val")
    assert len(dialogues) == 102
    replies = [e for d in dialogues for e in d.exchanges]
    assert all(e.plan.strategy and e.plan.strategy.label in MESC_10.labels for e in replies)
    told = sum(bool(e.said) for e in replies)
    assert told / len(replies) > 0.98  # the others open a dialogue


@pytest.mark.data
async def test_a_tenth_of_esconv_is_told(data_root: Path) -> None:
    async def unread(texts: Sequence[str]) -> list[Distribution | None]:
        return [None] * len(texts)

    chats = await esconv_dialogues.load(data_root, "valid", unread, limit=20)
    assert len(chats) == 20
    flags = [flag for chat in chats for flag in chat.learned]
    assert 0.6 < sum(flags) / len(flags) < 0.95
    labels = {e.plan.strategy.label for c in chats for e in c.exchanges if e.plan.strategy}
    assert labels <= set(ESCONV_8.labels)
    assert len(labels) == 8
