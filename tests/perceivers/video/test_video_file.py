"""Videos as handles: what is taken, what is refused, and how pictures come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from affectgraph.perceivers import media
from affectgraph.perceivers.errors import MediaError
from affectgraph.perceivers.media import AudioFile, VideoFile
from affectgraph.perceivers.turn import Consent, Turn

Film = Callable[..., Path]
Pixels = NDArray[np.uint8]


def shades(count: int, height: int = 48, width: int = 64) -> list[Pixels]:
    """Ever brighter pictures, the left half darker than the right."""
    ramp = np.linspace(30, 220, count).astype(np.uint8)
    pictures = [np.full((height, width, 3), shade, np.uint8) for shade in ramp]
    for picture in pictures:
        picture[:, : width // 2] //= 2
    return pictures


def tone(seconds: float) -> NDArray[np.float32]:
    at = np.arange(int(seconds * 16_000)) / 16_000
    return (0.3 * np.sin(2 * np.pi * 220 * at)).astype(np.float32)


def test_a_video_says_what_it_holds(film: Film) -> None:
    info = VideoFile(film(shades(20), sound=tone(2.0))).info
    assert (info.width, info.height, info.frames, info.has_sound) == (64, 48, 20, True)
    assert info.seconds == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize(("fps", "count"), [(10.0, 20), (5.0, 10), (2.0, 4), (60.0, 20)])
def test_pictures_come_in_order_at_the_rate_that_was_asked_for(
    film: Film, fps: float, count: int
) -> None:
    frames = list(VideoFile(film(shades(20))).frames(fps))
    assert len(frames) == count
    times = np.array([frame.at for frame in frames])
    assert times[0] == 0
    assert np.diff(times) == pytest.approx(np.full(count - 1, 1 / min(fps, 10.0)), abs=0.01)
    means = [float(frame.pixels.mean()) for frame in frames]
    assert means == sorted(means)
    assert frames[0].pixels.shape == (48, 64, 3)


def test_pictures_are_decoded_as_they_are_asked_for(film: Film) -> None:
    frames = VideoFile(film(shades(20))).frames(10)
    assert next(frames).at == 0
    assert next(frames).at == pytest.approx(0.1)


def test_large_pictures_are_scaled_down(film: Film) -> None:
    video = VideoFile(film(shades(3, 120, 160)))
    assert next(video.frames(5, max_side=80)).pixels.shape == (60, 80, 3)
    assert (video.info.width, video.info.height) == (160, 120)


@pytest.mark.parametrize(("rotation", "dark"), [(90, "below"), (-90, "above"), (180, "right")])
def test_a_video_is_turned_upright(film: Film, rotation: int, dark: str) -> None:
    video = VideoFile(film(shades(3), rotation=rotation))
    pixels = next(video.frames()).pixels
    assert pixels.shape[:2] == (video.info.height, video.info.width)
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    halves = {
        "above": pixels[:height], "below": pixels[height:],
        "left": pixels[:, :width], "right": pixels[:, width:],
    }  # fmt: skip
    means = {name: float(half.mean()) for name, half in halves.items()}
    assert min(means, key=means.__getitem__) == dark


def test_its_sound_is_an_audio_file(film: Film) -> None:
    video = VideoFile(film(shades(20), sound=tone(2.0)))
    assert video.sound == AudioFile(video.path)
    assert video.sound is not None
    assert video.sound.seconds == pytest.approx(2.0, abs=0.15)
    assert VideoFile(film(shades(5), name="silent.mp4")).sound is None


@pytest.mark.parametrize(
    ("content", "fault"),
    [(None, "no such file"), (b"", "empty"), (b"dear diary" * 50, "cannot be read")],
)
def test_a_bad_video_is_named_with_its_fault(
    tmp_path: Path, content: bytes | None, fault: str
) -> None:
    path = tmp_path / "film.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MediaError, match=rf"film\.mp4: .*{fault}"):
        _ = VideoFile(path).info


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_video_cut_short_is_refused(film: Film, share: float) -> None:
    path = film(shades(20, 120, 160))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(MediaError, match=r"film\.mp4"):
        _ = VideoFile(path).info


def test_a_sound_file_has_no_pictures(film: Film, tmp_path: Path) -> None:
    import wave

    path = tmp_path / "note.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(32_000))
    with pytest.raises(MediaError, match="no pictures"):
        _ = VideoFile(path).info


def test_a_video_beyond_the_limits_is_refused(film: Film, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film(shades(30))
    monkeypatch.setattr(media, "MAX_SECONDS", 2.0)
    with pytest.raises(MediaError, match="more than 2 seconds"):
        _ = VideoFile(path).info
    monkeypatch.setattr(media, "MAX_SECONDS", 120.0)
    monkeypatch.setattr(media, "MAX_FRAME_PIXELS", 1000)
    with pytest.raises(MediaError, match="64x48 pixels"):
        _ = VideoFile(path).info
    monkeypatch.setattr(media, "MAX_VIDEO_BYTES", 1000)
    with pytest.raises(MediaError, match="MB"):
        _ = VideoFile(path).info


def test_the_check_of_a_long_video_takes_no_more_for_each_picture(
    film: Film, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = list[int]()

    def counting(of: Callable[..., float]) -> Callable[..., float]:
        def call(*values: Any) -> float:
            compared.append(len(values) if len(values) > 1 else len(values[0]))
            return of(*values)

        return call

    path = film(shades(300))
    monkeypatch.setattr(media, "max", counting(max), raising=False)
    monkeypatch.setattr(media, "min", counting(min), raising=False)
    assert VideoFile(path).info.frames == 300
    assert sum(compared) < 300 * 10


def test_a_video_whose_pictures_have_no_times_is_refused(film: Film) -> None:
    path = film(shades(10), name="raw.h264", codec="libx264")
    with pytest.raises(MediaError, match=r"raw\.h264: its pictures have no times"):
        _ = VideoFile(path).info


class Counted:
    """A container that counts the packets that are decoded."""

    def __init__(self, container: Any) -> None:
        self._container = container
        self.streams = container.streams
        self.decoded = 0

    def __enter__(self) -> Counted:
        return self

    def __exit__(self, *error: object) -> None:
        self._container.close()

    def demux(self, stream: Any) -> Iterator[Any]:
        for packet in self._container.demux(stream):
            yield SimpleNamespace(
                pts=packet.pts, time_base=packet.time_base, decode=partial(self._decode, packet)
            )

    def _decode(self, packet: Any) -> Any:
        self.decoded += 1
        return packet.decode()


def test_pictures_that_are_too_large_are_refused_before_one_is_decoded(
    film: Film, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, opened, given = film(shades(10)), av.open, list[Counted]()

    def open_counted(*arguments: Any, **options: Any) -> Counted:
        given.append(Counted(opened(*arguments, **options)))
        return given[-1]

    monkeypatch.setattr(av, "open", open_counted)
    assert VideoFile(path).info.frames == 10
    assert given.pop().decoded >= 10
    monkeypatch.setattr(media, "MAX_FRAME_PIXELS", 1000)
    with pytest.raises(MediaError, match="64x48 pixels"):
        _ = VideoFile(path).info
    assert given.pop().decoded == 0


@pytest.mark.parametrize("name", ["late.mp4", "late.mkv"])
@pytest.mark.parametrize("delay", [0.0, 0.5])
def test_it_tells_when_its_sound_begins(film: Film, name: str, delay: float) -> None:
    video = VideoFile(film(shades(20), sound=tone(1.0), sound_at=delay, name=name))
    # A codec's first 64 ms may count or not.
    assert video.sound_delay == pytest.approx(delay, abs=0.07)
    assert VideoFile(film(shades(5), name=f"silent-{name}")).sound_delay == 0


def test_a_rate_of_nothing_is_refused(film: Film) -> None:
    with pytest.raises(ValueError, match="fps"):
        next(VideoFile(film(shades(3))).frames(0))


def test_a_video_alone_is_a_turn_and_prints_as_a_path(film: Film) -> None:
    path = film(shades(5), sound=tone(0.5))
    turn = Turn.model_validate({"video": str(path)})
    assert turn.model_dump(mode="json")["video"] == str(path)
    assert turn.shows
    assert turn.sounds
    assert turn.sound == AudioFile(path)


def test_a_voice_note_comes_before_the_sound_of_the_video(film: Film) -> None:
    path = film(shades(5), sound=tone(0.5))
    turn = Turn.model_validate({"video": path, "audio": "note.wav"})
    assert turn.sound == AudioFile("note.wav")


def test_media_are_checked_but_sound_only_where_it_may_be_heard(film: Film, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"nothing" * 100)
    with pytest.raises(MediaError, match="bad"):
        Turn(video=VideoFile(bad)).check_media()
    # Too little sound to be taken, in a video whose pictures are good.
    short = film(shades(20), sound=tone(0.07))
    Turn(video=VideoFile(short)).check_media()
    with pytest.raises(MediaError, match="seconds of sound"):
        Turn(video=VideoFile(short), consent=Consent(microphone=True)).check_media()


def test_a_photo_is_a_video_of_one_picture_and_too_short(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (64, 48)).save(path)
    with pytest.raises(MediaError, match="seconds of pictures"):
        _ = VideoFile(path).info
