"""A turn with a video, through the whole graph: whose consent reaches which perceiver."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from affectgraph.orchestrator import Agent, Consent, Parts, Turn
from affectgraph.orchestrator.spec import parse_spec
from affectgraph.orchestrator.testing.fakes import FakePerceiver
from affectgraph.orchestrator.testing.reasoner import ScriptedReasoner
from affectgraph.perceivers.affect import Reading
from affectgraph.perceivers.contracts import Perceiver
from affectgraph.perceivers.errors import MediaError
from affectgraph.perceivers.face import MTCNNDetector
from affectgraph.perceivers.media import ImageFile, VideoFile
from affectgraph.perceivers.models import ModelStore
from affectgraph.perceivers.video import VideoEmotion

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "video.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
YAML = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def film(tmp_path: Path) -> VideoFile:
    """One second of the portrait, moving to the side, with a tone."""
    path, portrait = tmp_path / "me.mp4", ImageFile(ROOT / "examples" / "portrait.jpg").pixels
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.height, video.width = portrait.shape[:2]
        video.pix_fmt, video.bit_rate = "yuv420p", 4_000_000
        sound = container.add_stream("aac", rate=16_000)
        for number in range(10):
            pixels = np.ascontiguousarray(np.roll(portrait, 3 * number, axis=1))
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        tone = 0.2 * np.sin(np.arange(16 * 1024) / 12)
        for at in range(0, len(tone), 1024):
            part = av.AudioFrame.from_ndarray(
                tone[None, at : at + 1024].astype(np.float32), format="fltp", layout="mono"
            )
            part.sample_rate, part.pts = 16_000, at
            container.mux(sound.encode(part))
        container.mux(sound.encode())
    return VideoFile(path)


async def readings(turn: Turn, face: Perceiver) -> dict[str, Reading]:
    speech = FakePerceiver("speech", "joy")
    agent = Agent(Parts(perceivers=(face, speech), reasoner=ScriptedReasoner()))
    async with agent:
        reply = await agent.respond(turn)
    return {reading.modality: reading for reading in reply.readings}


@pytest.mark.models
async def test_a_turn_with_nothing_but_a_video_is_read(
    film: VideoFile, requires_model: Callable[[str], Path], model_store: ModelStore
) -> None:
    requires_model("mtcnn")
    face = VideoEmotion(detector=MTCNNDetector(model_store, min_face=40))
    consent = Consent(camera=True, microphone=True)
    told = await readings(Turn(video=film, consent=consent), face)
    affect, course = told["face"].affect, told["face"].course
    assert affect is not None
    assert affect.top == "happiness"
    assert course is not None
    assert course.read == course.looked == 5
    assert told["speech"].affect is not None


@pytest.mark.parametrize(
    ("camera", "microphone"), [(True, False), (False, True), (False, False), (True, True)]
)
async def test_pictures_and_sound_have_a_consent_each(
    film: VideoFile, camera: bool, microphone: bool
) -> None:
    consent = Consent(camera=camera, microphone=microphone)
    told = await readings(
        Turn(text="hi", video=film, consent=consent), FakePerceiver("face", "joy")
    )
    for modality, agreed in (("face", camera), ("speech", microphone)):
        reading = told[modality]
        assert (reading.affect is not None) == agreed
        if not agreed:
            assert reading.abstention is not None
            assert reading.abstention.reason == "no-consent"


async def test_a_video_that_cannot_be_used_refuses_the_turn(tmp_path: Path) -> None:
    path = tmp_path / "me.mp4"
    path.write_bytes(b"dear diary" * 50)
    with pytest.raises(MediaError, match=r"me\.mp4: the video cannot be read"):
        await readings(Turn(video=VideoFile(path)), FakePerceiver("face", "joy"))


@pytest.mark.parametrize("snippet", PYTHON, ids=range(len(PYTHON)))
def test_a_python_snippet_of_the_page_runs(snippet: str) -> None:
    shown = snippet + "print(perceiver.modality, turn.shows, turn.sounds)"
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["face", "True", "True"]


@pytest.mark.parametrize("text", YAML, ids=range(len(YAML)))
def test_a_yaml_snippet_of_the_page_builds(text: str, tmp_path: Path) -> None:
    spec = parse_spec(text, folder=tmp_path, environ={})
    perceivers = spec.build(environ={}).parts.perceivers
    (video,) = [part for part in perceivers if isinstance(part, VideoEmotion)]
    assert video.models
    assert parse_spec(spec.to_yaml(), folder=tmp_path, environ={}) == spec
