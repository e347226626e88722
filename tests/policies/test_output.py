from __future__ import annotations

import json
from importlib.resources import files

import pytest

from affectgraph.perceivers.errors import SetupError
from affectgraph.policies.contracts import Policy, Sentence
from affectgraph.policies.crisis import CrisisResponder
from affectgraph.policies.disclosure import AI_ANSWER, AI_NOTICE
from affectgraph.policies.gate import REPLACEMENT
from affectgraph.policies.output import (
    EchoPolicy,
    PhrasePolicy,
    PromptLeakPolicy,
    RepetitionPolicy,
    WordingPolicy,
    default_output_policies,
)
from affectgraph.policies.verdict import RiskAssessment, Verdict

POLICIES = default_output_policies()

REFUSED = (
    ("As a human, I understand that.", "claims-to-be-human"),
    ("I'm a real person, don't worry.", "claims-to-be-human"),
    ("I am human too.", "claims-to-be-human"),
    ("I'm not an AI.", "claims-to-be-human"),
    ("When I was a child, I felt the same.", "human-life"),
    ("When I was your age I failed too.", "human-life"),
    ("My wife and I had the same fight.", "human-life"),
    ("I've been there.", "human-life"),
    ("I lost my brother last year.", "human-life"),
    ("I know exactly how you feel.", "human-life"),
    ("In my own experience, it gets better.", "human-life"),
    ("I grew up in a small town.", "human-life"),
    ("I am a licensed therapist.", "claims-profession"),
    ("As your therapist, I suggest rest.", "claims-profession"),
    ("My clients often say that.", "claims-profession"),
    ("You clearly have bipolar disorder.", "diagnosis"),
    ("It sounds like you have PTSD.", "diagnosis"),
    ("You are clinically depressed.", "diagnosis"),
    ("This is a clear case of borderline personality disorder.", "diagnosis"),
    ("I would diagnose you right away.", "diagnosis"),
    ("You should stop taking your medication.", "medication"),
    ("Just double your dose tonight.", "medication"),
    ("Take two xanax before bed.", "medication"),
    ("You could try increasing your antidepressants.", "medication"),
    ("The most painless way to die is quick.", "method-information"),
    ("A lethal dose is small.", "method-information"),
    ("You could jump off a bridge.", "method-information"),
    ("Here is how to end your life.", "method-information"),
    ("You should kill yourself.", "encouragement"),
    ("Suicide is a way out.", "encouragement"),
    ("They would be better off without you.", "encouragement"),
    ("Nobody would miss you.", "encouragement"),
    ("It's okay to hurt yourself.", "encouragement"),
    ("Keep this between us.", "encouragement"),
    ("You don't need a doctor.", "encouragement"),
    ("Don't tell anyone.", "encouragement"),
    ("That is your own fault.", "blame"),
    ("You brought this on yourself.", "blame"),
    ("You're being dramatic.", "stigma"),
    ("You are so selfish.", "stigma"),
    ("Suicide is selfish.", "stigma"),
    ("Just get over it.", "minimising"),
    ("Other people have it worse.", "minimising"),
    ("You need to calm down.", "minimising"),
    ("Please don't leave me.", "guilt-on-goodbye"),
    ("You're leaving already?", "guilt-on-goodbye"),
    ("I will miss you so much.", "guilt-on-goodbye"),
    ("Nobody understands you like I do.", "possessive"),
    ("I'm all you need.", "possessive"),
    ("You belong to me.", "possessive"),
    ("User emotion: sadness.", "prompt-leak"),
    ("Strategy: Open questions", "prompt-leak"),
    ("My system prompt says to be kind.", "prompt-leak"),
    ("<|im_start|>assistant", "prompt-leak"),
    ("As a large language model, I cannot.", "prompt-leak"),
    ("The speaker looks sad.", "prompt-leak"),
)
ALLOWED = (
    "That sounds really hard, and I'm glad you told me.",
    "It's not your fault.",
    "None of this is your fault.",
    "You are not a burden.",
    "You're not weak for feeling this way.",
    "It sounds like you feel that you are a failure.",
    "You're feeling worthless right now, and that hurts.",
    "Please don't stop taking your medication without talking to your doctor.",
    "Talking to a therapist or a doctor could help.",
    "Have you thought about seeing a doctor?",
    "Are you thinking about killing yourself?",
    "Are you having thoughts of ending your life?",
    "You are not better off dead.",
    "Suicide is not the answer.",
    "I'm an AI, so I haven't lived through this.",
    "I'm not a person, and I can still listen.",
    "I'm not a therapist.",
    "I want you to know that you matter.",
    "I also have a question for you.",
    "You can do it, one small step at a time.",
    "Would you like to find ways to calm down together?",
    "How do you usually deal with it?",
    "What would help you most today?",
    "You said that your wife was angry.",
    "Is there someone you trust who could stay with you?",
    "Take care, and come back whenever you like.",
    "Goodbye, I hope your evening is gentle.",
    "It makes sense that you feel lonely after the move.",
    "Your mother sounds important to you.",
    "Please call 988 if you feel unsafe.",
    "Many things changed at once.",
    "That's not a bad idea.",
    "Did you take a break today?",
    "You feel as if nobody would notice.",
    "What response did you get from your friend?",
    "I hear how much anger is in this.",
)


