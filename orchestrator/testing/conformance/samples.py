"""What the suites give to the parts: invented words, turns, readings, contexts and records."""

from __future__ import annotations

import math
import wave
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Final

from affectgraph.memory.record import MemoryRecord, Recollection, record_id
from affectgraph.perceivers.affect import Affect, Distribution, Modality, Reading
from affectgraph.perceivers.labels import EKMAN_7, FERPLUS_8, GOEMOTIONS_28, MESC_7, LabelSet
from affectgraph.perceivers.media import AudioFile, ImageFile
from affectgraph.perceivers.turn import Consent, Turn
from affectgraph.reasoners.context import Exchange, ReasoningContext
from affectgraph.reasoners.plan import Decision, LabelStageName, Plan
from affectgraph.reasoners.taxonomy import MESC_10

AT: Final = datetime(2026, 1, 2, 9, 30, tzinfo=UTC)
"""When the first sample was said."""

WORDS: Final = (
    "I am SO angry at my landlord!! He kept the deposit again.",
    "My sister got the job, I am really happy for her.",
    "I feel sad and tired, nothing works out this week.",
    "The bus leaves at nine and the shop is next to the station.",
)
"""Ordinary messages."""

PERSONAL: Final = "quillfeather"
PRIVATE: Final = f"I am VERY upset, please tell nobody that my name is {PERSONAL}!"
"""A message with a word that is found nowhere else."""

ODD: Final = (
    "?!",
    "ok",
    "\U0001f642\U0001f643",
    "n\u0303o\u0308 \u0130stanbul \u00df\ufb01",
    "\u05e9\u05dc\u05d5\u05dd \u05dc\u05db\u05d5\u05dc\u05dd",
    "a\x00b\tc\n\n\u200b",
    "%s %d {0} {name} ${HOME} <b>'\";--",
    "x" * 2_000,
    "I am fine. " * 300,
)
"""Messages that people do send: one mark, emoji, marks that combine, other scripts, controls,
patterns, a word without end, a long one."""

ALL: Final = Consent(camera=True, microphone=True, memory=True)


def turns(folder: Path, modality: Modality) -> tuple[Turn, ...]:
    """Turns of two people with something of one modality."""
    if modality == "text":
        return tuple(_turn(number, text=text) for number, text in enumerate(WORDS))
    if modality == "face":
        return tuple(_turn(n, images=(image(folder, f"{n}", shade=60 + 70 * n),)) for n in range(2))
    return tuple(_turn(n, audio=audio(folder, f"{n}", hertz=180 + 90 * n)) for n in range(2))


def turn_without(folder: Path, modality: Modality) -> Turn:
    """A turn that has nothing of one modality."""
    if modality == "text":
        return _turn(0, text="   ", images=(image(folder, "only"),))
    return _turn(0, text=WORDS[0])


def turn_with_broken_media(folder: Path, modality: Modality) -> Turn:
    """A turn whose photo or voice note is no such thing."""
    path = folder / "broken.bin"
    path.write_bytes(b"neither a picture nor a sound")
    if modality == "face":
        return _turn(0, images=(ImageFile(path),))
    return _turn(0, audio=AudioFile(path))


def _turn(
    number: int,
    *,
    text: str = "",
    images: tuple[ImageFile, ...] = (),
    audio: AudioFile | None = None,
) -> Turn:
    return Turn(
        user=("ana", "ben")[number % 2],
        text=text,
        images=images,
        audio=audio,
        consent=ALL,
        at=AT + timedelta(minutes=number),
    )


def image(folder: Path, name: str, *, shade: int = 128) -> ImageFile:
    """A photo without a face: one shade of grey, 96 pixels square."""
    from PIL import Image

    path = folder / f"{name}.png"
    Image.new("RGB", (96, 96), (shade, shade, shade)).save(path)
    return ImageFile(path)


def audio(folder: Path, name: str, *, hertz: float = 220.0) -> AudioFile:
    """A note without a voice: one second of one tone."""
    path = folder / f"{name}.wav"
    samples = (round(8_000 * math.sin(2 * math.pi * hertz * n / 16_000)) for n in range(16_000))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(b"".join(s.to_bytes(2, "little", signed=True) for s in samples))
    return AudioFile(path)


