"""DeepFace's face detectors and emotion model as parts of ours.

Serengil and Ozpinar (2020), "LightFace: A hybrid deep face recognition framework", ASYU; MIT
licence, the models of its detectors have their own.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.adapters.faces import FacePerceiver, Pixels, Search
from affectgraph.perceivers.adapters.translation import Translation, softmax
from affectgraph.perceivers.affect import Box
from affectgraph.perceivers.errors import ExtraMissingError, SetupError
from affectgraph.perceivers.face import DetectedFace, FaceDetector
from affectgraph.perceivers.face.crop import BETWEEN_EYES, EYES_TO_MOUTH
from affectgraph.perceivers.labels import EKMAN_7, LabelSet
from affectgraph.perceivers.models import ModelUse

Engine = Literal["onnx", "pytorch", "tensorflow"]
Backend = Literal[
    "opencv", "mtcnn", "fastmtcnn", "retinaface", "ssd", "yunet", "centerface", "dlib", "mediapipe",
    "yolov8n", "yolov8m", "yolov8l", "yolov11n", "yolov11s", "yolov11m", "yolov11l", "yolov12n",
    "yolov12s", "yolov12m", "yolov12l",
]  # fmt: skip

EMOTIONS: Final = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""DeepFace's labels, in its order."""
EMOTION_FILES: Final[Mapping[Engine, str]] = MappingProxyType(
    {
        "onnx": "facial_expression_model_weights.onnx",
        "pytorch": "facial_expression_model_weights.pth",
        "tensorflow": "facial_expression_model_weights.h5",
    }
)
_DETECTOR_FILES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "ssd": ("deploy.prototxt", "res10_300x300_ssd_iter_140000.caffemodel"),
        "yunet": ("face_detection_yunet_2023mar.onnx",),
        "centerface": ("centerface.onnx",),
        "dlib": ("shape_predictor_5_face_landmarks.dat",),
        "retinaface": ("retinaface.h5",),
    }
)
"""What those detectors need that come without their weights and would download them."""
_CASCADES: Final = ("haarcascade_frontalface_default.xml", "haarcascade_eye.xml")
"""What finds faces for ``opencv``, and the eyes for every detector that does not tell them. They
come with opencv below 5."""


TIGHT: Final = Search(margin=0.0)
_DETECTING: Final = threading.Lock()
"""DeepFace keeps one detector of each kind for the whole process, and not all of them (opencv's
cascades, for one) stand being asked twice at a time."""


class DeepFaceDetector:
    """A face detector of DeepFace; blocking, one image at a time.

    Most of them tell the eyes; the other points are placed as in an upright face between them or,
    without eyes, in the box.

    Args:
        backend: Which detector. ``opencv`` needs opencv below 5; ``mtcnn`` and ``retinaface`` need
            TensorFlow; others the packages and files that DeepFace's page names.
        home: Folder that holds ``.deepface/weights``; ``$DEEPFACE_HOME``, else the user's.
        engine: What DeepFace runs on, for the whole process.
        min_score: Faces with a lower score do not count.
    """

    def __init__(
        self,
        backend: Backend = "opencv",
        *,
        home: Path | None = None,
        engine: Engine = "onnx",
        min_score: float = 0.0,
    ) -> None:
        self._backend, self._min_score = backend, min_score
        self._library = _Library(home, engine)
        self._lock = threading.Lock()
        self._ready = False

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """The detector; its licence is its author's."""
        return (ModelUse(f"deepface-{self._backend}"),)

    def load(self) -> None:
        """Import DeepFace and open the detector; a second call does nothing.

        Raises:
            SetupError: If DeepFace or what the detector needs is not installed, or weights are
                absent: nothing is downloaded.
        """
        with self._lock:
            if self._ready:
                return
            library = self._library.load()
            self._library.require(_files_of(self._backend))
            _guarded(
                f"DeepFace's detector {self._backend}",
                lambda: library.build_model(self._backend, task="face_detector"),
            )
            self._ready = True

    def detect(self, pixels: NDArray[np.uint8]) -> list[DetectedFace]:
        """Find the faces of an RGB image, uint8, shape (height, width, 3), largest first.

        Raises:
            SetupError: If DeepFace cannot be used.
        """
        self.load()
        library = self._library.load()
        height, width = pixels.shape[:2]
        with _DETECTING:
            found = library.extract_faces(
                img_path=np.ascontiguousarray(pixels[:, :, ::-1]),
                detector_backend=self._backend,
                # It would otherwise raise for an image without a face; so it gives the whole
                # image, with the score 0.
                enforce_detection=False,
                align=False,
                normalize_face=False,
            )
        faces = [
            face
            for each in found
            if each["confidence"] > self._min_score
            and (face := _face(each["facial_area"], each["confidence"], width, height))
        ]
        return sorted(faces, key=lambda face: -face.box.width * face.box.height)


