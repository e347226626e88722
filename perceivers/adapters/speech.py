"""A perceiver of speech whose voice is read by a classifier of the transformers library."""

from __future__ import annotations

from affectgraph.perceivers.adapters.audio import TransformersAudio
from affectgraph.perceivers.adapters.checkpoint import Checkpoint
from affectgraph.perceivers.batching import BatchStats
from affectgraph.perceivers.models import ModelStore
from affectgraph.perceivers.speech import SpeechEmotion, Transcriber


class TransformersSpeech(SpeechEmotion):
    """``SpeechEmotion`` with :class:`TransformersAudio` in the place of its voice head.

    Where somebody speaks, the words, how the voice is and when to abstain are as there.

    Args:
        checkpoint: See :class:`TransformersAudio`.
        transcriber: Writes down the words; Whisper tiny.en if not given.
        store: Where the pulled models lie.
        window: Seconds that are read at a time.

    Raises:
        SetupError: If the window is out of its range.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        transcriber: Transcriber | None = None,
        store: ModelStore | None = None,
        window: float = 6.0,
    ) -> None:
        self._sound = TransformersAudio(checkpoint, window=window)
        super().__init__(store, transcriber=transcriber, voice=self._sound)

    @property
    def stats(self) -> BatchStats:
        """How full the passes of the checkpoint were."""
        return self._sound.stats
