from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.errors import BackendError, BuildError
from affectgraph.perceivers.labels import MESC_7, LabelSet
from affectgraph.reasoners.codecs import CODECS, Codec, JsonObject, SmesLine, codec_named
from affectgraph.reasoners.codecs.contracts import gap, stop_of
from affectgraph.reasoners.contracts import JointForm
from affectgraph.reasoners.plan import (
    MULTIMOOD_ORDER,
    SMES_ORDER,
    Decision,
    LabelField,
    Plan,
    StageName,
)
from affectgraph.reasoners.taxonomy import ESCONV_8, MESC_10

ORDERS = [(*labels, "response") for labels in permutations(SMES_ORDER[:3])]
MARKS = st.text(alphabet="(){}[]\"'\\/:, \n\tu0aé😀\ud7ff", min_size=1)
RESPONSES = st.one_of(st.text(min_size=1), MARKS)
PLACES = st.lists(st.integers(0, 200))


@st.composite
def codecs(draw: st.DrawFn) -> Codec:
    return codec_named(draw(st.sampled_from(tuple(CODECS))), draw(st.sampled_from(ORDERS)))


def fields_of(codec: Codec, strategies: LabelSet = MESC_10) -> tuple[LabelField, ...]:
    prior = Distribution.over(MESC_7, {"neutral": 2, "sadness": 1})
    known = {
        "user_emotion": LabelField(stage="user_emotion", labels=MESC_7),
        "strategy": LabelField(stage="strategy", labels=strategies),
        "system_emotion": LabelField(stage="system_emotion", labels=MESC_7, prior=prior),
    }
    return tuple(known[stage] for stage in codec.order if stage != "response")


@st.composite
def plans(draw: st.DrawFn, fields: Sequence[LabelField]) -> Plan:
    plan = Plan()
    for field in fields:
        plan = plan.deciding(field.certain(draw(st.sampled_from(field.allowed)), "test"))
    return plan


def written(codec: Codec, plan: Plan, response: str) -> str | None:
    try:
        return codec.write(plan, response)
    except ValueError:
        return None


def cut(text: str, places: Sequence[int]) -> list[str]:
    ends = sorted({min(place, len(text)) for place in places} | {len(text)})
    starts = [0, *ends[:-1]]
    return [text[start:end] for start, end in zip(starts, ends, strict=True)]


def parsed(
    codec: Codec, fields: Sequence[LabelField], chunks: Sequence[str], *, limit: bool = False
) -> tuple[list[tuple[StageName, str]], str]:
    parser = codec.parser("test", fields)
    found = [item for chunk in chunks for item in parser.feed(chunk)]
    parser.close(cut=limit)
    labels: list[tuple[StageName, str]] = [
        (item.stage, item.label) for item in found if isinstance(item, Decision)
    ]
    assert found[: len(labels)] == [item for item in found if isinstance(item, Decision)]
    return labels, "".join(item for item in found if isinstance(item, str))


@given(st.data(), codecs(), RESPONSES, st.sampled_from((MESC_10, ESCONV_8)))
def test_what_is_written_is_read_back(
    data: st.DataObject, codec: Codec, response: str, strategies: LabelSet
) -> None:
    fields = fields_of(codec, strategies)[: data.draw(st.integers(0, 3))]
    plan = data.draw(plans(fields))
    text = written(codec, plan, response)
    if text is None:
        return
    decisions, words = codec.read(text, fields, "test")
    assert [(d.stage, d.label) for d in decisions] == [
        (d.stage, d.label) for d in plan.decided(codec.order)
    ]
    assert words == response
    assert re.fullmatch(codec.grammar(fields), text)
    assert parsed(codec, fields, cut(text, data.draw(PLACES))) == parsed(codec, fields, [text])


@given(st.data(), codecs())
def test_leads_nest_and_begin_what_is_written(data: st.DataObject, codec: Codec) -> None:
    plan = data.draw(plans(fields_of(codec)))
    leads = [codec.lead(plan, stage) for stage in codec.order]
    text = codec.write(plan, "Well (a|b)?")
    for earlier, later in zip(leads, [*leads[1:], text], strict=True):
        assert later.startswith(earlier)
    for lead, decision in zip(leads, plan.decided(codec.order), strict=False):
        assert text.removeprefix(lead).startswith(gap(lead) + decision.label + stop_of(lead)), (
            "a backend that knows no codec can tell where a label stands"
        )