class DeepFaceEmotion(FacePerceiver):
    """Reads expressions with DeepFace's emotion model, over Ekman's seven labels.

    Its probabilities are what the model claims, not calibrated on anything by us.

    Args:
        detector: Finds faces; DeepFace's own over opencv if not given.
        home: Folder that holds ``.deepface/weights`` with the emotion model's file.
        engine: What DeepFace runs on, for the whole process.
        search: How the face is found and cut out; without a margin by default, as DeepFace does.
        temperature: The logarithms of its probabilities are divided by it.
        max_batch: Faces of concurrent turns that are read in one pass, at most.
        max_wait: Seconds that a face waits for others; 0 for none.

    Raises:
        SetupError: If a number is out of its range.
    """

    def __init__(
        self,
        *,
        detector: FaceDetector | None = None,
        home: Path | None = None,
        engine: Engine = "onnx",
        search: Search = TIGHT,
        temperature: float = 1.0,
        max_batch: int = 32,
        max_wait: float = 0.0,
    ) -> None:
        super().__init__(
            _EmotionModel(_Library(home, engine), engine, temperature),
            detector or DeepFaceDetector(home=home, engine=engine),
            search,
            max_batch=max_batch,
            max_wait=max_wait,
        )


class _EmotionModel:
    """DeepFace's emotion model on batches of faces; a ``FaceReader``."""

    multi_label = False

    def __init__(self, library: _Library, engine: Engine, temperature: float) -> None:
        if not temperature > 0:
            raise SetupError(f"the temperature must be above 0, not {temperature}")
        self._library, self._engine = library, engine
        self._temperature = temperature
        self._translation = Translation.of(EMOTIONS, EKMAN_7)
        self._loading = threading.Lock()
        self._client: Any = None

    @property
    def name(self) -> str:
        """``deepface-emotion`` and the engine."""
        return f"deepface-emotion-{self._engine}"

    @property
    def label_set(self) -> LabelSet:
        """Ekman's seven."""
        return self._translation.label_set

    def load(self) -> None:
        """Import DeepFace and build the model; a second call does nothing."""
        with self._loading:
            if self._client is None:
                library = self._library.load()
                self._library.require((EMOTION_FILES[self._engine],))
                self._client = _guarded(
                    "DeepFace's emotion model",
                    lambda: library.build_model("Emotion", task="facial_attribute"),
                )

    def read(self, items: Sequence[Pixels]) -> list[NDArray[np.float64]]:
        """Probabilities over Ekman's seven for each face, RGB, shape (height, width, 3)."""
        self.load()
        from deepface.modules.preprocessing import resize_image

        # As `DeepFace.analyze` prepares each face, but all of them in one pass.
        batch = np.concatenate([resize_image(face[:, :, ::-1] / 255, (224, 224)) for face in items])
        told = np.atleast_2d(np.asarray(self._client.predict(batch), np.float64))
        powers = softmax(np.log(np.maximum(told, 1e-12)) / self._temperature)
        return list(self._translation.apply(powers))


