from __future__ import annotations

import json
import re
from datetime import date
from importlib.resources import files

import pytest

from affectgraph.policies.crisis import (
    CrisisResponder,
    Resource,
    region_resources,
    regions,
    stale,
)
from affectgraph.policies.triage import RiskTriage
from affectgraph.policies.verdict import RiskAssessment, RiskAxis

REGIONS = (*regions(), "UK", "it", "US-CA", "XX", "")
ASSESSMENTS = [
    RiskAssessment(level=level, axes=(axis,), rules=(rule,))
    for level in (3, 4, 5, 6)
    for axis in ("suicide", "self-harm", "harm-to-others", "abuse", "medical-emergency")
    for rule in ("some-rule", "third-party-suicide")
]
ASSESSMENTS.append(
    RiskAssessment(level=3, axes=("suicide",), rules=("triage-failed",), degraded=True)
)
DATA = files("affectgraph.policies") / "data"
TEXTS: dict[str, list[str]] = json.loads((DATA / "crisis_texts.json").read_text("utf-8"))["texts"]
METHODS = re.compile(
    r"\b(pills?|rope|noose|gun|knife|blade|razor|bridge|hang|jump|overdose|cut|poison|bleed)",
    re.IGNORECASE,
)


def _shown(count: int) -> list[str]:
    return ["us-988", "find-a-helpline", "x", "y", "z"][:count]


def _all_texts() -> list[tuple[str, str]]:
    return [(group, text) for group, texts in TEXTS.items() for text in texts]


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("count", range(5))
def test_every_reply_names_a_resource_of_the_region(region: str, count: int) -> None:
    responder = CrisisResponder(region)
    known = {resource.id for resource in region_resources(region)}
    for assessment in ASSESSMENTS:
        reply = responder.respond(assessment, _shown(count))
        assert reply.resources
        assert {resource.id for resource in reply.resources} <= known
        assert all(r.name in reply.text and r.contact in reply.text for r in reply.resources)
        assert len(reply.text.split()) <= 90
        assert reply.text.count("?") == 1
        assert "I'm an AI" in reply.text or "As an AI" in reply.text
        assert "{" not in reply.text


@pytest.mark.parametrize(("group", "text"), _all_texts())
def test_texts_keep_the_rules_of_safe_messaging(group: str, text: str) -> None:
    assert not METHODS.search(text)
    assert not re.search(r"therap|diagnos|commit suicide|promise|goodbye", text, re.IGNORECASE)
    assert not re.search(r"(aren't|not|n't) (you )?(suicidal|thinking)", text)
    assert "trust" in text or "trusted" in text
    assert "{line}" in text
    if group == "imminent":
        assert "{emergency}" in text
        assert re.search(r"away from|distance|step away|Leave the place", text)
        assert re.search(r"with you|stay|with them", text)


@pytest.mark.parametrize("group", sorted(TEXTS))
def test_every_situation_has_variants(group: str) -> None:
    assert len(set(TEXTS[group])) >= 4


def test_in_a_medical_emergency_the_emergency_number_comes_first() -> None:
    assessment = RiskAssessment(level=6, axes=("medical-emergency", "suicide"), rules=("overdose",))
    for count in range(4):
        text = CrisisResponder("GB").respond(assessment, _shown(count)).text
        assert "999" in text
        assert text.index("999") < text.index("Samaritans" if "Samaritans" in text else "Find A")


@pytest.mark.parametrize(
    ("level", "axis", "rule", "group"),
    [
        (3, "suicide", "suicide-active", "active"),
        (4, "suicide", "suicide-method", "active"),
        (5, "suicide", "suicide-intent", "imminent"),
        (6, "suicide", "suicide-plan-time", "imminent"),
        (3, "self-harm", "self-harm-active", "self-harm"),
        (3, "abuse", "abuse-active", "abuse"),
        (6, "harm-to-others", "harm-imminent", "harm-to-others"),
        (3, "suicide", "third-party-suicide", "third-party"),
        (3, "suicide", "suicide-active:third-party", "third-party"),
    ],
)
def test_the_text_fits_the_situation(level: int, axis: RiskAxis, rule: str, group: str) -> None:
    assessment = RiskAssessment(level=level, axes=(axis,), rules=(rule,))
    text = CrisisResponder("US").respond(assessment).text
    opening = TEXTS[group][0].split("{")[0]
    assert text.startswith(opening)