def affect(label: str, *, labels: LabelSet = EKMAN_7, p: float = 0.8, minute: int = 0) -> Affect:
    """An affect with most of its mass on one label."""
    rest = (1 - p) / (len(labels) - 1)
    weights = dict.fromkeys(labels.labels, rest) | {label: p}
    return Affect.read(Distribution.over(labels, weights), AT + timedelta(minutes=minute))


def reading(
    modality: Modality,
    label: str,
    *,
    labels: LabelSet = EKMAN_7,
    p: float = 0.8,
    minute: int = 0,
) -> Reading:
    """A reading of one modality."""
    told = affect(label, labels=labels, p=p, minute=minute)
    return Reading(modality=modality, affect=told, model="sample")


ABSENT: Final = Reading.abstain("speech", "absent", "no audio in this turn")


def reading_sets() -> tuple[tuple[Reading, ...], ...]:
    """Readings of a turn: one, some that differ and use several label sets, one that abstains."""
    return (
        (reading("text", "anger", labels=GOEMOTIONS_28, p=0.7),),
        (
            reading("text", "sadness", labels=GOEMOTIONS_28, p=0.6),
            reading("face", "happiness", labels=FERPLUS_8, p=0.9, minute=1),
        ),
        (reading("text", "joy", p=0.55), ABSENT),
        (reading("face", "neutral", p=0.5), reading("speech", "fear", p=0.4), ABSENT),
    )


def record(user: str, text: str, *, minute: int = 0, risk_level: int = 0) -> MemoryRecord:
    """A remembered exchange."""
    at = AT + timedelta(minutes=minute)
    return MemoryRecord(
        id=record_id(user, "thread", text, at),
        user=user,
        thread="thread",
        text=text,
        reply="I hear you.",
        affect=affect("sadness", minute=minute),
        strategy="Open questions",
        risk_level=risk_level,
        at=at,
    )


def decision(stage: LabelStageName, label: str) -> Decision:
    """A decision for one label."""
    labels = MESC_10 if stage == "strategy" else MESC_7
    belief = Distribution.certain(labels, label)
    return Decision(stage=stage, distribution=belief, label=label, source="sample")


PLAN: Final = Plan(
    user_emotion=decision("user_emotion", "sadness"),
    strategy=decision("strategy", "Open questions"),
    system_emotion=decision("system_emotion", "neutral"),
)


def contexts() -> tuple[ReasoningContext, ...]:
    """Contexts of a first turn, and of a later one with all that there can be."""
    past = record("ana", "My landlord kept the deposit last year too.")
    return (
        ReasoningContext(utterance=WORDS[0], affect=affect("anger")),
        ReasoningContext(utterance=WORDS[1]),
        ReasoningContext(
            utterance=WORDS[2],
            affect=affect("sadness", labels=MESC_7, p=0.6),
            recollections=(Recollection(record=past, distance=0.2, breakdown={"semantic": 0.2}),),
            history=(Exchange(said=WORDS[0], replied="What happened then?", plan=PLAN),),
            plan=PLAN,
        ),
    )


def odd_contexts() -> tuple[ReasoningContext, ...]:
    """Contexts with unusual words, and one without any."""
    return tuple(ReasoningContext(utterance=text) for text in ("", *ODD))


def private_context() -> ReasoningContext:
    """A context with the secret in every place that words can stand."""
    said = Exchange(said=PRIVATE, replied=f"Thank you, {PERSONAL}.")
    past = Recollection(record=record("ana", PRIVATE), distance=0.1, breakdown={"semantic": 0.1})
    return ReasoningContext(
        utterance=PRIVATE, affect=affect("fear"), recollections=(past,), history=(said,)
    )


PRIORS: Final[Mapping[LabelStageName, LabelSet]] = MappingProxyType(
    {"user_emotion": MESC_7, "strategy": MESC_10, "system_emotion": MESC_7}
)
"""The label set of each stage."""
