"""``ferplus``: expressions of faces."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.orchestrator.evaluation import floors
from affectgraph.orchestrator.evaluation.bench import Bench
from affectgraph.orchestrator.evaluation.bootstrap import Floats
from affectgraph.orchestrator.evaluation.classified import Classified
from affectgraph.orchestrator.evaluation.latency import timed
from affectgraph.orchestrator.evaluation.metrics import (
    ACCURACY,
    MACRO_F1,
    UAR,
)
from affectgraph.orchestrator.evaluation.readings import Told, as_arrays, as_told, carried
from affectgraph.orchestrator.evaluation.result import (
    Fact,
    Result,
    Row,
    Table,
)
from affectgraph.orchestrator.evaluation.subjects import version
from affectgraph.perceivers.affect import Reading
from affectgraph.perceivers.contracts import Perceiver
from affectgraph.perceivers.corpora import ferplus
from affectgraph.perceivers.errors import InputError, ModelMissingError
from affectgraph.perceivers.face import ExpressionHead, MTCNNDetector
from affectgraph.perceivers.labels import FERPLUS_8
from affectgraph.perceivers.media import ImageFile
from affectgraph.perceivers.models import ModelStore, models_of
from affectgraph.perceivers.training.ferplus import PUBLISHED
from affectgraph.perceivers.turn import Consent, Turn

Faces = NDArray[np.uint8]

_CANVAS: Final = 320
_TIMED: Final = 30
_ROUNDS: Final = 4
_NOTE: Final = (
    "Pictures of the test split whose most voted emotion holds more than half of the votes (the"
    " authors' majority mode). Nothing is chosen on them. {how}"
)
_FRAMED: Final = "The faces come cut out, so the head reads them as they are, without detection."
_AS_SHIPPED: Final = (
    "the head as it is shipped, on the processor: device, precision and weights that the spec"
    " sets for it do not count here"
)
_PHOTOS: Final = (
    "The perceiver sees each face four times as large on a grey picture and finds it itself; where"
    " it abstains, the training shares stand. A perceiver whose labels do not reach the corpus's"
    " eight is compared in Ekman's seven, where contempt counts as disgust."
)

_PUBLISHED: Final = tuple(
    Row.published(f"VGG13 of {name}", accuracy=accuracy) for name, accuracy in PUBLISHED.items()
)


class FerPlus:
    """Barsoum et al. (2016)."""

    name = "ferplus"
    about = (
        "8 expressions of faces, majority test; calibration; milliseconds a face and a detection"
    )

    async def run(self, bench: Bench) -> Result:
        """Read the test split: our head on the faces, any other perceiver on photos of them."""
        train = await bench.aside(lambda: ferplus.load(bench.data, "train"))
        test = await bench.aside(
            lambda: ferplus.load(bench.data, "test", limit=bench.limit, seed=bench.seed)
        )
        shares = np.asarray(train.targets.mean(axis=0), dtype=np.float64)
        perceiver = bench.subjects.perceiver("face")
        ours = ExpressionHead()
        head = ours if set(models_of(ours)) <= set(models_of(perceiver)) else None
        facts: dict[str, Fact] = {"faces": len(test)}
        if head is not None:
            probs, how, common = await _headed(bench, head, test.images), _FRAMED, FERPLUS_8
            facts |= await bench.aside(lambda: _latency(head, bench.store, test.images))
        else:
            told = await _photographed(bench, perceiver, test.images)
            facts["abstained"] = int(told.abstained.sum())
            how, common = _PHOTOS, told.meets(FERPLUS_8)
            probs = told.to(common, shares @ carried(FERPLUS_8, common))
        table = carried(FERPLUS_8, common).argmax(axis=1)
        labels = table[train.labels], table[test.labels]
        own = "" if head is None else _AS_SHIPPED
        classified = Classified(
            f"FER+, test, {len(common)} classes",
            common.labels,
            labels[1],
            probs,
            (ACCURACY, MACRO_F1, UAR),
        )
        published = _PUBLISHED if common == FERPLUS_8 else ()

        def result() -> Result:
            most = floors.majority(labels[0], len(test))
            drawn = floors.random(labels[0], len(test), bench.seed)
            rows = (
                classified.floor(bench, "majority", most),
                classified.floor(bench, "random", drawn),
                classified.ours(bench, own),
                *published,
            )
            return Result(
                "ferplus",
                (Table(classified.title, rows, _NOTE.format(how=how)),),
                classified.figures(),
                facts,
                classified.kept(),
            )

        return await bench.aside(result)


async def _headed(bench: Bench, head: ExpressionHead, images: Faces) -> Floats:
    """The head's probabilities, shape (n, 8)."""

    async def read(chunk: Sequence[Faces]) -> dict[str, NDArray[Any]]:
        return {"probs": await bench.aside(lambda: head.probabilities(np.stack(chunk)))}

    key = await bench.aside(lambda: version(head))
    kept = bench.kept("ferplus-test", key)
    return np.asarray((await kept.over(list(images), read, known_by=_digest))["probs"], np.float64)


