from __future__ import annotations

import struct
import wave
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from affectgraph.perceivers import media
from affectgraph.perceivers.errors import MediaError
from affectgraph.perceivers.media import SAMPLE_RATE, AudioFile, ImageFile


def write_wav(path: Path, seconds: float, rate: int = SAMPLE_RATE, channels: int = 1) -> Path:
    t = np.arange(int(seconds * rate)) / rate
    tone = (0.3 * np.sin(2 * np.pi * 220 * t) * 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.repeat(tone, channels).tobytes())
    return path


def test_an_image_opens_as_rgb(tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    Image.new("L", (64, 48), 128).save(path)
    assert ImageFile(path).pixels.shape == (48, 64, 3)


def test_a_photo_is_turned_upright(tmp_path: Path) -> None:
    path = tmp_path / "side.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (64, 40)).save(path, exif=exif)
    assert ImageFile(path).pixels.shape == (64, 40, 3)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "no such file"),
        (b"", "empty"),
        (b"dear diary", "not an image"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "image"),
    ],
)
def test_a_bad_image_is_named_with_its_fault(
    tmp_path: Path, content: bytes | None, fault: str
) -> None:
    path = tmp_path / "photo.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MediaError, match=rf"photo\.jpg: .*{fault}"):
        _ = ImageFile(path).pixels


def test_an_image_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(MediaError, match="cannot be read"):
        _ = ImageFile(path).pixels


def test_an_image_of_one_pixel_is_too_small(tmp_path: Path) -> None:
    path = tmp_path / "dot.png"
    Image.new("RGB", (1, 1)).save(path)
    with pytest.raises(MediaError, match=r"1x1 pixels, at least 32x32"):
        _ = ImageFile(path).pixels


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2), (8_000, 1)])
def test_sound_comes_as_mono_at_16_khz(tmp_path: Path, rate: int, channels: int) -> None:
    audio = AudioFile(write_wav(tmp_path / "a.wav", 1.0, rate, channels))
    assert audio.seconds == pytest.approx(1.0, abs=0.01)
    assert audio.samples.dtype == np.float32
    assert 0.2 < float(np.abs(audio.samples).max()) <= 1.0


def test_a_wav_cut_short_is_refused(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "cut.wav", 1.0)
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(MediaError, match=r"cut\.wav: the sound is cut short: 8,956 of 32,000"):
        _ = AudioFile(path).samples


def test_a_wav_without_samples_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "head.wav"
    path.write_bytes(b"RIFF" + struct.pack("<I", 4) + b"WAVE")
    with pytest.raises(MediaError, match="cut short"):
        _ = AudioFile(path).samples


def test_a_text_file_is_no_sound(tmp_path: Path) -> None:
    path = tmp_path / "note.wav"
    path.write_text("dear diary")
    with pytest.raises(MediaError, match=r"note\.wav: the sound cannot be read"):
        _ = AudioFile(path).samples


def test_too_short_a_sound_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"0\.05 seconds"):
        _ = AudioFile(write_wav(tmp_path / "click.wav", 0.05)).samples


def test_too_long_a_sound_is_refused_before_it_is_decoded_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, resampler = list[int](), av.AudioResampler

    class Counting:
        def __init__(self, **options: Any) -> None:
            self._inner = resampler(**options)

        def resample(self, frame: av.AudioFrame | None) -> Any:
            given.append(0 if frame is None else frame.samples)
            return self._inner.resample(frame)

    monkeypatch.setattr(av, "AudioResampler", Counting)
    monkeypatch.setattr(media, "MAX_SECONDS", 2.0)
    with pytest.raises(MediaError, match=r"long\.wav: more than 2 seconds of sound"):
        _ = AudioFile(write_wav(tmp_path / "long.wav", 30.0)).samples
    assert 2 * SAMPLE_RATE < sum(given) < 3 * SAMPLE_RATE
    assert AudioFile(write_wav(tmp_path / "good.wav", 2.0)).seconds == pytest.approx(2.0)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="not a file"):
        _ = AudioFile(tmp_path).samples
