"""The perceiver of speech: what was said, and how it sounded, side by side."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from datetime import datetime
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
from affectgraph.perceivers.device import CPU, Device
from affectgraph.perceivers.errors import NodeError, SetupError
from affectgraph.perceivers.media import SAMPLE_RATE
from affectgraph.perceivers.models import ModelStore, ModelUse, models_of
from affectgraph.perceivers.prosody import Prosody
from affectgraph.perceivers.speech.activity import ActivityDetector, SpeechActivity
from affectgraph.perceivers.speech.emotion import VoiceEmotion, VoiceReader
from affectgraph.perceivers.speech.encoder import WhisperEncoder
from affectgraph.perceivers.speech.prosody import ProsodyMeter
from affectgraph.perceivers.speech.quality import QualityLimits, SignalQuality, assess
from affectgraph.perceivers.speech.transcriber import (
    Transcriber,
    Transcript,
    WhisperTranscriber,
)
from affectgraph.perceivers.turn import Turn

T = TypeVar("T")
Samples = NDArray[np.float32]

_LOG: Final = logging.getLogger(__name__)


class SpeechEmotion:
    """Transcribes a voice note and reads emotion from its sound.

    The two run side by side, each with its own time limit, and neither takes the other down: a
    reading may hold an affect and no transcript (``transcript`` is ``None``; it is empty when
    nothing was understood), or a transcript beside an abstention that says what failed. The
    evidence is each stretch of speech, in seconds, with the transcript's confidence in it, and the
    prosody of the speech as a whole.

    The sound of a voice that is lost in noise, faint or distorted is not read. Its words are, but
    they count only where Whisper is sure of them: in noise it writes what nobody said.

    Args:
        store: Where the pulled models lie; used for the parts that are not given.
        transcriber: Writes down the words.
        voice: Reads the sound.
        detector: Finds the speech whose sound is read.
        prosody: Measures how it was said.
        limits: What a recording must reach for its voice to be read.
        sure: Confidence that a transcript of a recording below the limits must have to be kept.
        quiet_db: A sound without speech whose loudest 100 ms stay below this level (dB of full
            scale) is called silence, a louder one noise.
        shortest: Seconds of speech that the sound of a voice must have to be read.
        transcript_seconds: Time limit of the transcription.
        voice_seconds: Time limit of the voice emotion.
        device: Where the transcriber and the voice head run; used for the parts that are not given.
    """

    def __init__(
        self,
        store: ModelStore | None = None,
        *,
        transcriber: Transcriber | None = None,
        voice: VoiceReader | None = None,
        detector: ActivityDetector | None = None,
        prosody: ProsodyMeter | None = None,
        limits: QualityLimits | None = None,
        sure: float = 0.6,
        quiet_db: float = -50.0,
        shortest: float = 0.6,
        transcript_seconds: float = 30.0,
        voice_seconds: float = 15.0,
        device: Device = CPU,
    ) -> None:
        self._detector = detector or ActivityDetector()
        self._transcriber = transcriber or WhisperTranscriber(store, device=device)
        self._voice = voice or VoiceEmotion(WhisperEncoder(store, device=device), device=device)
        self._prosody = prosody or ProsodyMeter()
        self._limits = limits or QualityLimits()
        self._sure = sure
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
        """Read the voice note of a turn, or else the sound of its video.

        Returns:
            A reading; an abstention without sound (``absent``) or as :meth:`read` says.

        Raises:
            MediaError: If the file cannot be used.
            SetupError: If a model is missing or corrupt.
            NodeError: If both the words and the voice failed.
        """
        samples = await self._pool.run(lambda: _samples(turn))
        if samples is None:
            return Reading.abstain("speech", "absent", "no sound in this turn")
        return await self.read(samples, turn.at)

    async def read(self, samples: Samples, captured_at: datetime) -> Reading:
        """Read a sound.

        Args:
            samples: Mono sound at 16 kHz in [-1, 1], shape (n,).
            captured_at: When it was recorded (time zone aware).

        Returns:
            A reading; an abstention without speech (``silence`` or ``noise``), with a voice that
            cannot be read for faintness, noise or distortion (``silence``, ``noise``,
            ``low-quality``), with too little of it (``too-short``), or where the voice could not be
            read in time (``failed`` or ``timeout``).

        Raises:
            SetupError: If a model is missing or corrupt.
            NodeError: If both the words and the voice failed.
        """
        activity, quality = await self._pool.run(
            lambda: (self._detector.find(samples), assess(samples))
        )
        if not activity.spans:
            return self._without_speech(activity)
        refused = self._refused(activity, quality, len(samples) / SAMPLE_RATE)
        heard, sounded = await self._side_by_side(samples, activity, refused)
        words = None if isinstance(heard, Abstention) else heard
        if words is not None and refused is not None and refused.reason != "too-short":
            words = words if words.confidence >= self._sure else Transcript()
        prosody = await self._measured(samples, activity, words, refused)
        if isinstance(sounded, Abstention):
            if words is None and refused is None and isinstance(heard, Abstention):
                raise NodeError("speech", f"{heard.detail}; {sounded.detail}")
            detail = sounded.detail
            if isinstance(heard, Abstention):
                detail = f"{detail}; {heard.detail}"
            return Reading(
                modality="speech",
                abstention=Abstention(reason=sounded.reason, detail=detail),
                transcript=None if words is None else words.text,
                prosody=prosody,
            )
        return Reading(
            modality="speech",
            affect=Affect.read(sounded, captured_at, evidence=_evidence(activity, words)),
            transcript=None if words is None else words.text,
            prosody=prosody,
            model=self._voice.name,
        )

    async def close(self) -> None:
        """Close the transcriber and the voice, where they can be; nothing is read afterwards."""
        for part in (self._transcriber, self._voice):
            close = getattr(part, "close", None)
            if close is not None:
                await close()

    def _refused(
        self, activity: SpeechActivity, quality: SignalQuality, seconds: float
    ) -> Abstention | None:
        """Why the sound of the voice is not to be read, if it is not."""
        detail = f"{activity.seconds:.1f} seconds of speech, {self._shortest:.1f} are needed"
        short = Abstention(reason="too-short", detail=detail)
        # So brief a sound has no pause in which its noise could be told.
        if seconds < self._shortest:
            return short
        fault = self._limits.fault(quality)
        if fault is not None:
            return Abstention(reason=fault[0], detail=fault[1])
        return short if activity.seconds < self._shortest else None

    async def _measured(
        self,
        samples: Samples,
        activity: SpeechActivity,
        heard: Transcript | None,
        refused: Abstention | None,
    ) -> Prosody | None:
        # A pitch that is measured through noise is the noise's.
        if refused is not None and refused.reason != "too-short":
            return None
        words = heard.text if heard else None
        return await self._pool.run(lambda: self._prosody.measure(samples, activity, words=words))

    def _without_speech(self, activity: SpeechActivity) -> Reading:
        level = f"the loudest moment is at {activity.loudness:.0f} dB"
        if activity.loudness < self._quiet_db:
            return Reading.abstain("speech", "silence", f"nobody speaks; {level}")
        return Reading.abstain("speech", "noise", f"there is sound but no speech; {level}")

    async def _side_by_side(
        self, samples: Samples, activity: SpeechActivity, refused: Abstention | None
    ) -> tuple[Transcript | Abstention, Distribution | Abstention]:
        words = _part("the words", self._transcriber.transcribe(samples), self._transcript_seconds)
        if refused is not None:
            return await words, refused
        voice = _part("the voice", self._voice.read(activity.cut(samples)), self._voice_seconds)
        parts = (asyncio.ensure_future(words), asyncio.ensure_future(voice))
        try:
            return await asyncio.gather(*parts)
        finally:
            # Where one says that a model is missing nobody waits for the other any more.
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)


def _samples(turn: Turn) -> Samples | None:
    sound = turn.sound
    return None if sound is None else sound.samples


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
