"""Any text classifier of the transformers library as a reader of words."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

import numpy as np

from affectgraph.perceivers.adapters.checkpoint import Checkpoint
from affectgraph.perceivers.adapters.classifier import Classifier, Shared
from affectgraph.perceivers.adapters.translation import affect_of, carried, distribution_of
from affectgraph.perceivers.affect import Evidence, Modality, Reading
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.labels import EKMAN_7
from affectgraph.perceivers.text.language import sentences, unreadable
from affectgraph.perceivers.tracing import model_span
from affectgraph.perceivers.turn import Turn

Span = tuple[int, int]

_WHY: Final = {
    "absent": "no words in this turn",
    "unsupported-language": "the words do not look like English, which is all that is read",
}
_SHORTEST: Final = 8
_LONG: Final = 12  # characters of a token


class TransformersText(Shared[str]):
    """Reads emotion from words with any text-classification checkpoint.

    A text longer than ``max_tokens`` is read in windows, averaged by their length. The evidence is
    the sentence that by itself speaks most for the top emotion of Ekman's seven.

    Args:
        checkpoint: The model; its folder holds a tokenizer too.
        max_tokens: Tokens that are read at a time; at most what the model has places for.
        any_language: Read texts that do not look like English too, for models that can.

    Raises:
        SetupError: If ``max_tokens`` is below 8.
    """

    def __init__(
        self, checkpoint: Checkpoint, *, max_tokens: int = 256, any_language: bool = False
    ) -> None:
        self._classifier = TextClassifier(checkpoint, max_tokens=max_tokens)
        self._any_language = any_language
        super().__init__(self._classifier)

    @property
    def modality(self) -> Modality:
        """``text``."""
        return "text"

    async def perceive(self, turn: Turn) -> Reading:
        """Read what was typed in a turn."""
        return await self.read(turn.text, turn.at)

    async def read(self, text: str, captured_at: datetime) -> Reading:
        """Read any words of the person, said at a time (time zone aware).

        Returns:
            A reading that covers the whole text; an abstention for a text without words
            (``absent``) or in another language (``unsupported-language``).

        Raises:
            SetupError: If the checkpoint cannot be used.
            NodeError: If it gives no finite numbers.
        """
        reason = unreadable(text)
        if reason == "absent" or (reason is not None and not self._any_language):
            return Reading.abstain("text", reason, _WHY[reason])
        await self.warm_up()
        windows = await self._windows(text)
        name, label_set = self._classifier.name, self._classifier.label_set
        with model_span("classify", name):
            probs = np.stack(await self._batcher.run_all(text[a:b] for a, b in windows))
            lengths = np.array([end - start for start, end in windows], float)
            mean = (probs * lengths[:, None]).sum(0) / lengths.sum()
            basic = distribution_of(label_set, mean).to(EKMAN_7)
            scores = [basic.top_p]
            if len(windows) > 1:
                scores = [carried(label_set, row, basic.top) for row in probs]
            speaking = int(np.argmax(scores))
            evidence = await self._evidence(text, windows[speaking], scores[speaking], basic.top)
        affect = affect_of(
            label_set,
            mean,
            captured_at,
            multi_label=self._classifier.multi_label,
            evidence=(evidence,),
        )
        return Reading(modality="text", affect=affect, covers=len(text), model=name)

    async def _windows(self, text: str) -> list[Span]:
        # On no thread where nothing needs counting: most messages are short.
        if self._classifier.surely_takes(text):
            return [(0, len(text))]
        return await self._pool.run(lambda: self._classifier.windows(text))

    async def _evidence(self, text: str, window: Span, score: float, top: str) -> Evidence:
        """The sentence of a window that speaks most for an emotion; the window scores as given."""
        start, end = window
        found = [(start + a, start + b) for a, b in sentences(text[start:end])] or [window]
        scores = [score]
        if len(found) > 1:
            rows = await self._batcher.run_all(text[a:b] for a, b in found)
            scores = [carried(self._classifier.label_set, row, top) for row in rows]
        best = int(np.argmax(scores))
        return Evidence(
            kind="span", start=found[best][0], end=found[best][1], score=min(1.0, scores[best])
        )


class TextClassifier(Classifier[str]):
    """A sequence classifier; a text of more than ``max_tokens`` tokens is cut there.

    Args:
        checkpoint: See :class:`Classifier`.
        max_tokens: Tokens that count, at most what the model has places for.
    """

    def __init__(self, checkpoint: Checkpoint, *, max_tokens: int = 256) -> None:
        super().__init__(checkpoint)
        if max_tokens < _SHORTEST:
            raise SetupError(f"max_tokens must be {_SHORTEST} or more, not {max_tokens}")
        self._max_tokens = max_tokens
        # A tokenizer keeps its settings in itself: two threads with different ones collide.
        self._tokenizing = threading.Lock()

    def surely_takes(self, text: str) -> bool:
        """Whether a text is so short that it need not be counted; once it is loaded."""
        # Of plain letters no tokenizer makes more tokens than characters, of others about four;
        # and there are the marks at the ends.
        return (1 if text.isascii() else 4) * len(text) + 3 <= self._max_tokens

    def windows(self, text: str) -> list[Span]:
        """Stretches of characters that cover a text, each as long as the model takes.

        A tokenizer that does not tell where its tokens stand is asked how many there are.
        """
        tokenizer = self._loaded().processor
        if self.surely_takes(text):
            return [(0, len(text))]
        with self._tokenizing:
            if not tokenizer.is_fast:
                return self._counted(tokenizer, text)
            cut = tokenizer(
                text,
                truncation=True,
                max_length=self._max_tokens,
                return_overflowing_tokens=True,
                return_offsets_mapping=True,
            )
        starts = [0]
        for offsets in cut["offset_mapping"][1:]:
            # The marks at the ends stand at (0, 0) in every window.
            real = [start for start, end in offsets if end > start]
            if real and real[0] > starts[-1]:
                starts.append(real[0])
        return list(zip(starts, [*starts[1:], len(text)], strict=True))

    def _counted(self, tokenizer: Any, text: str) -> list[Span]:
        most = self._max_tokens

        def beyond(start: int, end: int) -> bool:
            ids = tokenizer(text[start:end], truncation=True, max_length=most + 1)["input_ids"]
            return len(ids) > most

        windows: list[Span] = []
        start = 0
        while start < len(text):
            # No more is counted than a window of long words holds.
            last = min(len(text), start + most * _LONG)
            ends = range(start + 1, last + 1)
            end = start + max(1, bisect_left(ends, True, key=partial(beyond, start)))
            space = text.rfind(" ", start, end)
            if end < len(text) and space > start:
                end = space + 1
            windows.append((start, end))
            start = end
        return windows

    def _classes(self) -> tuple[Any, Any]:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        return AutoModelForSequenceClassification, AutoTokenizer

    def _prepared(self, processor: Any, model: Any) -> Any:
        places = getattr(model.config, "max_position_embeddings", None)
        if places:
            # RoBERTa's kin count from two.
            self._max_tokens = min(self._max_tokens, places - 2)
        self._max_tokens = min(self._max_tokens, processor.model_max_length)
        if processor.pad_token is None:
            raise SetupError(f"{self.name}: its tokenizer has no token to pad with")
        if model.config.pad_token_id is None:
            model.config.pad_token_id = processor.pad_token_id
        return processor

    def _inputs(self, processor: Any, items: Sequence[str]) -> Mapping[str, Any]:
        with self._tokenizing:
            inputs: Mapping[str, Any] = processor(
                list(items),
                padding=True,
                truncation=True,
                max_length=self._max_tokens,
                return_tensors="pt",
            )
        return inputs
