"""Any audio classifier of the transformers library as a reader of voices."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.adapters.checkpoint import Checkpoint
from affectgraph.perceivers.adapters.classifier import Classifier, Loaded, Shared
from affectgraph.perceivers.adapters.translation import distribution_of
from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.media import SAMPLE_RATE
from affectgraph.perceivers.tracing import model_span

Samples = NDArray[np.float32]


class TransformersAudio(Shared[Samples]):
    """Reads emotion from a voice with any audio-classification checkpoint.

    Such as those of wav2vec2, HuBERT, WavLM, AST or Whisper's encoder. It stands where the voice
    head of ``SpeechEmotion`` does, behind its voice activity detection, and is given speech without
    pauses. Models that predict numbers (valence, arousal) in place of labels are not for it.

    Args:
        checkpoint: The model, for sound at 16 kHz; its folder holds a feature extractor too.
        window: Seconds that are read at a time, 1 to 30; longer speech is read in equal windows
            whose probabilities are averaged.

    Raises:
        SetupError: If the window is out of its range.
    """

    def __init__(self, checkpoint: Checkpoint, *, window: float = 6.0) -> None:
        if not 1 <= window <= 30:
            raise SetupError(f"the window must be 1 to 30 seconds, not {window}")
        self._classifier = AudioClassifier(checkpoint)
        self._window = window
        super().__init__(self._classifier)

    async def read(self, speech: Samples) -> Distribution:
        """Read a voice.

        Args:
            speech: Speech without its pauses, mono at 16 kHz in [-1, 1], shape (n,).

        Raises:
            SetupError: If the checkpoint cannot be used.
            NodeError: If it gives no finite numbers.
        """
        await self.warm_up()
        count = max(1, math.ceil(len(speech) / (self._window * SAMPLE_RATE)))
        with model_span("classify", self.name):
            rows = await self._batcher.run_all(np.array_split(speech, count))
        return distribution_of(self._classifier.label_set, np.mean(rows, axis=0))


class AudioClassifier(Classifier[Samples]):
    """A classifier of sounds; items are mono at 16 kHz in [-1, 1], shape (n,), of any lengths."""

    def _classes(self) -> tuple[Any, Any]:
        from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

        return AutoModelForAudioClassification, AutoFeatureExtractor

    def _prepared(self, processor: Any, model: Any) -> Any:
        del model
        if processor.sampling_rate != SAMPLE_RATE:
            raise SetupError(
                f"{self.name} wants sound at {processor.sampling_rate} Hz, not {SAMPLE_RATE}"
            )
        return processor

    def _inputs(self, processor: Any, items: Sequence[Samples]) -> Mapping[str, Any]:
        # Those that take the samples as they are pad to the longest; the others make spectrograms
        # of the one length that their model knows.
        raw = _takes_samples(processor)
        inputs: Mapping[str, Any] = processor(
            list(items),
            sampling_rate=SAMPLE_RATE,
            return_tensors="pt",
            **({"padding": True} if raw else {}),
        )
        return inputs

    def _logits(self, loaded: Loaded, items: Sequence[Samples]) -> NDArray[np.float64]:
        lengths = {len(item) for item in items}
        blind = _takes_samples(loaded.processor) and not loaded.processor.return_attention_mask
        if len(lengths) == 1 or not blind:
            return super()._logits(loaded, items)
        # This model takes padding for sound: a neighbour in the batch would change what it says.
        rows: dict[int, NDArray[np.float64]] = {}
        for length in lengths:
            places = [at for at, item in enumerate(items) if len(item) == length]
            found = super()._logits(loaded, [items[at] for at in places])
            rows |= zip(places, found, strict=True)
        return np.stack([rows[at] for at in range(len(items))])


def _takes_samples(extractor: Any) -> bool:
    from transformers import Wav2Vec2FeatureExtractor

    return isinstance(extractor, Wav2Vec2FeatureExtractor)
