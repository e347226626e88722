"""From what a person typed on the command line to a turn, or to one clear line."""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic import ValidationError

from affectgraph.perceivers.errors import InputError
from affectgraph.perceivers.turn import MAX_TEXT, Consent, Turn

# UTF-8 takes at most four bytes a character; what is longer cannot be a message we take.
_MAX_BYTES = 4 * MAX_TEXT


def read_text(text: str | None, text_file: Path | None) -> str:
    """The message itself, from the option, a file, or standard input (``--text -``).

    Raises:
        InputError: If both are given, or the bytes cannot be read as UTF-8 text.
    """
    if text is not None and text_file is not None:
        raise InputError("give --text or --text-file, not both")
    if text == "-":
        return _decoded("standard input", sys.stdin.buffer.read(_MAX_BYTES + 1))
    if text_file is None:
        return text or ""
    try:
        with text_file.open("rb") as file:
            return _decoded(str(text_file), file.read(_MAX_BYTES + 1))
    except OSError as error:
        raise InputError(f"{text_file}: {(error.strerror or 'cannot be read').lower()}") from error


def make_turn(
    *,
    user: str,
    thread: str,
    text: str,
    images: list[Path],
    audio: Path | None,
    video: Path | None = None,
    withheld: set[str],
) -> Turn:
    """Build the turn; a file that is handed in by name is consented to unless withheld.

    Raises:
        InputError: One line on what is wrong.
    """
    consent = Consent(
        camera=bool(images or video) and "camera" not in withheld,
        microphone=bool(audio or video) and "microphone" not in withheld,
        memory="memory" not in withheld,
    )
    try:
        return Turn.model_validate(
            {
                "user": user,
                "thread": thread,
                "text": text,
                "images": tuple(images),
                "audio": audio,
                "video": video,
                "consent": consent,
            }
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        raise InputError(f"--{where}: {said}" if where else said) from None


def _decoded(source: str, raw: bytes) -> str:
    if len(raw) > _MAX_BYTES:
        raise InputError(
            f"{source}: more than {_MAX_BYTES:,} bytes; at most {MAX_TEXT:,} characters are"
            " taken: split it"
        )
    try:
        return raw.decode("utf-8").rstrip("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{source}: not valid UTF-8 at byte {error.start}") from None