class _Library:
    """DeepFace in this process: where its weights lie, and what it runs on.

    It takes both from the environment, and the engine once for all.
    """

    def __init__(self, home: Path | None, engine: Engine) -> None:
        self._home, self._engine = home, engine

    def load(self) -> Any:
        """Import it; blocking.

        Raises:
            SetupError: If it is not installed, or runs otherwise than asked for.
        """
        if "deepface.DeepFace" not in sys.modules:
            if importlib.util.find_spec("deepface") is None:
                raise ExtraMissingError("DeepFace", "gpu")
            self._set("DEEPFACE_BACKEND_ENGINE", self._engine)
            if self._home is not None:
                self._set("DEEPFACE_HOME", str(self._home))
            with warnings.catch_warnings():
                # It silences all warnings of the process when it is imported.
                warnings.simplefilter("ignore")
                _guarded("DeepFace", lambda: importlib.import_module("deepface.DeepFace"))
        self._check()
        return sys.modules["deepface.DeepFace"]

    def require(self, files: Sequence[str]) -> None:
        """See that weights are there, which it would otherwise download.

        Raises:
            SetupError: Naming those that are not.
        """
        folder = self._weights()
        ours = (folder, _cascades())
        absent = [name for name in files if not any((each / name).is_file() for each in ours)]
        if absent:
            raise SetupError(f"DeepFace needs {', '.join(absent)} in {folder}: put them there")

    def _weights(self) -> Path:
        home = Path(os.environ.get("DEEPFACE_HOME") or Path.home())
        return home / ".deepface" / "weights"

    def _check(self) -> None:
        from deepface.commons.backend_utils import get_backend_engine

        runs_on = get_backend_engine()
        if runs_on != self._engine:
            raise SetupError(
                f"DeepFace already runs on {runs_on} in this process, and has one engine only"
            )
        set_home = os.environ.get("DEEPFACE_HOME")
        if self._home is not None and set_home != str(self._home):
            raise SetupError(
                f"DeepFace already has its weights under {set_home or 'the home folder'}, and has"
                " one place only"
            )

    def _set(self, name: str, value: str) -> None:
        if os.environ.setdefault(name, value) != value:
            raise SetupError(f"${name} is {os.environ[name]!r}, and DeepFace is to have {value!r}")


def _files_of(backend: str) -> tuple[str, ...]:
    own = (f"{backend}-face.pt",) if backend.startswith("yolo") else ()
    return (*own, *_DETECTOR_FILES.get(backend, ()), *_CASCADES)


def _cascades() -> Path:
    import cv2

    return Path(cv2.__file__).parent / "data"


def _face(area: Mapping[str, Any], score: float, width: int, height: int) -> DetectedFace | None:
    left, top = max(0, int(area["x"])), max(0, int(area["y"]))
    right = min(width, int(area["x"]) + int(area["w"]))
    bottom = min(height, int(area["y"]) + int(area["h"]))
    if right <= left or bottom <= top:
        return None
    box = Box(x=left, y=top, width=right - left, height=bottom - top)
    # It tells left and right as the person does; we as the image.
    eyes = area.get("right_eye"), area.get("left_eye")
    points = _points(box, eyes if all(eyes) else None)
    nose = area.get("nose")
    corners = area.get("mouth_right"), area.get("mouth_left")
    told = (
        points[0],
        points[1],
        nose or points[2],
        corners[0] or points[3],
        corners[1] or points[4],
    )
    landmarks = tuple((float(x), float(y)) for x, y in told)
    return DetectedFace(box=box, score=min(1.0, max(0.0, float(score))), landmarks=landmarks)


def _points(box: Box, eyes: Any) -> list[tuple[float, float]]:
    """Five points in the proportions of FER+'s framing, along the line of the eyes."""
    side = float(max(box.width, box.height))
    if eyes is None:
        middle = np.array([box.x + box.width / 2, box.y + box.height / 2 - side * 0.11])
        across = np.array([side * BETWEEN_EYES, 0.0])
    else:
        middle = (np.asarray(eyes[0], float) + np.asarray(eyes[1], float)) / 2
        across = np.asarray(eyes[1], float) - np.asarray(eyes[0], float)
    down = np.array([-across[1], across[0]]) / BETWEEN_EYES * EYES_TO_MOUTH
    places = (middle - across / 2, middle + across / 2, middle + 0.55 * down,
              middle + down - 0.4 * across, middle + down + 0.4 * across)  # fmt: skip
    return [(float(x), float(y)) for x, y in places]


def _guarded(what: str, build: Any) -> Any:
    try:
        return build()
    except (ImportError, ValueError, OSError) as error:
        # Of the machine: packages and files, nothing of a person.
        raise SetupError(f"{what} cannot be used: {str(error).strip()[:300]}") from error