async def _photographed(bench: Bench, perceiver: Perceiver, images: Faces) -> Told:
    """What a perceiver says of photos in which the faces stand."""
    await perceiver.warm_up()
    key = await bench.aside(lambda: bench.subjects.version("face"))
    folder = await bench.aside(lambda: tempfile.TemporaryDirectory())
    file = Path(folder.name) / "face.png"

    async def read(chunk: Sequence[Faces]) -> dict[str, NDArray[Any]]:
        return as_arrays([await _perceived(bench, perceiver, face, file) for face in chunk])

    kept = bench.kept("ferplus-test-photos", *key)
    try:
        return as_told(await kept.over(list(images), read, known_by=_digest))
    finally:
        await bench.aside(folder.cleanup)


async def _perceived(bench: Bench, perceiver: Perceiver, face: Faces, file: Path) -> Reading | None:
    await bench.aside(lambda: _write_photo(face, file))
    turn = Turn(images=(ImageFile(file),), consent=Consent(camera=True))
    try:
        return await perceiver.perceive(turn)
    except InputError:
        return None


def _write_photo(face: Faces, file: Path) -> None:
    from PIL import Image

    size = 4 * face.shape[0]
    canvas = Image.new("RGB", (_CANVAS, _CANVAS), (128, 128, 128))
    enlarged = Image.fromarray(face).resize((size, size), Image.Resampling.BICUBIC)
    canvas.paste(enlarged.convert("RGB"), ((_CANVAS - size) // 2, (_CANVAS - size) // 2))
    canvas.save(file)


def _latency(head: ExpressionHead, store: ModelStore, images: Faces) -> dict[str, float]:
    """Milliseconds that the head takes for one face, and its detection in a photo of 640 x 480.

    Without the detector's model there is no time of a detection.
    """
    faces = [image[None] for image in images[:_TIMED]]
    facts = timed("a_face", head.probabilities, faces, _ROUNDS)
    detector = MTCNNDetector(store)
    try:
        detector.load()
    except ModelMissingError:
        return facts
    photos = [_photo(image) for image in images[:_TIMED]]
    return facts | timed("a_detection_at_640x480", detector.detect, photos, _ROUNDS)


def _photo(face: Faces) -> Faces:
    """A grey photo of 640 x 480 with a face of 192 pixels in it, RGB."""
    from PIL import Image

    canvas = Image.new("RGB", (640, 480), (128, 128, 128))
    enlarged = Image.fromarray(face).resize((192, 192), Image.Resampling.BICUBIC)
    canvas.paste(enlarged.convert("RGB"), (224, 144))
    return np.asarray(canvas, dtype=np.uint8)


def _digest(face: Faces) -> str:
    return hashlib.sha256(np.ascontiguousarray(face).tobytes()).hexdigest()
