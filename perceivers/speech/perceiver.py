"""The perceiver of speech: what was said, and how it sounded, side by side."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.affect import (
    Abstention,
    Affect,
    Distribution,
    Evidence,
    Modality,
    Reading,
)
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import NodeError, SetupError
from affectgraph.perceivers.models import ModelStore, ModelUse, models_of
from affectgraph.perceivers.speech.activity import ActivityDetector, SpeechActivity
from affectgraph.perceivers.speech.emotion import VERSION, VoiceEmotion
from affectgraph.perceivers.speech.encoder import MODEL, WhisperEncoder
from affectgraph.perceivers.speech.transcriber import (
    Transcriber,
    Transcript,
    WhisperTranscriber,
)
from affectgraph.perceivers.turn import Turn

T = TypeVar("T")

_LOG: Final = logging.getLogger(__name__)


class SpeechEmotion:
    """Transcribes a voice note and reads emotion from its sound.

    The two run side by side, each with its own time limit, and neither takes the other down: a
    reading may hold an affect and no transcript (``transcript`` is ``None``; it is empty when
    nothing was understood), or a transcript beside an abstention that says what failed. The
    evidence is each stretch of speech, in seconds, with the transcript's confidence in it.

    Args:
        store: Where the pulled models lie; used for the parts that are not given.
        transcriber: Writes down the words.
        voice: Reads the sound.
        detector: Finds the speech whose sound is read.
        quiet_db: A sound without speech whose loudest 100 ms stay below this level (dB of full
            scale) is called silence, a louder one noise.
        shortest: Seconds of speech that the sound of a voice must have to be read.
        transcript_seconds: Time limit of the transcription.
        voice_seconds: Time limit of the voice emotion.
    """

    def __init__(
        self,
        store: ModelStore | None = None,
        *,
        transcriber: Transcriber | None = None,
        voice: VoiceEmotion | None = None,
        detector: ActivityDetector | None = None,
        quiet_db: float = -50.0,
        shortest: float = 0.6,
        transcript_seconds: float = 30.0,
        voice_seconds: float = 15.0,
    ) -> None:
        self._detector = detector or ActivityDetector()
        self._transcriber = transcriber or WhisperTranscriber(store)
        self._voice = voice or VoiceEmotion(WhisperEncoder(store))
        self._quiet_db = quiet_db
        self._shortest = shortest
        self._transcript_seconds = transcript_seconds
        self._voice_seconds = voice_seconds
        self._pool = BlockingPool()

    @property
    def modality(self) -> Modality:
        """``speech``."""
        return "speech"

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """What the activity detector, the transcriber and the voice head use, each once."""
        parts = (self._transcriber, self._voice, self._detector)
        return tuple(dict.fromkeys(use for part in parts for use in models_of(part)))

    async def warm_up(self) -> None:
        """Load all models; a second call does nothing.

        Raises:
            ModelMissingError: If Whisper is not pulled.
            ModelCorruptError: If the head's weights cannot be used.
        """
        silence = np.zeros(16_000, dtype=np.float32)
        await self._pool.run(lambda: self._detector.find(silence))
        await self._transcriber.warm_up()
        await self._voice.warm_up()

    async def perceive(self, turn: Turn) -> Reading:
        """Read the voice note of a turn.

        Returns:
            A reading; an abstention without audio (``absent``), without speech (``silence`` or
            ``noise``), with too little of it (``too-short``), or where the voice could not be
            read in time (``failed`` or ``timeout``).

        Raises:
            MediaError: If the file cannot be used.
            SetupError: If a model is missing or corrupt.
            NodeError: If both the words and the voice failed.
        """
        audio = turn.audio
        if audio is None:
            return Reading.abstain("speech", "absent", "no audio in this turn")
        samples = await self._pool.run(lambda: audio.samples)
        activity = await self._pool.run(lambda: self._detector.find(samples))
        if not activity.spans:
            return self._without_speech(activity)
        heard, sounded = await self._side_by_side(samples, activity)
        if isinstance(heard, Abstention) and isinstance(sounded, Abstention):
            if sounded.reason == "too-short":
                return Reading.abstain(
                    "speech", sounded.reason, f"{sounded.detail}; {heard.detail}"
                )
            raise NodeError("speech", f"{heard.detail}; {sounded.detail}")
        transcript = None if isinstance(heard, Abstention) else heard.text
        if isinstance(sounded, Abstention):
            return Reading(modality="speech", abstention=sounded, transcript=transcript)
        words = None if isinstance(heard, Abstention) else heard
        evidence = _evidence(activity, words)
        return Reading(
            modality="speech",
            affect=Affect.read(sounded, turn.at, evidence=evidence),
            transcript=transcript,
            model=f"{MODEL}+{VERSION}",
        )

    def _without_speech(self, activity: SpeechActivity) -> Reading:
        level = f"the loudest moment is at {activity.loudness:.0f} dB"
        if activity.loudness < self._quiet_db:
            return Reading.abstain("speech", "silence", f"nobody speaks; {level}")
        return Reading.abstain("speech", "noise", f"there is sound but no speech; {level}")

    async def _side_by_side(
        self, samples: NDArray[np.float32], activity: SpeechActivity
    ) -> tuple[Transcript | Abstention, Distribution | Abstention]:
        speech = activity.cut(samples)
        return await asyncio.gather(
            _part("the words", self._transcriber.transcribe(samples), self._transcript_seconds),
            self._sounded(speech, activity.seconds),
        )

    async def _sounded(
        self, speech: NDArray[np.float32], seconds: float
    ) -> Distribution | Abstention:
        if seconds < self._shortest:
            detail = f"{seconds:.1f} seconds of speech, {self._shortest:.1f} are needed"
            return Abstention(reason="too-short", detail=detail)
        return await _part("the voice", self._voice.read(speech), self._voice_seconds)


async def _part(what: str, work: Coroutine[Any, Any, T], seconds: float) -> T | Abstention:
    """Await one of the two parts; its failure becomes an abstention, so the other counts."""
    try:
        return await asyncio.wait_for(work, seconds)
    except SetupError:
        # A missing or corrupt model does not heal by itself: it must be seen.
        raise
    except TimeoutError:
        _LOG.warning("speech: %s took more than %.0f s", what, seconds)
        return Abstention(reason="timeout", detail=f"{what} took more than {seconds:.0f} seconds")
    except Exception as error:  # noqa: BLE001 - native code raises anything; the other part stays
        # The message may quote what was said; the type does not.
        kind = type(error).__qualname__
        _LOG.warning("speech: %s failed (%s)", what, kind)
        return Abstention(reason="failed", detail=f"{what} could not be read ({kind})")


def _evidence(activity: SpeechActivity, heard: Transcript | None) -> tuple[Evidence, ...]:
    """The stretches of speech, each with the confidence of the words that overlap it most."""

    def score(start: float, end: float) -> float | None:
        best, most = None, 0.0
        for span in heard.spans if heard else ():
            overlap = min(end, span.end) - max(start, span.start)
            if overlap > most:
                best, most = span.confidence, overlap
        return best

    return tuple(
        Evidence(kind="segment", start=start, end=end, score=score(start, end))
        for start, end in activity.spans
    )
