"""Models of other libraries by name: docs/adapters.md builds, and options reach the parts."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from affectgraph.orchestrator.spec import SpecError, parse_spec
from affectgraph.perceivers.adapters import (
    Checkpoint,
    DeepFaceDetector,
    DeepFaceEmotion,
    OpenAIWhisper,
    TransformersImage,
    TransformersSpeech,
    TransformersText,
)
from affectgraph.perceivers.adapters.image import ImageClassifier
from affectgraph.perceivers.device import Device
from affectgraph.perceivers.face import FaceEmotion, MTCNNDetector
from affectgraph.perceivers.labels import FERPLUS_8
from affectgraph.reasoners.openvocabulary import OpenVocabulary

PAGE = (Path(__file__).parents[3] / "docs" / "adapters.md").read_text()
YAML = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
V1 = "agent: affectgraph/v1\nmemory: null\nthreads: null\nperceivers:\n"


def made(text: str, folder: Path) -> Any:
    """The only perceiver of a spec; nothing is loaded."""
    (perceiver,) = (
        parse_spec(V1 + text, folder=folder, environ={}).build(environ={}).parts.perceivers
    )
    return perceiver


@pytest.mark.parametrize("text", YAML, ids=range(len(YAML)))
def test_a_snippet_of_the_page_builds_and_comes_back(text: str, tmp_path: Path) -> None:
    spec = parse_spec(text, folder=tmp_path, environ={})
    spec.build(environ={})
    assert parse_spec(spec.to_yaml(), folder=tmp_path, environ={}) == spec


@pytest.mark.parametrize("snippet", PYTHON, ids=range(len(PYTHON)))
def test_a_python_snippet_of_the_page_runs(snippet: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", snippet], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr


def test_the_options_of_a_text_model_reach_it(tmp_path: Path) -> None:
    options = (
        "  - text.transformers.v1: {max_tokens: 64, checkpoint: {folder: ./mine, temperature: 2,"
        " label_set: ferplus-8, labels: {A: happiness, B: {fear: 0.5, anger: 0.5}, C: null},"
        " device: {device: 'cuda:1', precision: fp16}}}\n"
    )
    reader = made(options, tmp_path)
    assert isinstance(reader, TransformersText)
    assert reader._classifier.checkpoint == Checkpoint(
        tmp_path / "mine",
        label_set=FERPLUS_8,
        labels={"A": "happiness", "B": {"fear": 0.5, "anger": 0.5}, "C": None},
        temperature=2,
        device=Device(device="cuda:1", precision="fp16"),
    )


def test_a_folder_alone_is_enough(tmp_path: Path) -> None:
    for short in ("./mine", "{checkpoint: mine}", "{checkpoint: {folder: mine}}"):
        reader = made(f"  - text.transformers: {short}\n", tmp_path)
        assert reader._classifier.checkpoint == Checkpoint(tmp_path / "mine")


def test_a_device_may_be_a_word(tmp_path: Path) -> None:
    reader = made("  - face.transformers.v1: {checkpoint: {folder: m, device: cuda}}\n", tmp_path)
    assert isinstance(reader, TransformersImage)
    assert isinstance(reader._reader, ImageClassifier)
    assert reader._reader.checkpoint.device == Device(device="cuda")
    assert isinstance(reader._detector, MTCNNDetector)


def test_detectors_and_heads_may_be_mixed(tmp_path: Path) -> None:
    ours = made("  - face.ferplus.v1: {detector: {deepface.v1: yunet}}\n", tmp_path)
    assert isinstance(ours, FaceEmotion)
    theirs = made("  - face.deepface.v1: {detector: mtcnn.v1, home: ./weights}\n", tmp_path)
    assert isinstance(theirs, DeepFaceEmotion)
    assert isinstance(theirs._detector, MTCNNDetector)
    alone = made("  - face.deepface.v1: {home: ./weights}\n", tmp_path)
    assert isinstance(alone._detector, DeepFaceDetector)
    assert alone._reader._library._home == tmp_path / "weights"


def test_openai_s_whisper_transcribes(tmp_path: Path) -> None:
    options = "  - speech.whisper.v1: {transcriber: {whisper.openai.v1: ./small.en.pt}}\n"
    transcriber = made(options, tmp_path)._transcriber
    assert isinstance(transcriber, OpenAIWhisper)
    assert transcriber.name == "whisper-small.en"


def test_a_voice_model_with_another_transcriber(tmp_path: Path) -> None:
    options = (
        "  - speech.transformers.v1: {checkpoint: {folder: m, device: cuda}, window: 4,"
        " transcriber: {whisper.openai.v1: ./small.en.pt}}\n"
    )
    speech = made(options, tmp_path)
    assert isinstance(speech, TransformersSpeech)
    assert speech._sound._window == 4
    assert speech._sound._classifier.checkpoint.device.on_cuda
    assert isinstance(speech._transcriber, OpenAIWhisper)


def test_the_open_vocabulary_takes_the_spec_s_encoder(tmp_path: Path) -> None:
    options = (
        "  - text.openvocabulary.v1: {backend: {openai.v1: {base_url: 'http://x/v1', model: m}}}\n"
    )
    reader = made(options, tmp_path)
    assert isinstance(reader, OpenVocabulary)
    assert type(reader._encoder).__name__ == "MiniLMEncoder"


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ("text.transformers.v1: {checkpoint: {folder: m, device: tpu}}", "device"),
        ("text.transformers.v1: {checkpoint: {folder: m, device: {precision: fp8}}}", "precision"),
        ("text.transformers.v1: {checkpoint: {folder: m, temperature: 0}}", "greater than 0"),
        ("text.transformers.v1: {checkpoint: {folder: m, temperature: true}}", "not a yes or no"),
        ("text.transformers.v1: {checkpoint: {folder: m, label_set: ekman7}}", "mean ekman-7"),
        ("text.transformers.v1: {checkpoint: {folder: m, temprature: 2}}", "mean temperature"),
        ("text.transformers.v1: {checkpoint: {temperature: 2}}", "needs the option folder"),
        (
            "text.transformers.v1: {checkpoint: {folder: m, device: {precison: fp16}}}",
            "mean precision",
        ),
        ("text.transformers.v1: {folder: m}", "no option 'folder'"),
        ("text.transformers.v1: {}", "checkpoint"),
        ("face.deepface.v1: {engine: jax}", "engine"),
        ("face.ferplus.v1: {detector: {deepface.v1: dlbi}}", "backend"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(options: str, fault: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=fault):
        made(f"  - {options}\n", tmp_path)
