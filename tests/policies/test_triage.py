"""The triage against tables of invented phrases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgraph.policies.triage import RiskTriage, accumulate
from affectgraph.policies.verdict import RiskAssessment

TRIAGE = RiskTriage()

EXPLICIT = (
    "I want to die",
    "i just wanna die",
    "I want to kill myself",
    "I'm thinking about killing myself",
    "I have been thinking of ending my life",
    "I want to end it all",
    "I don't want to live anymore",
    "I do not want to be alive any more",
    "I'm suicidal",
    "I've been having suicidal thoughts again",
    "I think about suicide every day",
    "I am considering suicide",
    "I wish I could just die",
    "I'd be better off dead",
    "Everyone would be better off without me",
    "I'm going to kill myself",
    "I am going to end my life tonight",
    "I've decided to end it all",
    "I will kill myself tomorrow",
    "This is my last message. Goodbye.",
    "I wrote a goodbye note",
    "I have a plan to kill myself",
    "I have the gun in my hand",
    "I tried to kill myself last night",
    "I'm standing on the bridge and I'm going to jump",
    "I keep thinking about jumping off a bridge",
    "I want to hang myself",
    "I could just step in front of a train",
    "What is the easiest way to die?",
    "how do I kill myself",
    "I won't be here tomorrow",
    "There is nothing left to live for",
    "No reason to live anymore",
    "I'm ready to die",
    "I can't stop myself from killing myself",
    "I don't trust myself tonight alone",
    "I keep having thoughts of suicide",
    "I want to take my own life",
    "I'm tired of living",
    "I bought a rope to end it",
    "I hate being alive",
    "I deserve to die",
    "i dont see any reason to keep living",
    "maybe i should just end it",
    "I am so done with life",
    "everyone will be happier when I'm dead",
    "please let me die",
    "it would be so easy to step off the platform",
    "I have pills and I'm thinking about taking them",
    "I don't feel like living",
    "I don't think I want to be alive",
    "I've had enough of living",
    "not gonna be alive by christmas",
    "thinking abt ending things",
    "if I had a gun I would use it on myself",
)
CODED = (
    "i want to unalive myself",
    "thinking about unaliving",
    "kms",
    "gonna kms tonight",
    "I just want to sleep forever",
    "I want to go to sleep and never wake up",
    "I hope I don't wake up tomorrow",
    "k!ll myself",
    "I want to k1ll mys3lf",
    "I'm su1cidal",
    "su!cide is my only option",
    "I wanna d!e",
    "k i l l m y s e l f",
    "i w a n t t o d i e",
    "K.I.L.L. M.Y.S.E.L.F",
    "#killmyself",
    "iwanttodie",
    "I want to ki\u200bll my\u200bself",
    "\uff29 \uff57\uff41\uff4e\uff54 \uff54\uff4f \uff44\uff49\uff45",
    "I w\u0430nt to di\u0435",
    "I WANT TO DIEEEEE",
    "I don\u2019t want to wake up ever again",
    "want to commit sewerslide",
    "i want to catch the bus",
    "I should just off myself",
    "I want it all to end forever",
)
LANGUAGES = (
    "Quiero morirme",
    "ya no quiero vivir",
    "me quiero matar",
    "Je veux mourir",
    "J'ai envie d'en finir",
    "je vais me tuer",
    "Ich will nicht mehr leben",
    "Ich möchte sterben",
    "ich bringe mich um",
    "Quero morrer",
    "não quero mais viver",
    "vou me matar",
    "Voglio morire",
    "non voglio più vivere",
    "mi voglio ammazzare",
)
OTHER_AXES = (
    ("I cut myself again", "self-harm", 3),
    ("I've been hurting myself to cope", "self-harm", 3),
    ("I have the urge to cut", "self-harm", 3),
    ("I relapsed on self harm", "self-harm", 3),
    ("I burned my arm on purpose, I burn myself", "self-harm", 3),
    ("I took a whole bottle of pills", "medical-emergency", 6),
    ("I think I overdosed", "medical-emergency", 6),
    ("my mom took too many sleeping pills", "medical-emergency", 6),
    ("he is not breathing", "medical-emergency", 6),
    ("she won't wake up", "medical-emergency", 6),
    ("I swallowed bleach", "medical-emergency", 6),
    ("I cut too deep and it won't stop bleeding", "medical-emergency", 6),
    ("I think I'm having a heart attack", "medical-emergency", 6),
    ("I want to kill him", "harm-to-others", 3),
    ("I keep having thoughts of killing my boss", "harm-to-others", 3),
    ("I'm planning to kill my ex", "harm-to-others", 5),
    ("I'm going to shoot up my school tomorrow", "harm-to-others", 5),
    ("I am going to hurt my wife tonight", "harm-to-others", 6),
    ("My husband hits me", "abuse", 3),
    ("my dad beats us when he drinks", "abuse", 3),
    ("he choked me last night", "abuse", 3),
    ("He beats me every night", "abuse", 3),
    ("took 30 paracetamol", "medical-emergency", 6),
    ("I don't feel safe at home", "abuse", 3),
    ("I'm afraid of my stepdad", "abuse", 3),
    ("he said he would kill me", "abuse", 5),
    ("My boyfriend threatened to kill me", "abuse", 5),
    ("I am being abused", "abuse", 3),
    ("my friend wants to kill herself", "suicide", 3),
    ("My brother says he wants to die", "suicide", 3),
    ("my sister is suicidal", "suicide", 3),
    ("my roommate just tried to kill himself", "suicide", 6),
    ("she keeps cutting herself", "suicide", 3),
)
GRADED = (
    ("I wish I was dead", 2),
    ("I wish I had never been born", 2),
    ("I don't want to be here anymore", 2),
    ("I just want to disappear", 2),
    ("nobody would miss me if I was gone", 2),
    ("I wouldn't mind if I died", 2),
    ("life is not worth living", 2),
    ("I'm such a burden to everyone", 2),
    ("I don't think I can go on", 2),
    ("I'm not afraid to die", 2),
    ("sometimes I think about dying and not being here", 3),
    ("I feel hopeless", 1),
    ("I can't take it anymore", 1),
    ("I hate myself", 1),
    ("I feel so alone", 1),
    ("nothing matters", 1),
    ("I'm falling apart", 1),
    ("I'm so depressed", 1),
    ("what's the point", 1),
    ("I jumped, I'm on the roof and I'm about to jump now", 6),
    ("I'm going to kill myself tonight", 6),
    ("I intend to kill myself", 5),
    ("I want to shoot myself", 4),
    ("I want to kill myself", 3),
)
BENIGN = (
    "this homework is killing me",
    "my feet are killing me",
    "I'm dead \U0001f602",
    "I'm literally dead lol",
    "just trying to kill time before the bus",
    "I could murder a burger",
    "I was dying of laughter",
    "I almost died laughing",
    "I'll die of boredom in this lecture",
    "have you seen the suicide squad movie?",
    "the deadline is tomorrow",
    "I'm dying to see the new film",
    "this cake is to die for",
    "over my dead body will I eat that",
    "old habits die hard",
    "that's not a hill to die on",
    "my phone is about to die",
    "the battery died again",
    "my plants keep dying",
    "I killed it at the interview",
    "you're killing it!",
    "kill the lights please",
    "we killed two birds with one stone",
    "if looks could kill",
    "curiosity killed the cat",
    "that would be career suicide",
    "he committed political suicide",
    "I'd kill for a coffee",
    "I shot myself in the foot with that email",
    "shoot me an email",
    "just shoot me now, another meeting",
    "I cut myself some slack today",
    "I cut myself shaving",
    "I cut myself a slice of cake",
    "I accidentally cut myself while chopping onions",
    "I burned myself on the stove",
    "I burned myself out at work",
    "I hurt myself at the gym",
    "I hurt myself playing football",
    "we overdosed on chocolate",
    "I overdosed on netflix this weekend",
    "I'm drowning in work",
    "drowning my sorrows in ice cream",
    "he jumped off the couch",
    "I jumped in the shower",
    "let's jump on a call tomorrow",
    "we went bungee jumping off a bridge",
    "if all your friends jumped off a bridge would you?",
    "I want to jump into bed",
    "I'm dead tired",
    "dead serious",
    "I hit a dead end",
    "that joke slayed me",
    "my mom is going to kill me when she sees this",
    "my boss will kill me if I'm late",
    "the suspense is killing me",
    "you kill me, so funny",
    "hit me up later",
    "the song hits me hard",
    "he beat me at chess",
    "that gave me a heart attack when it popped up",
    "I nearly had a heart attack, great surprise party",
    "I can't breathe lol",
    "it takes my breath away",
    "I have to end this relationship",
    "I want to end my subscription",
    "I want to end the call now",
    "I want to sleep",
    "I slept like the dead",
    "I'm so tired I could sleep all weekend",
    "we're going to kill the boss in this level",
    "I killed him in the game with one shot",
    "I want to die of embarrassment",
    "I'd rather die than eat that",
    "I'm working on a suicide prevention training",
    "I ran suicide sprints at practice",
    "I watched a documentary about suicide",
    "in the movie the main character kills himself",
    "the novel is about a girl who wants to die",
    "Romeo kills himself at the end of the play",
    "my grandma died last year",
    "my dog died and I miss him",
    "I lost my brother to suicide",
    "I'm not suicidal",
    "I don't want to die",
    "I would never kill myself",
    "I'm feeling happy today",
    "the traffic was murder",
    "he has a killer smile",
    "I got hit by a wave of nostalgia",
    "the exam absolutely destroyed me",
    "I'm hanging out by myself tonight",
    "I need to take my pills with food",
    "how many pills are in the pack",
    "I took an ibuprofen for my headache",
    "my knife is dull, I should sharpen it",
    "I am scared of flying",
    "I'm going to bed now, goodbye!",
    "muero de risa",
    "je meurs de faim",
    "ich sterbe vor Lachen",
    "estou morrendo de fome",
    "muoio dal ridere",
    "the server died",
    "I'm gonna kill my brother for borrowing my shirt",
    "my cat wants to kill me",
    "I want to die on that beach, it is so beautiful",
    "I have a plan for tonight, movie night",
    "this is my last message today, gotta sleep",
    "I wrote a goodbye letter to my colleagues",
    "my grandmother wants to die at home in peace",
    "he won't wake up for school on time",
    "I can't wake up in the mornings",
    "I'm thinking of ending things with my boyfriend",
    "I'm standing on the bridge taking photos",
    "Die Sonne scheint heute",
    "la vie est belle",
)


@pytest.mark.parametrize("text", EXPLICIT + CODED + LANGUAGES)
def test_risk_is_found(text: str) -> None:
    assessment = TRIAGE.assess(text)
    assert assessment.level >= 3
    assert "suicide" in assessment.axes
    assert not assessment.degraded


@pytest.mark.parametrize(("text", "axis", "level"), OTHER_AXES)
def test_every_axis_is_found(text: str, axis: str, level: int) -> None:
    assessment = TRIAGE.assess(text)
    assert assessment.level >= level
    assert axis in assessment.axes


@pytest.mark.parametrize(("text", "level"), GRADED)
def test_levels(text: str, level: int) -> None:
    assert TRIAGE.assess(text).level == level


@pytest.mark.parametrize("text", BENIGN)
def test_idioms_stay_below_the_crisis_level(text: str) -> None:
    assert TRIAGE.assess(text).level < 3


def test_the_tables_are_large_enough() -> None:
    assert len(EXPLICIT + CODED + LANGUAGES + OTHER_AXES) >= 60
    assert len(BENIGN) >= 80
    assert len(set(BENIGN)) == len(BENIGN)


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("I'm not suicidal", 1),
        ("I don't want to die", 1),
        ("I am not going to kill myself", 2),
        ("I'm not suicidal, I just can't take it anymore", 2),
        ("I don't want to die but I think about killing myself", 3),
        ("I don't know if I want to die", 3),
        ("I'm not okay, I want to die", 3),
        ("I can't promise I won't kill myself", 3),
        ("why don't I just kill myself", 3),
        ("No, I want to die", 3),
    ],
)
def test_negation_lowers_but_never_silences_what_is_mixed(text: str, level: int) -> None:
    assert TRIAGE.assess(text).level == level if level < 3 else TRIAGE.assess(text).level >= level


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("I used to want to die when I was a teenager", 2),
        ("I tried to kill myself ten years ago", 3),
        ("I tried to kill myself years ago and I want to die again", 6),
        ("kms lol", 2),
        ("I want to die haha", 2),
        ("I'm going to kill myself tonight lol", 6),
        ('the song goes "I want to die" in the second verse', 2),
        ("I want to die like the character in that movie", 3),
        ("do you want to die?", 1),
    ],
)
def test_context_is_weighed(text: str, level: int) -> None:
    assert TRIAGE.assess(text).level == level


def test_third_party_risk_is_told_apart() -> None:
    assessment = TRIAGE.assess("My friend wants to kill herself")
    assert assessment.rules[0].startswith("third-party")


def test_spans_point_into_the_original_text() -> None:
    text = "Hm\u2026 well: I\u2019d like to  K!LL my\u200bself today"
    assessment = TRIAGE.assess(text)
    found = [text[start:end] for start, end in assessment.spans]
    assert any(part.startswith("K!LL") and part.endswith("self") for part in found)


class _Broken(str):
    __slots__ = ()

    def __iter__(self):  # type: ignore[no-untyped-def]
        raise RuntimeError("no letters today")


def test_an_internal_fault_gives_resources_instead_of_silence() -> None:
    assessment = TRIAGE.assess(_Broken("hello"))
    assert assessment.degraded
    assert assessment.level >= 3
    assert assessment.rules == ("triage-failed",)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "a " * 10_000,
        "k!" * 10_000,
        "want to " * 2_500,
        "\u200b" * 20_000,
        '"' * 20_000,
        "i took " * 2_850,
        "not " * 5_000,
        "die" * 6_666,
        ("i want to " * 2_000)[:19_995] + " die",
        "\ue000\x00\ud7ff",
    ],
)
def test_long_and_strange_texts_are_assessed(text: str) -> None:
    assert not TRIAGE.assess(text).degraded


@given(st.text(max_size=300))
def test_any_text_is_assessed_and_spans_stay_inside(text: str) -> None:
    assessment = TRIAGE.assess(text)
    assert not assessment.degraded
    assert all(0 <= start < end <= len(text) for start, end in assessment.spans)
    assert assessment == TRIAGE.assess(text)


@given(st.sampled_from(EXPLICIT), st.sampled_from(BENIGN))
def test_harmless_words_before_do_not_hide_risk(risky: str, harmless: str) -> None:
    assert TRIAGE.assess(f"{harmless.rstrip('.!?')}. {risky}").level >= 3


@given(st.lists(st.integers(min_value=0, max_value=6)))
def test_the_level_of_a_conversation_never_falls(levels: list[int]) -> None:
    level = 0
    for new in levels:
        before, level = level, accumulate(level, RiskAssessment(level=new))
        assert level >= max(before, new)
    assert level == max(levels, default=0)
