"""What is measured: the bare model on a batch, and the perceiver that each session asks."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.adapters import (
    Checkpoint,
    Search,
    TransformersAudio,
    TransformersImage,
    TransformersText,
)
from affectgraph.perceivers.adapters.audio import AudioClassifier
from affectgraph.perceivers.adapters.classifier import Classifier
from affectgraph.perceivers.adapters.faces import cut_out
from affectgraph.perceivers.adapters.image import ImageClassifier
from affectgraph.perceivers.adapters.text import TextClassifier
from affectgraph.perceivers.affect import Box
from affectgraph.perceivers.batching import BatchStats
from affectgraph.perceivers.device import Device
from affectgraph.perceivers.face import DetectedFace, ExpressionHead, FaceEmotion
from affectgraph.perceivers.face.crop import crop_face
from affectgraph.perceivers.media import SAMPLE_RATE, ImageFile
from affectgraph.perceivers.speech.emotion import VoiceEmotion
from affectgraph.perceivers.speech.encoder import WhisperEncoder
from affectgraph.perceivers.text import MiniLMEncoder
from affectgraph.perceivers.text.encoder import TOKENIZER
from affectgraph.perceivers.text.encoder import WEIGHTS as TEXT_WEIGHTS
from affectgraph.perceivers.text.network import TextNetwork
from affectgraph.perceivers.turn import Turn
from benchmarks.gpu import checkpoints
from benchmarks.gpu.checkpoints import WORDS, Size

AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
PORTRAIT: Final = Path(__file__).parents[2] / "examples" / "portrait.jpg"
DISTINCT: Final = 256
"""Different items of a case; sessions begin at different ones."""


@dataclass(frozen=True)
class Running:
    """A case that is loaded.

    Attributes:
        items: What a session hands in, and beside it what the bare model is given of it.
        bare: Runs the model on a batch; blocks.
        ask: What one session awaits for one item.
        stats: How full the batches were, where it says so.
    """

    items: Sequence[tuple[Any, Any]]
    bare: Callable[[Sequence[Any]], object]
    ask: Callable[[Any], Awaitable[object]]
    stats: Callable[[], BatchStats] | None = None


class Case(Protocol):
    """One kind of perceiver."""

    @property
    def name(self) -> str:
        """As it is printed."""
        ...

    async def start(self, device: Device, batch: int) -> Running:
        """Load it, for batches of this size.

        Raises:
            SetupError: If it cannot run here.
        """
        ...


def sentences() -> list[str]:
    """Messages of six to thirty words."""
    choose = random.Random(1)  # noqa: S311 - no secret
    return [" ".join(choose.choices(WORDS, k=choose.randint(6, 30))) for _ in range(DISTINCT)]


@dataclass(frozen=True)
class TextEncoder:
    """The encoder that ships: an int8 ONNX graph (fp32 on a GPU)."""

    name: str = "text.encoder"

    async def start(self, device: Device, batch: int) -> Running:
        """See :class:`Case`."""
        encoder = MiniLMEncoder(device=device, max_batch=batch, cache_size=0)
        await encoder.warm_up()
        tokenizer = TEXT_WEIGHTS.parent / TOKENIZER
        bare = TextNetwork(TEXT_WEIGHTS, tokenizer, 256, device)
        texts = sentences()
        return Running(
            [(text, text) for text in texts],
            bare.run,
            lambda text: encoder.encode_all([text], keep=False),
        )


class _Knows:
    """A detector that knows where the face in the example portrait is: it is not measured."""

    face = DetectedFace(
        Box(x=136, y=65, width=97, height=97),
        0.99,
        ((164.0, 101.0), (207.0, 104.0), (184.0, 128.0), (162.0, 139.0), (205.0, 141.0)),
    )

    def load(self) -> None:
        """Nothing to load."""

    def detect(self, pixels: NDArray[np.uint8]) -> list[DetectedFace]:
        """The face."""
        del pixels
        return [self.face]


@dataclass(frozen=True)
class Expression:
    """The face perceiver that ships, after a detector that costs nothing."""

    name: str = "face.ferplus"

    async def start(self, device: Device, batch: int) -> Running:
        """See :class:`Case`."""
        reader = FaceEmotion(detector=_Knows(), device=device, max_batch=batch, workers=4)
        await reader.warm_up()
        bare = ExpressionHead(device=device)
        turn, pixels = _turn()
        return Running(
            [(turn, crop_face(pixels, _Knows.face))],
            lambda crops: bare.probabilities(np.stack(crops)),
            reader.perceive,
            lambda: reader.stats,
        )


@dataclass(frozen=True)
class Voice:
    """The voice head that ships, on Whisper's encoder; needs the pulled Whisper."""

    seconds: float
    name: str = "speech.ravdess"

    async def start(self, device: Device, batch: int) -> Running:
        """See :class:`Case`."""
        reader, bare = (
            VoiceEmotion(WhisperEncoder(device=device), device=device, max_batch=batch)
            for _ in range(2)
        )
        await reader.warm_up()
        await bare.warm_up()
        items = [(sound, sound) for sound in _sounds(self.seconds)]
        return Running(items, bare.probabilities, reader.read, lambda: reader.stats)


