"""Emotions in the language model's own words, and what they come to in a declared label set.

A fixed label set leaves out most of what people feel. Here the model names the emotions freely,
says how well each of its words fits, and the words are told in a label set by the nearness of
their embeddings. Open vocabularies: Lian et al. (2025), "OV-MER: Towards open-vocabulary
multimodal emotion recognition", ICML.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.memory.contracts import Embedder
from affectgraph.perceivers.affect import Affect, Distribution, Evidence, Modality, Reading
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.labels import EKMAN_7, LabelSet
from affectgraph.perceivers.models import ModelUse, models_of
from affectgraph.perceivers.text.language import unreadable
from affectgraph.perceivers.turn import Turn
from affectgraph.reasoners.contracts import Backend, Message, Sampling
from affectgraph.reasoners.stages import close_backend

_TASK: Final = (
    "You name the emotions that a message shows. Answer with one to {most} words for emotions, the"
    " most fitting first, separated by commas, and with nothing else."
)
_SHOWN: Final = (
    ("They moved my exam forward and I have not slept since.", "anxious, overwhelmed, tired"),
    ("My sister named her daughter after me!", "touched, proud, delighted"),
    ("I put the shelf up on Tuesday.", "neutral"),
)
_WHICH: Final = "Which one word says best how the writer of this message feels?"
_BREAK: Final = re.compile(r"\s*(?:[,;/\n•]|\band\b|\d+[.)])\s*")
_WORD: Final = re.compile(r"[^\W\d_]+(?:[-'’ ][^\W\d_]+){0,2}")  # noqa: RUF001 - typed apostrophe
_FILLER: Final = re.compile(
    r"^(?:(?:emotions?|feelings?|they|the|person|writer|user|is|are|feels?|feeling|a|an|very|:)\b\s*)+"
)
# What a model answers where it sees none.
_NONE: Final = re.compile(r"(?:none|nothing)(?: .*)?|no (?:\w+ )?(?:emotions?|feelings?)")
_WINDOW: Final = 2_000
_WHY: Final = {
    "absent": "no words in this turn",
    "unsupported-language": "the words do not look like English, which is all that is read",
}


@dataclass(frozen=True)
class Feeling:
    """A word for an emotion.

    Attributes:
        word: In small letters, one to three words.
        weight: How well the model says that it fits, in [0, 1]; a message's weights sum to 1.
    """

    word: str
    weight: float


class OpenVocabulary:
    """Reads a message by asking a language model for words of its own.

    Its confidence is what the model says, not calibrated by us. A reading holds no word of the
    model's: those may repeat the person's, and are told by :meth:`words` alone.

    Args:
        backend: The language model.
        encoder: Turns words into unit vectors; the memory's encoder will do.
        label_set: Emotion set that the words are told in.
        most: Words at most.
        sharpness: Factor of the cosines before they become shares: the higher, the more of a word
            goes to its nearest label alone.
        any_language: Read texts that do not look like English too, for models that can.

    Raises:
        SetupError: If a number is out of its range.
    """

    def __init__(
        self,
        backend: Backend,
        encoder: Embedder,
        *,
        label_set: LabelSet = EKMAN_7,
        most: int = 5,
        sharpness: float = 20.0,
        any_language: bool = False,
    ) -> None:
        if not 1 <= most <= 10 or not sharpness > 0:
            raise SetupError(
                f"open vocabulary: most must be 1 to 10 (is {most}), sharpness above 0"
                f" (is {sharpness})"
            )
        self._backend, self._encoder, self._label_set = backend, encoder, label_set
        self._most, self._sharpness, self._any_language = most, sharpness, any_language
        self._anchors: NDArray[np.float64] | None = None

    @property
    def modality(self) -> Modality:
        """``text``."""
        return "text"

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """The language model and the encoder."""
        return (*models_of(self._backend), *models_of(self._encoder))

    async def warm_up(self) -> None:
        """Load the language model and the encoder."""
        await asyncio.gather(self._backend.warm_up(), self._encoder.warm_up())

    async def close(self) -> None:
        """Close the language model's connections, if it holds any."""
        await close_backend(self._backend)

    async def perceive(self, turn: Turn) -> Reading:
        """Read what was typed in a turn."""
        return await self.read(turn.text, turn.at)

    async def read(self, text: str, captured_at: datetime) -> Reading:
        """Read any words of the person.

        Returns:
            A reading that covers the whole text. An abstention for a text without words
            (``absent``), in another language (``unsupported-language``), or of which the model
            names no emotion (``low-quality``).

        Raises:
            BackendError: If the language model cannot answer.
        """
        reason = unreadable(text)
        if reason == "absent" or (reason is not None and not self._any_language):
            return Reading.abstain("text", reason, _WHY[reason])
        feelings = await self.words(text)
        if not feelings:
            return Reading.abstain("text", "low-quality", "the language model named no emotion")
        distribution = await self.distribution(feelings)
        evidence = Evidence(kind="span", start=0, end=len(text), score=distribution.top_p)
        return Reading(
            modality="text",
            affect=Affect.read(distribution, captured_at, evidence=(evidence,)),
            covers=len(text),
            model=f"open-vocabulary/{self._backend.name}",
        )

    async def words(self, text: str) -> tuple[Feeling, ...]:
        """The emotions that the model names, the best fitting first; none if it names none.

        A text of more than 2,000 characters is shown to it in windows, side by side; its words are
        then weighed by the lengths of theirs.

        Raises:
            BackendError: If the language model cannot answer.
        """
        windows = _windows(text)
        asked = [asyncio.ensure_future(self._words(window)) for window in windows]
        try:
            told = await asyncio.gather(*asked)
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        weights: dict[str, float] = {}
        for window, feelings in zip(windows, told, strict=True):
            for feeling in feelings:
                so_far = weights.get(feeling.word, 0.0)
                weights[feeling.word] = so_far + feeling.weight * len(window)
        best = sorted(weights.items(), key=lambda item: -item[1])[: self._most]
        total = sum(weight for _, weight in best)
        return tuple(Feeling(word, weight / total) for word, weight in best)

    async def _words(self, told: str) -> tuple[Feeling, ...]:
        words = await self._named(told)
        if len(words) < 2:
            return tuple(Feeling(word, 1.0) for word in words)
        offered = LabelSet(name="open", labels=words, kind="emotion", source="the language model")
        belief = await self._backend.choose(
            [Message(role="user", content=f"{told}\n\n{_WHICH}")], offered
        )
        return tuple(Feeling(word, p) for word, p in belief.as_dict().items())

    async def distribution(self, feelings: Sequence[Feeling]) -> Distribution:
        """Words as a distribution over the label set, by the nearness of their embeddings."""
        shares = await self._shares([feeling.word for feeling in feelings])
        weights = np.array([feeling.weight for feeling in feelings]) @ shares
        labels = self._label_set.labels
        return Distribution.over(self._label_set, dict(zip(labels, weights.tolist(), strict=True)))

    async def _named(self, text: str) -> tuple[str, ...]:
        messages = [Message(role="system", content=_TASK.format(most=self._most))]
        for message, answer in (*_SHOWN, (text, "")):
            messages.append(Message(role="user", content=message))
            if answer:
                messages.append(Message(role="assistant", content=answer))
        said = ""
        stream = self._backend.stream(messages, Sampling(max_tokens=8 + 4 * self._most))
        async with aclosing(stream) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                said += piece
                # A line is an answer; what comes after it is talk.
                if "\n" in said.lstrip() or len(emotions_in(said)) > self._most:
                    break
        return emotions_in(said.lstrip().partition("\n")[0])[: self._most]

    async def _shares(self, words: Sequence[str]) -> NDArray[np.float64]:
        """Share of each word in each label, shape (words, labels); rows sum to 1."""
        if self._anchors is None:
            self._anchors = await self._vectors(self._label_set.labels)
        scaled = self._sharpness * (await self._vectors(words) @ self._anchors.T)
        powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    async def _vectors(self, words: Sequence[str]) -> NDArray[np.float64]:
        # In a phrase, so that a word is taken for a feeling where it has other meanings.
        vectors = await self._encoder.embed([f"feeling {word}" for word in words])
        return np.asarray(vectors, np.float64)


def _windows(text: str) -> list[str]:
    """A text in pieces of whole words that hold words, each as long as the model is shown."""
    pieces, start = [], 0
    while len(text) - start > _WINDOW:
        space = text.rfind(" ", start + _WINDOW // 2, start + _WINDOW)
        end = start + _WINDOW if space < 0 else space + 1
        pieces.append(text[start:end])
        start = end
    return [piece for piece in (*pieces, text[start:]) if unreadable(piece) != "absent"]


def emotions_in(said: str) -> tuple[str, ...]:
    """The words for emotions in a model's answer, each once, in their order.

    An item of more than three words is talk and counts for nothing, as does one that says that
    there is none.
    """
    found: dict[str, None] = {}
    for item in _BREAK.split(said.casefold()):
        plain = _FILLER.sub("", item.strip(" .:!\"'-*")).strip(" .:!\"'-*")
        if _WORD.fullmatch(plain) and not _NONE.fullmatch(plain):
            found[plain] = None
    return tuple(found)