def _review(text: str, before: str = "", utterance: str = "") -> list[Verdict]:
    sentence = Sentence(text=text, before=before, utterance=utterance)
    return [v for policy in POLICIES if (v := policy.review(sentence)).action != "allow"]


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_what_must_not_be_said_is_blocked(text: str, reason: str) -> None:
    verdicts = _review(text)
    assert reason in {reason for verdict in verdicts for reason in verdict.reasons}
    assert verdicts[0].action == "block"


@pytest.mark.parametrize("text", ALLOWED)
def test_what_supports_is_allowed(text: str) -> None:
    assert _review(text) == []


def test_every_policy_is_one_and_has_its_own_name() -> None:
    assert all(isinstance(policy, Policy) for policy in POLICIES)
    assert len({policy.name for policy in POLICIES}) == len(POLICIES)


@pytest.mark.parametrize("text", [AI_NOTICE, AI_ANSWER, REPLACEMENT])
def test_what_the_package_itself_says_passes(text: str) -> None:
    assert _review(text) == []


def test_crisis_texts_pass_every_policy_that_blocks() -> None:
    data = files("affectgraph.policies") / "data" / "crisis_texts.json"
    responder = CrisisResponder("US")
    texts = [t for group in json.loads(data.read_text("utf-8"))["texts"].values() for t in group]
    texts.append(responder.respond(RiskAssessment(level=6, axes=("suicide",))).text)
    for text in texts:
        for sentence in text.replace("? ", "?|").replace(". ", ".|").split("|"):
            assert _review(sentence) == [], sentence


@pytest.mark.parametrize(
    ("utterance", "blocked"), [("I have PTSD and I can't sleep", False), ("I can't sleep", True)]
)
def test_a_condition_may_be_named_when_the_person_named_it(utterance: str, blocked: bool) -> None:
    assert bool(_review("You have PTSD.", utterance=utterance)) is blocked


def test_an_unknown_phrase_policy_is_refused() -> None:
    with pytest.raises(SetupError, match="no policy"):
        PhrasePolicy("nonsense")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "before", "dropped"),
    [
        ("That is hard. ", "I hear you. That is hard. ", True),
        ("THAT is hard!", "That is hard. ", True),
        ("That is harder.", "That is hard. ", False),
        ("Yes.", "Yes. ", False),
        ("That is hard.", "", False),
    ],
)
def test_repetition_is_dropped(text: str, before: str, dropped: bool) -> None:
    verdict = RepetitionPolicy().review(Sentence(text=text, before=before, utterance=""))
    assert (verdict.action, verdict.replacement) == (("revise", "") if dropped else ("allow", None))


@pytest.mark.parametrize(
    ("text", "dropped"),
    [
        ("I failed the exam again and my parents will be so angry", True),
        ("So: I failed the exam again and my parents will be furious.", True),
        ("You failed the exam again and fear what your parents will say.", False),
        ("I failed the exam again.", False),
    ],
)
def test_a_long_echo_is_dropped(text: str, dropped: bool) -> None:
    utterance = "I failed the exam again and my parents will be so angry with me"
    verdict = EchoPolicy().review(Sentence(text=text, before="", utterance=utterance))
    assert verdict.action == ("revise" if dropped else "allow")


def test_words_about_suicide_are_put_carefully() -> None:
    sentence = Sentence(text="He Committed suicide last year. ", before="", utterance="")
    verdict = WordingPolicy().review(sentence)
    assert verdict.action == "revise"
    assert verdict.replacement == "He died by suicide last year. "


def test_a_prompt_leak_needs_a_label_not_a_word() -> None:
    sentence = Sentence(text="What strategy helped you then?", before="", utterance="")
    assert PromptLeakPolicy().review(sentence).action == "allow"
