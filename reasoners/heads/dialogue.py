"""Heads over MESC's labels at run time: weights that a user has trained, without torch."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import ModelCorruptError, SetupError
from affectgraph.perceivers.labels import MESC_7, LabelSet
from affectgraph.perceivers.models import ModelUse, models_of
from affectgraph.perceivers.text.encoder import MiniLMEncoder
from affectgraph.reasoners.context import ReasoningContext
from affectgraph.reasoners.heads.features import Part, features
from affectgraph.reasoners.heads.lines import Line, turns
from affectgraph.reasoners.heads.perceptron import Perceptrons
from affectgraph.reasoners.heads.runs import HeadTask
from affectgraph.reasoners.heads.words import WordsReader, raw
from affectgraph.reasoners.plan import LabelStageName
from affectgraph.reasoners.taxonomy import MESC_10

FORMAT: Final = "affectgraph.dialogue-head.v1"
_LABELS: Final[Mapping[HeadTask, LabelSet]] = {"user_emotion": MESC_7, "strategy": MESC_10}
# A reply, or what a person says, is heard in sentences, as the lines of MESC are.
_SENTENCE: Final = re.compile(r"(?<=[.!?…])\s+")


@dataclass(frozen=True)
class HeadWeights:
    """A trained head.

    Attributes:
        task: The label that it decides.
        parts: The groups of features that it sees.
        text: Components that the part ``text`` sees.
        words: Its reader of single lines.
        perceptrons: Its classifier.
    """

    task: HeadTask
    parts: frozenset[Part]
    text: int
    words: WordsReader
    perceptrons: Perceptrons

    def save(self, file: Path) -> None:
        """Write one safetensors file."""
        from safetensors.numpy import save_file

        meta = {
            "format": FORMAT,
            "task": self.task,
            "parts": " ".join(sorted(self.parts)),
            "text": str(self.text),
        }
        tensors = self.words.tensors("words.") | self.perceptrons.tensors("perceptrons.")
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, str(file), meta)

    @classmethod
    def load(cls, file: Path) -> HeadWeights:
        """Read what :meth:`save` wrote.

        Raises:
            SetupError: If the file is absent.
            ModelCorruptError: If it is not such a head.
        """
        from safetensors import SafetensorError, safe_open

        if not file.is_file():
            raise SetupError(f"{file}: no such head; train one with heads_mesc")
        try:
            with safe_open(str(file), framework="numpy") as held:
                meta = held.metadata() or {}
                tensors = {name: held.get_tensor(name) for name in held.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ModelCorruptError(f"{file}: {error}") from None
        return cls._of(meta, tensors, file)

    @classmethod
    def _of(
        cls, meta: Mapping[str, str], tensors: Mapping[str, NDArray[Any]], file: Path
    ) -> HeadWeights:
        if meta.get("format") != FORMAT:
            raise ModelCorruptError(f"{file}: not the weights of a dialogue head")
        try:
            (task,) = (known for known in _LABELS if known == meta["task"])
            named = meta["parts"].split()
            parts = frozenset(part for part in get_args(Part) if part in named)
            words = WordsReader.from_tensors(tensors, "words.")
            perceptrons = Perceptrons.from_tensors(tensors, "perceptrons.")
            return cls(task, parts, int(meta["text"]), words, perceptrons)
        except (KeyError, ValueError) as error:
            raise ModelCorruptError(
                f"{file}: not the weights of a dialogue head: {error}"
            ) from None


class DialogueHead:
    """Decides the person's emotion or the strategy over MESC's labels, from the whole thread.

    The labels of the past are those that the head itself reads in the words, as in the
    free-running protocol that it is measured in; what the plan had decided is not asked.

    Args:
        encoder: The encoder to share; the weights were trained on its features.
        weights: What ``python -m affectgraph.reasoners.training.heads_mesc`` wrote. None ship: the
            corpus states no licence.
        task: Which label the weights decide.
        longest: Exchanges of the past that are read, the latest ones.

    Raises:
        SetupError: If ``longest`` is negative, or there is no such task.
    """

    def __init__(
        self,
        encoder: MiniLMEncoder,
        *,
        weights: Path,
        task: HeadTask = "user_emotion",
        longest: int = 24,
    ) -> None:
        if longest < 0:
            raise SetupError(f"dialogue head: longest must be at least 0 (is {longest})")
        if task not in _LABELS:
            raise SetupError(f"dialogue head: task must be one of {', '.join(_LABELS)}")
        self._encoder, self._weights = encoder, Path(weights)
        self._task, self._longest = task, longest
        self._pool = BlockingPool()
        self._loading = threading.Lock()
        self._head: HeadWeights | None = None

    @property
    def stage(self) -> LabelStageName:
        """``user_emotion`` or ``strategy``."""
        return self._task

    @property
    def labels(self) -> LabelSet:
        """MESC's seven emotions or ten strategies."""
        return _LABELS[self._task]

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """The encoder's weights and the head's own."""
        return (*models_of(self._encoder), ModelUse(self._weights.name))

    async def warm_up(self) -> None:
        """Load the encoder and the weights; a second call does nothing.

        Raises:
            SetupError: If the weights are absent, or are of the other label.
            ModelCorruptError: If they cannot be used.
        """
        await self._encoder.warm_up()
        if self._head is None:
            await self._pool.run(self._load)

    async def read(self, context: ReasoningContext) -> Distribution | None:
        """Probabilities of the labels; ``None`` if the person has said nothing this turn."""
        if not context.utterance.strip():
            return None
        await self.warm_up()
        lines = lines_of(context, self._longest)
        encodings = await self._encoder.encode_all([line.text for line in lines])
        assert self._head is not None
        probs = decide(self._head, lines, np.stack([raw(each) for each in encodings]))
        return Distribution.over(self.labels, dict(zip(self.labels.labels, probs, strict=True)))

    def _load(self) -> None:
        with self._loading:
            if self._head is None:
                head = HeadWeights.load(self._weights)
                if head.task != self._task:
                    raise SetupError(f"{self._weights}: decides {head.task}, not {self._task}")
                self._head = head


def decide(head: HeadWeights, lines: Sequence[Line], rows: NDArray[np.float32]) -> list[float]:
    """Probabilities of the labels of what is said now (an emotion) or next (a strategy).

    Args:
        head: The trained head.
        lines: The conversation; the last line is the person's.
        rows: What the encoder says of each line, shape (n, r).
    """
    following = list(lines)
    if head.task == "strategy":
        # The strategy is that of a reply which is not there yet.
        following.append(Line(person=False, text=""))
        rows = np.concatenate([rows, np.zeros((1, rows.shape[1]), rows.dtype)])
    told = head.words.code(following, rows.astype(np.float64), given=False, text=head.text)
    seen = features(told, turns(following)[-1], head.parts)
    return [float(p) for p in head.perceptrons.probs(seen[None])[0]]


def lines_of(context: ReasoningContext, longest: int) -> list[Line]:
    """The latest exchanges and the person's words now, in sentences."""
    past = context.history[-longest:] if longest else ()
    lines: list[Line] = []
    for exchange in past:
        lines += (Line(True, text) for text in _sentences(exchange.said))
        lines += (Line(False, text) for text in _sentences(exchange.replied))
    return lines + [Line(True, text) for text in _sentences(context.utterance)]


def _sentences(text: str) -> list[str]:
    return [part for part in _SENTENCE.split(text.strip()) if part]
