"""How something was said, beside the words: pitch, level, rate and pauses."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Prosody(BaseModel):
    """Measured properties of a stretch of speech.

    They are evidence that a person can check, not an emotion: what is high or fast for one speaker
    is usual for another.

    Attributes:
        speech_seconds: Seconds in which somebody speaks.
        pauses: Stretches without speech between the first and the last word.
        pause_seconds: Seconds of these pauses in all.
        pitch_hz: Median fundamental frequency of voiced speech, in hertz; ``None`` where less than
            0.1 seconds are voiced (a whisper).
        pitch_range: From the 10th to the 90th percentile of the pitch, in semitones; ``None``
            without a pitch.
        voiced: Share of the speech that is voiced, 0 to 1.
        level_db: Mean level of the speech in dB of a full-scale square wave; depends on the
            microphone and its distance.
        level_range_db: From the 10th to the 90th percentile of the level of 25 ms, in dB.
        syllables_per_second: Syllable nuclei a second of speech, pauses left out.
        words_per_minute: Words of the transcript a minute, pauses included; ``None`` without words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    speech_seconds: float = Field(ge=0)
    pauses: int = Field(ge=0)
    pause_seconds: float = Field(ge=0)
    pitch_hz: float | None = Field(default=None, gt=0)
    pitch_range: float | None = Field(default=None, ge=0)
    voiced: float = Field(ge=0, le=1)
    level_db: float
    level_range_db: float = Field(ge=0)
    syllables_per_second: float = Field(ge=0)
    words_per_minute: float | None = Field(default=None, ge=0)