def test_a_degraded_triage_is_answered_with_care() -> None:
    assessment = RiskAssessment(level=3, axes=("suicide",), rules=("triage-failed",), degraded=True)
    assert CrisisResponder("US").respond(assessment).text.startswith("I want to be careful")


def test_wording_moves_on_and_an_unshown_resource_comes_first() -> None:
    responder = CrisisResponder("US")
    assessment = RiskAssessment(level=3, axes=("suicide",), rules=("suicide-active",))
    shown: list[str] = []
    texts: list[str] = []
    for _ in range(4):
        reply = responder.respond(assessment, shown)
        texts.append(reply.text)
        shown += [resource.id for resource in reply.resources]
    assert shown == ["us-988", "find-a-helpline", "us-988", "us-988"]
    assert len(set(texts)) == 4
    assert responder.respond(assessment) == responder.respond(assessment)


@pytest.mark.parametrize(
    ("region", "contact", "emergency"),
    [
        ("US", "988", "911"),
        ("us-ca", "988", "911"),
        ("CA", "988", "911"),
        ("GB", "116 123", "999"),
        ("UK", "116 123", "999"),
        ("IE", "116 123", "112"),
        ("AU", "13 11 14", "000"),
        ("NZ", "1737", "111"),
        ("FR", "3114", "112"),
        ("ES", "024", "112"),
        ("DE", "0800 111 0 111", "112"),
        ("BR", "188", "192"),
        ("IN", "14416", "112"),
        ("KR", "109", "119"),
        ("CN", "12356", "120"),
        ("EU", "findahelpline.com", "112"),
        ("PT", "findahelpline.com", "112"),
        ("XX", "findahelpline.com", "your local emergency number"),
        ("", "findahelpline.com", "your local emergency number"),
    ],
)
def test_numbers_of_the_regions(region: str, contact: str, emergency: str) -> None:
    first = region_resources(region)[0]
    assert contact in first.contact
    assert first.emergency == emergency


def test_every_region_ends_with_the_directory() -> None:
    for region in REGIONS:
        assert "find-a-helpline" in {resource.id for resource in region_resources(region)}


def test_entries_are_dated_exactly_when_they_are_confirmed() -> None:
    for region in REGIONS:
        for resource in region_resources(region):
            assert (resource.verified_on is not None) == (resource.status == "confirmed")
            assert resource.source.startswith("https://")


def test_stale_entries_are_named() -> None:
    fresh, old = stale(date(2026, 11, 2)), stale(date(2027, 4, 30))
    assert fresh == ("de-telefonseelsorge",)
    assert set(stale(date(2027, 5, 1))) > set(fresh)
    assert old == fresh


@pytest.mark.parametrize("level", [0, 1, 3, 4, 5, 6])
def test_only_level_two_is_augmented(level: int) -> None:
    assert CrisisResponder("US").augment(RiskAssessment(level=level)) is None


@pytest.mark.parametrize("axis", ["suicide", "self-harm", "abuse", "harm-to-others"])
def test_an_augmentation_asks_one_question_and_names_a_resource(axis: RiskAxis) -> None:
    responder = CrisisResponder("FR")
    texts = []
    for count in range(4):
        reply = responder.augment(RiskAssessment(level=2, axes=(axis,)), _shown(count))
        assert reply is not None
        text = reply.text
        assert text.count("?") == 1
        assert "3114" in text
        assert "trust" in text or "close to you" in text
        assert not re.search(r"therap|diagnos", text, re.IGNORECASE)
        texts.append(text)
    assert len(set(texts)) == 4


def test_triage_and_responder_fit_together() -> None:
    assessment = RiskTriage().assess("I took a whole bottle of pills to die")
    text = CrisisResponder("AU").respond(assessment).text
    assert "000" in text
    assert isinstance(region_resources("AU")[0], Resource)
