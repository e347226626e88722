"""The suites of policies: any that reviews, those of consent, those of what is said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from affectgraph.orchestrator.testing.conformance import samples as given
from affectgraph.orchestrator.testing.conformance.asynchronous import OnTheLoop
from affectgraph.orchestrator.testing.conformance.basics import want
from affectgraph.orchestrator.testing.conformance.suite import suite
from affectgraph.orchestrator.testing.conformance.values import verify_verdict
from affectgraph.perceivers.turn import Consent
from affectgraph.policies.consent import ConsentRequest
from affectgraph.policies.contracts import Policy, Sentence
from affectgraph.policies.verdict import Verdict

In = TypeVar("In")


class PolicySuite(OnTheLoop[Policy[In], In, Verdict]):
    """What every policy does that reviews."""

    contract = "policy"
    protocol = Policy
    subjects: tuple[Any, ...] = ()

    def samples(self) -> Sequence[In]:
        """The author's subjects."""
        return self.subjects

    def private(self) -> tuple[In, str]:
        """The first subject: what it holds is the author's."""
        return self.samples()[0], given.PERSONAL

    async def ask(self, part: Policy[In], sample: In) -> Verdict:
        """Review a subject."""
        return part.review(sample)

    def verify(self, part: Policy[In], sample: In, answer: Verdict) -> None:
        """A verdict under the policy's own name."""
        del sample
        verify_verdict(answer, part.name, "A policy")

    def test_it_has_a_name(self) -> None:
        """Verdicts, spans and the audit name it."""
        first: Any = self.make().name
        again = self.make().name
        want(
            isinstance(first, str) and first and first == again,
            "A policy has a name, the same from the start.",
        )

    def test_earlier_subjects_do_not_matter(self) -> None:
        """One policy serves all conversations; what one person says is not held against others."""
        alone = [self._answers([sample])[0][1] for sample in self.samples()]
        back = [verdict for _, verdict in self._answers(list(self.samples())[::-1])][::-1]
        want(
            alone == back,
            "A policy's verdict depends on its subject alone, not on what it reviewed before.",
        )


class OutputPolicySuite(PolicySuite[Sentence]):
    """What every policy does that reviews what is about to be said."""

    contract = "output policy"
    plain: tuple[str, ...] = ("That sounds hard. ", "What happened then? ")
    stops: tuple[str, ...] = ()

    def samples(self) -> Sequence[Sentence]:
        """Plain sentences and those that the author's policy stops."""
        return [_sentence(text) for text in (*self.plain, *self.stops)]

    def odd(self) -> Sequence[Sentence]:
        """Sentences as models write them, an empty one too."""
        return [_sentence(text) for text in ("", " ", *given.ODD)]

    def private(self) -> tuple[Sentence, str]:
        """A sentence that repeats the secret."""
        text = f"Thank you for telling me, {given.PERSONAL}. "
        return Sentence(text=text, before="", utterance=given.PRIVATE), given.PERSONAL

    def test_plain_sentences_pass(self) -> None:
        """A policy that stops everything leaves the person without an answer."""
        for _, verdict in self._answers([_sentence(text) for text in self.plain]):
            want(
                verdict.action == "allow",
                "An output policy allows a plain sentence; give plain=[...] if yours are others.",
            )

    def test_it_stops_what_it_is_for(self) -> None:
        """The sentences that the author names."""
        for _, verdict in self._answers([_sentence(text) for text in self.stops]):
            want(
                verdict.action != "allow",
                "An output policy stops every sentence that is given as stops=[...].",
            )

    def test_its_replacement_passes_it(self) -> None:
        """What stands instead is released as it is."""
        for sample, verdict in self._answers(self.samples()):
            if verdict.replacement is None:
                continue
            instead = sample.model_copy(update={"text": verdict.replacement})
            ((_, again),) = self._answers([instead])
            want(
                again.action == "allow",
                "An output policy allows the replacement that it gives: nothing reviews it again.",
            )


class ConsentSuite(PolicySuite[ConsentRequest]):
    """What every policy of consent does."""

    contract = "consent policy"

    def samples(self) -> Sequence[ConsentRequest]:
        """Every modality and the memory, with every consent."""
        return [_request(modality, consent) for modality in _NEEDED for consent in _CONSENTS]

    def test_nothing_is_done_without_consent(self) -> None:
        """A camera that was not agreed to is not read, whatever else was."""
        for request, verdict in self._answers(self.samples()):
            sense = _NEEDED[request.modality]
            want(
                not sense or getattr(request.consent, sense) or verdict.action != "allow",
                "A consent policy never allows a sense, or keeping a memory, that the person did"
                " not agree to.",
            )


_NEEDED = {"text": "", "face": "camera", "speech": "microphone", "memory": "memory"}
_CONSENTS = (
    Consent(),
    Consent(camera=True),
    Consent(microphone=True),
    Consent(memory=True),
    given.ALL,
)


def _request(modality: str, consent: Consent) -> ConsentRequest:
    return ConsentRequest.model_validate({"modality": modality, "consent": consent})


def _sentence(text: str) -> Sentence:
    return Sentence(text=text, before="I hear you. ", utterance=given.WORDS[0])


def policy(
    make: Callable[[], Policy[In]], *, subjects: Sequence[In], deterministic: bool = True
) -> type[PolicySuite[In]]:
    """The suite of any policy: ``TestMine = conformance.policy(Mine, subjects=[...])``.

    Args:
        make: Makes a fresh policy: a class whose arguments have defaults, or a function.
        subjects: Subjects that it reviews, two at least. Put the word ``quillfeather`` into the
            first one, to have it checked that it is not told.
        deterministic: Whether the same subject gets the same verdict.
    """
    return suite(PolicySuite, make, subjects=tuple(subjects), deterministic=deterministic)


def consent(make: Callable[[], Policy[ConsentRequest]]) -> type[ConsentSuite]:
    """The suite of a policy of consent: ``TestMine = conformance.consent(Mine)``.

    Args:
        make: Makes a fresh policy: a class whose arguments have defaults, or a function.
    """
    return suite(ConsentSuite, make)


def output_policy(
    make: Callable[[], Policy[Sentence]],
    *,
    plain: Sequence[str] = (),
    stops: Sequence[str] = (),
    deterministic: bool = True,
) -> type[OutputPolicySuite]:
    """The suite of an output policy: ``TestMine = conformance.output_policy(Mine)``.

    Args:
        make: Makes a fresh policy: a class whose arguments have defaults, or a function.
        plain: Sentences that it must allow; by default two in English.
        stops: Sentences that it must not allow.
        deterministic: Whether the same sentence gets the same verdict.
    """
    options: dict[str, Any] = {"plain": tuple(plain)} if plain else {}
    return suite(
        OutputPolicySuite, make, stops=tuple(stops), deterministic=deterministic, **options
    )
