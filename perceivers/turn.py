"""What comes in: one turn of a person, with the consent that it was given under."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from affectgraph.perceivers.media import AudioFile, ImageFile

MAX_TEXT = 20_000
"""Characters of one message; a longer one is refused rather than cut in silence."""


class Consent(BaseModel):
    """What the person agreed to, each on its own; nothing is agreed to by default.

    Attributes:
        camera: Reading the person's face in images.
        microphone: Transcribing and reading the person's voice.
        memory: Keeping what was said for later conversations.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    camera: bool = False
    microphone: bool = False
    memory: bool = False


class Turn(BaseModel):
    """One message of a person: words, photos, a voice note, or any of them.

    Media are handles that open when a perceiver asks; no pixels or samples go into any state.

    Attributes:
        user: Who speaks; isolates memory. 1 to 128 characters.
        thread: The conversation; isolates history. 1 to 128 characters.
        text: What was typed, at most 20,000 characters; may be empty when there is audio.
        images: Photos of the person.
        audio: A voice note of the person.
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
        if not self.text.strip() and not self.images and self.audio is None:
            raise ValueError("the message is empty: give text, an image or audio")
        if self.at.tzinfo is None:
            raise ValueError("'at' needs a time zone")
        return self

    def check_media(self) -> None:
        """Open every media file once, so that a bad one is refused before anything happens.

        Blocking; the handles keep what was decoded.

        Raises:
            MediaError: For the first file that cannot be used.
        """
        for image in self.images:
            image.pixels  # noqa: B018 - decoding is the check
        if self.audio is not None:
            self.audio.samples  # noqa: B018