@given(st.data(), codecs(), st.sampled_from(("", " ", "\n", " Hi.", "\tHi.")))
def test_a_response_without_words_or_with_space_before_them_is_not_written(
    data: st.DataObject, codec: Codec, response: str
) -> None:
    with pytest.raises(ValueError, match=codec.name):
        codec.write(data.draw(plans(fields_of(codec))), response)


@pytest.mark.parametrize("name", ["smes", "lines", "multimood"])
@pytest.mark.parametrize("response", ["One.\nTwo.", "One.\rTwo.", "One. "])
def test_a_line_holds_no_line_break(name: str, response: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        codec_named(name).write(Plan(), response)


def test_json_escapes_what_a_line_cannot_hold() -> None:
    text = JsonObject().write(Plan(), 'She said "no".\nThen {nothing} \\ \U0001f600')
    assert "\n" not in text
    assert json.loads(text) == {"response": 'She said "no".\nThen {nothing} \\ \U0001f600'}


def test_json_is_read_as_other_writers_print_it() -> None:
    fields = fields_of(JsonObject())
    printed = json.dumps(
        {"user_emotion": "joy", "strategy": "Approval", "system_emotion": "neutral",
         "response": "Ça va \U0001f600?"}, indent=2,
    )  # fmt: skip
    assert "\\ud83d" in printed
    for every in (len(printed), 1):
        places = range(0, len(printed), every)
        labels, words = parsed(JsonObject(), fields, cut(printed, places))
        assert [label for _, label in labels] == ["joy", "Approval", "neutral"]
        assert words == "Ça va \U0001f600?"


@given(st.data(), codecs(), st.text(), PLACES)
def test_malformed_text_raises_the_one_error_at_any_chunking(
    data: st.DataObject, codec: Codec, text: str, places: list[int]
) -> None:
    fields = fields_of(codec)
    whole = codec.write(data.draw(plans(fields)), "Well.")
    broken = data.draw(
        st.sampled_from(
            (text, whole[: -len("Well.") - 3], whole[1:], whole.replace("neutral", "x"))
        )
    )
    if broken == whole:
        return
    for chunks in ([broken], cut(broken, places)):
        with pytest.raises(BackendError) as caught:
            parsed(codec, fields, chunks)
        assert "Well" not in str(caught.value)


@pytest.mark.parametrize("name", CODECS)
def test_a_barred_or_unknown_label_is_refused_and_not_quoted(name: str) -> None:
    codec = codec_named(name)
    plan = Plan()
    for field in fields_of(codec):
        free = field.model_copy(update={"prior": None})
        plan = plan.deciding(free.certain("joy" if field.labels is MESC_7 else "Approval", "t"))
    text = codec.write(plan, "Hi.")
    with pytest.raises(BackendError, match="system_emotion"):
        codec.read(text, fields_of(codec), "test")
    with pytest.raises(BackendError, match="user_emotion") as caught:
        codec.read(text.replace("joy", "bored"), fields_of(codec), "test")
    assert "bored" not in str(caught.value)


@pytest.mark.parametrize("name", CODECS)
def test_labels_and_words_are_known_as_soon_as_they_are_whole(name: str) -> None:
    codec = codec_named(name)
    fields, plan = fields_of(codec), Plan()
    parser = codec.parser("test", fields)
    fed = ""
    for field, after in zip(fields, codec.order[1:], strict=True):
        label = field.allowed[-1]
        plan = plan.deciding(field.certain(label, "test"))
        lead = codec.lead(plan, after)
        (decision,) = parser.feed(lead.removeprefix(fed))
        assert isinstance(decision, Decision)
        assert decision.label == label
        fed = lead
    assert not parser.started
    assert parser.feed(gap(fed) + "How") == ["How"]
    assert parser.feed(" good.") == [" good."]
    assert parser.started


@pytest.mark.parametrize("name", CODECS)
def test_what_follows_the_end_is_no_part_of_the_response(name: str) -> None:
    codec = codec_named(name)
    text = codec.write(Plan(), "Well.") + "\nUser: And then?"
    parser = codec.parser("test", ())
    assert parser.feed(text) == ["Well."]
    assert parser.done
    assert parser.rest == "\nUser: And then?"
    with pytest.raises(BackendError, match="after its end"):
        codec.read(text, (), "test")


def test_a_response_that_a_limit_cut_lacks_its_end() -> None:
    text = JsonObject().write(Plan(), "Well then.")
    for end in (2, 3):
        assert parsed(JsonObject(), (), [text[:-end]], limit=True)[1].startswith("Well then"[:9])
        with pytest.raises(BackendError, match="last bracket"):
            parsed(JsonObject(), (), [text[:-end]])
    with pytest.raises(BackendError, match="without a response"):
        parsed(JsonObject(), (), ['{"response": "'], limit=True)


@pytest.mark.parametrize(
    "text", ['{"response": "a\\qb"}', '{"response": "\\ud83d rest of it"}', '{"response": "a\tb"}']
)
def test_what_no_json_string_may_hold_is_refused(text: str) -> None:
    with pytest.raises(BackendError):
        JsonObject().read(text, (), "test")


def test_the_forms_are_those_of_the_papers() -> None:
    plan = Plan()
    for field, label in zip(
        fields_of(SmesLine()), ("sadness", "Open questions", "neutral"), strict=True
    ):
        plan = plan.deciding(field.certain(label, "test"))
    words = "That sounds hard. What happened?"
    assert (
        codec_named("smes").write(plan, words)
        == "(sadness)(Open questions)(neutral): That sounds hard. What happened?"
    )
    assert codec_named("multimood").write(plan, words).splitlines() == [
        "Client's emotion: sadness",
        "Therapist's emotion: neutral",
        "Therapist's strategy: Open questions",
        "Therapist's response: That sounds hard. What happened?",
    ]
    assert codec_named("multimood").order == MULTIMOOD_ORDER
    assert codec_named("multimood", SMES_ORDER).order == SMES_ORDER


def test_labels_that_were_not_decided_are_left_out() -> None:
    plan = Plan().deciding(LabelField(stage="strategy", labels=MESC_10).certain("Approval", "t"))
    assert codec_named("lines").write(plan, "Well done.") == (
        "Strategy: Approval\nResponse: Well done."
    )
    assert codec_named("smes").write(plan, "Well done.") == "(Approval): Well done."
    assert codec_named("smes").write(Plan(), "Well done.") == "Well done."


def test_unknown_names_and_orders_are_refused() -> None:
    with pytest.raises(BuildError, match="multimood"):
        codec_named("xml")
    with pytest.raises(BuildError, match="order of stages"):
        codec_named("json", ("response", "strategy"))


ODD = LabelSet(name="odd", kind="strategy", labels=("calm (warm)", "firm\nkind"), source="test")


@pytest.mark.parametrize(("name", "fits"), [("smes", False), ("lines", False), ("json", True)])
def test_a_form_whose_labels_cannot_be_written_is_refused(name: str, fits: bool) -> None:
    fields = (LabelField(stage="strategy", labels=ODD),)
    if fits:
        JointForm(fields, codec_named(name))
    else:
        with pytest.raises(BuildError, match="cannot write the label"):
            JointForm(fields, codec_named(name))


def test_fields_out_of_the_codecs_order_are_refused() -> None:
    fields = fields_of(SmesLine())
    JointForm(fields[1:], SmesLine())
    for wrong in (fields[::-1], (fields[0], fields[0])):
        with pytest.raises(BuildError, match="order of codec 'smes'"):
            JointForm(wrong, SmesLine())


def test_a_prior_of_zero_bars_a_label_in_grammar_and_schema() -> None:
    codec = JsonObject()
    schema = codec.schema(fields_of(codec))
    properties = schema["properties"]
    assert isinstance(properties, dict)
    assert list(properties) == list(SMES_ORDER)
    assert properties["system_emotion"]["enum"] == ["sadness", "neutral"]
    for name in CODECS:
        form = codec_named(name)
        told = form.grammar(fields_of(form)), form.ask(fields_of(form))
        for text in told:
            assert text.count("disgust") == 1, "of the user's emotion alone"


def test_every_stage_is_asked_for_in_the_codecs_order() -> None:
    for order in ORDERS:
        stages: tuple[StageName, ...] = codec_named("json", order).order
        asked = codec_named("json", order).ask(fields_of(codec_named("json", order)))
        places = [asked.index(f'"{stage}"') for stage in stages]
        assert places == sorted(places)
