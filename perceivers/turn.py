"""What comes in: one turn of a person, with the consent that it was given under."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from affectgraph.perceivers.media import AudioFile, ImageFile, VideoFile

MAX_TEXT = 20_000
"""Characters of one message; a longer one is refused rather than cut in silence."""


class Consent(BaseModel):
    """What the person agreed to, each on its own; nothing is agreed to by default.

    Attributes:
        camera: Reading the person's face in images and videos.
        microphone: Transcribing and reading the person's voice, also that of a video.
        memory: Keeping what was said for later conversations.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    camera: bool = False
    microphone: bool = False
    memory: bool = False


class Turn(BaseModel):
    """One message of a person: words, photos, a voice note, a video, or any of them.

    Media are handles that open when a perceiver asks; no pixels or samples go into any state.

    Attributes:
        user: Who speaks; isolates memory. 1 to 128 characters.
        thread: The conversation; isolates history. 1 to 128 characters.
        text: What was typed, at most 20,000 characters; may be empty when there is audio.
        images: Photos of the person.
        audio: A voice note of the person.
        video: A video of the person. Its pictures are for the face, its sound (where there is no
            ``audio``) for the speech perceiver, each with a consent of its own.
        consent: What the person agreed to.
        at: When the turn was captured (time zone aware; now by default).
        id: Names the turn; made up by default.

    Raises:
        ValueError: (as pydantic's ``ValidationError``) if the turn says nothing or is too long.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: str = Field(default="user", min_length=1, max_length=128)
    thread: str = Field(default="thread", min_length=1, max_length=128)
    text: str = ""
    images: tuple[ImageFile, ...] = ()
    audio: AudioFile | None = None
    video: VideoFile | None = None
    consent: Consent = Consent()
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    id: str = Field(default_factory=lambda: uuid.uuid4().hex, min_length=1, max_length=128)

    @field_validator("text")
    @classmethod
    def _sound_text(cls, text: str) -> str:
        if len(text) > MAX_TEXT:
            raise ValueError(
                f"the message has {len(text):,} characters, at most {MAX_TEXT:,} are taken:"
                " split it"
            )
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError(
                f"the message is not valid UTF-8 at character {error.start}"
            ) from error
        return text

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.text.strip() and not self.shows and not self.sounds:
            raise ValueError("the message is empty: give text, an image, audio or a video")
        if self.at.tzinfo is None:
            raise ValueError("'at' needs a time zone")
        return self

    @property
    def shows(self) -> bool:
        """Whether there are pictures of the person."""
        return bool(self.images) or self.video is not None

    @property
    def sounds(self) -> bool:
        """Whether there may be sound of the person; a video may turn out to be silent."""
        return self.audio is not None or self.video is not None

    @property
    def sound(self) -> AudioFile | None:
        """The voice note, or else the sound of the video.

        Blocking where there is only a video that was not checked yet (:meth:`check_media`).

        Raises:
            MediaError: If the video cannot be used.
        """
        if self.audio is None and self.video is not None:
            return self.video.sound
        return self.audio

    def check_media(self) -> None:
        """Open every media file once, so that a bad one is refused before anything happens.

        Blocking; the handles keep what was decoded.

        Raises:
            MediaError: For the first file that cannot be used.
        """
        for image in self.images:
            image.pixels  # noqa: B018 - decoding is the check
        if self.video is not None:
            self.video.info  # noqa: B018
        # Without consent nobody listens, and a poor sound track must not refuse the pictures.
        if self.audio is not None or self.consent.microphone:
            sound = self.sound
            if sound is not None:
                sound.samples  # noqa: B018