class Batched(Protocol):
    """A perceiver around a checkpoint."""

    @property
    def stats(self) -> BatchStats:
        """How full its batches were."""
        ...

    async def warm_up(self) -> None:
        """Load it."""
        ...


@dataclass(frozen=True)
class Pair:
    """A perceiver and the bare model of the same checkpoint; neither is loaded.

    Attributes:
        perceiver: What sessions share.
        bare: What it runs.
        ask: What a session awaits.
        items: See :class:`Running`.
    """

    perceiver: Batched
    bare: Classifier[Any]
    ask: Callable[[Any], Awaitable[object]]
    items: Sequence[tuple[Any, Any]]


@dataclass(frozen=True)
class Transformers:
    """A classifier of transformers whose checkpoint is made when it is first started."""

    name: str
    make: Callable[[Path, Size], Path]
    pair: Callable[[Checkpoint, Size], Pair]
    folder: Path
    size: Size

    async def start(self, device: Device, batch: int) -> Running:
        """See :class:`Case`."""
        folder = self.make(self.folder, self.size)
        pair = self.pair(Checkpoint(folder, device=device, max_batch=batch), self.size)
        await pair.perceiver.warm_up()
        pair.bare.load()
        return Running(pair.items, pair.bare.read, pair.ask, lambda: pair.perceiver.stats)


def text_model(checkpoint: Checkpoint, size: Size) -> Pair:
    """A text classifier."""
    del size
    reader = TransformersText(checkpoint)
    items = [(text, text) for text in sentences()]
    return Pair(reader, TextClassifier(checkpoint), lambda text: reader.read(text, AT), items)


def image_model(checkpoint: Checkpoint, size: Size) -> Pair:
    """An image classifier, after a detector that costs nothing."""
    del size
    reader = TransformersImage(checkpoint, detector=_Knows(), search=Search(workers=4))
    turn, pixels = _turn()
    items = [(turn, cut_out(pixels, _Knows.face, 0.1))]
    return Pair(reader, ImageClassifier(checkpoint), reader.perceive, items)


def audio_model(checkpoint: Checkpoint, size: Size) -> Pair:
    """An audio classifier on sounds of one length."""
    reader = TransformersAudio(checkpoint)
    items = [(sound, sound) for sound in _sounds(size.seconds)]
    return Pair(reader, AudioClassifier(checkpoint), reader.read, items)


def cases(folder: Path, size: Size) -> list[Case]:
    """Every case; the checkpoints are made in a folder when they are first started."""
    models = (
        ("text.transformers", checkpoints.text, text_model),
        ("face.transformers", checkpoints.image, image_model),
        ("speech.transformers", checkpoints.audio, audio_model),
    )
    return [
        TextEncoder(),
        Expression(),
        Voice(size.seconds),
        *(Transformers(name, make, pair, folder / name, size) for name, make, pair in models),
    ]


def _turn() -> tuple[Turn, NDArray[np.uint8]]:
    """A turn with the example portrait, and its pixels."""
    photo = ImageFile(PORTRAIT)
    return Turn(images=(photo,), at=AT), photo.pixels


def _sounds(seconds: float) -> list[NDArray[np.float32]]:
    """Noise: what a model takes for it does not change how fast it is."""
    rng = np.random.default_rng(1)
    count = round(seconds * SAMPLE_RATE)
    return [rng.normal(0, 0.1, count).astype(np.float32) for _ in range(32)]
