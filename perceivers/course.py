"""How an expression changed over a video: what a single reading leaves out."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class Course(BaseModel):
    """The course of a face's expression over a video.

    Attributes:
        seconds: From the first picture that was looked at to the last.
        looked: Pictures that were looked at.
        read: Those in which the face could be read.
        quality: Mean quality of the pictures that were read, in [0, 1].
        peak_at: Second at which the face was farthest from neutral; ``None`` if none was read.
        peak: Label that was most probable then.
        peak_p: Its probability then.
        valence_trend: How far (derived) valence moves by the line of least squares, from the
            first picture to the last, in [-2, 2]; 0 for fewer than three pictures.
        chosen_by: Whose face it is: the ``only`` one, the ``largest``, or the ``speaker``'s.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: float = Field(ge=0)
    looked: int = Field(ge=0)
    read: int = Field(ge=0)
    quality: Probability = 0.0
    peak_at: float | None = Field(default=None, ge=0)
    peak: str = ""
    peak_p: Probability = 0.0
    valence_trend: float = Field(default=0.0, ge=-2.0, le=2.0)
    chosen_by: str = ""
