"""The suite of a language model backend."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from affectgraph.orchestrator.testing.conformance import samples as given
from affectgraph.orchestrator.testing.conformance.basics import NonconformityError, needs, run, want
from affectgraph.orchestrator.testing.conformance.stream import StreamSuite
from affectgraph.orchestrator.testing.conformance.suite import suite
from affectgraph.orchestrator.testing.conformance.values import verify_decision, verify_model
from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.errors import BackendError
from affectgraph.perceivers.labels import MESC_7
from affectgraph.reasoners.codecs import CODECS
from affectgraph.reasoners.contracts import Backend, JointForm, LabelField, Message, Sampling
from affectgraph.reasoners.taxonomy import MESC_10

Prompt = tuple[Message, ...]
SYSTEM = "You are a companion who listens. Answer in one short sentence."
WORDS = Sampling(max_tokens=12)

FIELDS = (
    LabelField(
        stage="user_emotion",
        labels=MESC_7,
        prior=Distribution.over(MESC_7, {"sadness": 0.6, "fear": 0.4}),
    ),
    LabelField(stage="strategy", labels=MESC_10),
)
"""One field whose prior bars most labels, one that is open."""
FORM = JointForm(FIELDS, CODECS["lines"]())


class BackendSuite(StreamSuite[Backend, Prompt]):
    """What every backend does. The one call streams a short response."""

    contract = "backend"
    protocol = Backend

    def samples(self) -> Sequence[Prompt]:
        """Two short conversations."""
        return [_prompt(given.WORDS[0]), _prompt(given.WORDS[1])]

    def odd(self) -> Sequence[Prompt]:
        """Unusual words, and none."""
        return [_prompt(text) for text in ("", *given.ODD[:7])]

    def private(self) -> tuple[Prompt, str]:
        """A prompt with the secret."""
        return _prompt(given.PRIVATE), given.PERSONAL

    def stream(self, part: Backend, sample: Prompt) -> AsyncIterator[Any]:
        """Generate a short response."""
        return part.stream(sample, WORDS)

    def verify(self, part: Backend, sample: Prompt, answer: list[Any]) -> None:
        """Pieces of text, no more of them than was asked for."""
        del part, sample
        want(
            all(isinstance(piece, str) for piece in answer),
            "A backend streams pieces of text, and nothing else.",
        )
        words = "".join(answer).split()
        want(words, "A backend says something.")
        want(
            len(words) <= WORDS.max_tokens,
            "A backend stops after Sampling.max_tokens: a token is a word at most.",
        )

    # Checks of its own.

    def test_it_has_a_name(self) -> None:
        """Spans and errors name it, before it is warmed up too."""
        first: Any = self.make().name
        again = self.make().name
        want(
            isinstance(first, str) and first and first == again,
            "A backend has a name, the same from the start: provider and model.",
        )

    def test_it_says_whether_it_holds_a_form(self) -> None:
        """The joint form is one request or several by it, before it is warmed up too."""
        want(
            isinstance(self.make().constrains, bool) and isinstance(self.make().weighs, bool),
            "A backend says whether it can hold a joint generation to its form (constrains),"
            " and whether it weighs a field's prior there (weighs).",
        )

    def test_it_chooses_among_the_labels(self) -> None:
        """A label that nobody offered is no answer."""
        part = self.make()
        few = MESC_10.model_copy(update={"labels": MESC_10.labels[:3]})

        async def chosen() -> list[Distribution]:
            await self.prepare(part)
            try:
                return [await part.choose(self.samples()[0], labels) for labels in (MESC_7, few)]
            finally:
                await self.release(part)

        for labels, distribution in zip((MESC_7, few), run(chosen()), strict=True):
            verify_model(distribution, Distribution, "A backend")
            want(
                distribution.labels == labels.labels and distribution.label_set == labels.name,
                "A backend chooses among the labels that it is given, in their order, and no"
                " others.",
            )

    def test_the_joint_form_decides_first_and_in_order(self) -> None:
        """The fields one by one, then the words."""
        for items in self._joint():
            stages = [getattr(item, "stage", None) for item in items[: len(FIELDS)]]
            want(
                stages == [field.stage for field in FIELDS],
                "A backend's joint generation decides each field first, in the order given.",
            )
            for item, field in zip(items, FIELDS, strict=False):
                verify_decision(item, field.stage, "A backend")
            words = items[len(FIELDS) :]
            want(
                all(isinstance(piece, str) for piece in words) and "".join(words).strip(),
                "A backend's joint generation streams the response after the decisions.",
            )

    def test_a_barred_label_is_never_decided(self) -> None:
        """A prior of 0 is a rule."""
        for items in self._joint():
            for item, field in zip(items, FIELDS, strict=False):
                if field.prior is not None and getattr(item, "stage", None) == field.stage:
                    want(
                        field.prior.as_dict().get(item.label, 0.0) > 0,
                        "A backend never decides a label that the field's prior gives no weight.",
                    )

    def test_the_codec_leaves_no_trace(self) -> None:
        """Decisions and words are the same things, however the model had to write them."""
        forms = [JointForm(FIELDS, codec()) for codec in CODECS.values()]
        for form, items in zip(forms, self._joint(self.samples()[:1], forms, WORDS), strict=False):
            told = [getattr(item, "stage", None) for item in items[: len(FIELDS)]]
            want(
                told == [field.stage for field in FIELDS],
                f"A backend's joint generation decides in every codec, in {form.codec.name!r} too.",
            )
            words = "".join(items[len(FIELDS) :])
            # A model may quote what was said: only in JSON is a quotation mark the form's.
            marks = (":", '"') if form.codec.name == "json" else (":",)
            want(
                words and words == words.lstrip() and not words.startswith(marks),
                f"A backend's joint generation strips the form off the words; {form.codec.name!r}"
                " is still to be seen.",
            )

    def _joint(
        self,
        samples: Sequence[Prompt] | None = None,
        forms: Sequence[JointForm] = (FORM,),
        sampling: Sampling | None = None,
    ) -> list[list[Any]]:
        """What joint generations give; none where the backend says that it holds no form."""
        part = self.make()
        if not part.constrains:
            return []

        async def generated() -> list[list[Any]]:
            await self.prepare(part)
            try:
                return [
                    [item async for item in part.stream_joint(sample, form, sampling or Sampling())]
                    for sample in (self.samples() if samples is None else samples)
                    for form in forms
                ]
            finally:
                await self.release(part)

        return run(generated())


class BackendThatFailsSuite(BackendSuite):
    """What a backend does besides that can be made to fail."""

    broken: Callable[[], Backend]

    def test_a_failure_is_a_backend_error(self) -> None:
        """Whoever asks a backend catches one kind of error."""
        sample, word = self.private()
        part = type(self).broken()

        async def streamed() -> None:
            _ = [item async for item in part.stream(sample, WORDS)]

        async def joint() -> None:
            _ = [item async for item in part.stream_joint(sample, FORM, WORDS)]

        async def failing() -> None:
            for call in (lambda: part.choose(sample, MESC_7), streamed, joint):
                try:
                    await call()
                except BackendError as error:
                    want(
                        word not in str(error),
                        "A backend's errors hold none of the person's words.",
                    )
                except Exception as error:
                    raise NonconformityError(
                        "A backend that cannot answer raises BackendError and nothing else, not"
                        f" {type(error).__name__}."
                    ) from error
                else:
                    raise NonconformityError("A backend that cannot answer raises BackendError.")
            await self.release(part)

        run(failing())


def _prompt(text: str) -> Prompt:
    return (Message(role="system", content=SYSTEM), Message(role="user", content=text))


def backend(
    make: Callable[[], Backend],
    *,
    broken: Callable[[], Backend] | None = None,
    deterministic: bool = True,
) -> type[BackendSuite]:
    """The suite of a backend: ``TestMine = conformance.backend(Mine)``.

    Args:
        make: Makes a fresh backend: a class whose arguments have defaults, or a function.
        broken: Makes one that cannot answer (a server that is not there, a wrong key).
        deterministic: Whether the same prompt gives the same words at temperature 0.
    """
    if broken is None:
        return suite(BackendSuite, make, deterministic=deterministic)
    if needs(broken):
        raise TypeError("conformance: broken takes no arguments: give a function that makes it")
    return suite(
        BackendThatFailsSuite, make, broken=staticmethod(broken), deterministic=deterministic
    )
