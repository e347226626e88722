from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.errors import BackendError
from affectgraph.perceivers.labels import MESC_7
from affectgraph.reasoners.codec import (
    JointParser,
    allowed_labels,
    joint_regex,
    label_lines,
    one_line,
)
from affectgraph.reasoners.contracts import LabelField
from affectgraph.reasoners.plan import Decision, Plan, StageName
from affectgraph.reasoners.taxonomy import MESC_10

FIELDS = (
    LabelField(stage="user_emotion", labels=MESC_7),
    LabelField(stage="strategy", labels=MESC_10),
    LabelField(
        stage="system_emotion",
        labels=MESC_7,
        prior=Distribution.over(MESC_7, {"neutral": 2, "sadness": 1}),
    ),
)


def written(emotion: str, strategy: str, tone: str, response: str) -> str:
    return (
        f"User emotion: {emotion}\nStrategy: {strategy}\nSystem emotion: {tone}\n"
        f"Response: {response}"
    )


def parsed(chunks: list[str]) -> tuple[list[str], str]:
    parser = JointParser("test", FIELDS)
    found = [item for chunk in chunks for item in parser.feed(chunk)]
    parser.close()
    labels = [item.label for item in found if isinstance(item, Decision)]
    return labels, "".join(item for item in found if isinstance(item, str))


def cut(text: str, places: list[int]) -> list[str]:
    ends = sorted({min(place, len(text)) for place in places} | {len(text)})
    starts = [0, *ends[:-1]]
    return [text[start:end] for start, end in zip(starts, ends, strict=True)]


@given(
    st.sampled_from(MESC_7.labels),
    st.sampled_from(MESC_10.labels),
    st.sampled_from(("neutral", "sadness")),
    st.text(min_size=1).filter(lambda t: t.strip() == t and t.strip() != ""),
    st.lists(st.integers(0, 200)),
)
def test_any_chunking_reads_the_same(
    emotion: str, strategy: str, tone: str, response: str, places: list[int]
) -> None:
    text = written(emotion, strategy, tone, response)
    assert parsed(cut(text, places)) == ([emotion, strategy, tone], response)


@given(st.text(), st.lists(st.integers(0, 50)))
def test_malformed_text_raises_the_one_error_at_any_chunking(text: str, places: list[int]) -> None:
    for chunks in ([text], cut(text, places)):
        with pytest.raises(BackendError):
            parsed(chunks)


@pytest.mark.parametrize(
    "text",
    [
        written("bored", "Approval", "neutral", "Hi."),
        written("joy", "Approval", "joy", "Hi."),  # barred by the prior
        "Strategy: Approval\nUser emotion: joy\nSystem emotion: neutral\nResponse: Hi.",
        "User emotion: joy\nStrategy: Approval\nSystem emotion: neutral\nReply: Hello there.",
        written("joy", "Approval", "neutral", "   "),
        "User emotion: joy\nStrat",
        "",
    ],
)
def test_a_fault_is_named_and_nothing_is_quoted(text: str) -> None:
    with pytest.raises(BackendError) as caught:
        parsed([text])
    assert "bored" not in str(caught.value)
    assert "Hello" not in str(caught.value)


def test_the_words_stream_as_they_come() -> None:
    parser = JointParser("test", FIELDS)
    parser.feed(written("joy", "Approval", "neutral", ""))
    assert parser.feed(" How") == ["How"]
    assert parser.feed(" good.") == [" good."]


@given(
    st.sampled_from(MESC_7.labels),
    st.sampled_from(MESC_10.labels),
    st.sampled_from(("neutral", "sadness")),
)
def test_the_regex_takes_what_the_parser_takes(emotion: str, strategy: str, tone: str) -> None:
    pattern = joint_regex(FIELDS)
    assert re.fullmatch(pattern, written(emotion, strategy, tone, "Well (a|b)?"))
    assert not re.fullmatch(pattern, written(emotion, strategy, "anger", "Well."))
    assert not re.fullmatch(pattern, written(emotion, strategy, tone, "Well.\nMore."))


def test_a_prior_of_zero_bars_a_label() -> None:
    assert allowed_labels(FIELDS[2]) == ("sadness", "neutral")
    assert allowed_labels(FIELDS[0]) == MESC_7.labels


def test_plans_are_written_in_the_configured_order_and_without_gaps() -> None:
    def decided(stage: str, label: str) -> Decision:
        labels = MESC_10 if stage == "strategy" else MESC_7
        return Decision.model_validate(
            {
                "stage": stage,
                "distribution": Distribution.certain(labels, label),
                "label": label,
                "source": "test",
            }
        )

    plan = Plan().deciding(decided("strategy", "Approval")).deciding(decided("user_emotion", "joy"))
    assert label_lines(plan) == "User emotion: joy\nStrategy: Approval\n"
    other: tuple[StageName, ...] = ("strategy", "user_emotion", "system_emotion", "response")
    assert label_lines(plan, other) == "Strategy: Approval\nUser emotion: joy\n"
    assert one_line(plan, "Well done.") == "(joy)(Approval): Well done."
    assert one_line(Plan(), "Well done.") == "Well done."
