"""Bad input on the command line: one line with the file and the fault, exit code 2."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import wave
from pathlib import Path

import pytest
from PIL import Image

from affectgraph.orchestrator.cli import app
from affectgraph.orchestrator.cli.inputs import make_turn
from affectgraph.perceivers.turn import Consent


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["affectgraph", *arguments])
    with pytest.raises(SystemExit) as end:
        app.main()
    assert isinstance(end.value.code, int)
    return end.value.code


def text_named_jpg(folder: Path) -> Path:
    path = folder / "note.jpg"
    path.write_text("dear diary")
    return path


def one_pixel(folder: Path) -> Path:
    path = folder / "dot.png"
    Image.new("RGB", (1, 1)).save(path)
    return path


def truncated_wav(folder: Path) -> Path:
    path = folder / "cut.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(b"\0" * 32_000)
    path.write_bytes(path.read_bytes()[:5_000])
    return path


def a_megabyte(folder: Path) -> Path:
    path = folder / "long.txt"
    path.write_text("word " * 200_000)
    return path


def broken_utf8(folder: Path) -> Path:
    path = folder / "broken.txt"
    path.write_bytes(b"I am \xff\xfe sad")
    return path


@pytest.mark.parametrize(
    ("option", "make", "fault"),
    [
        ("--image", lambda folder: folder / "gone.jpg", "no such file"),
        ("--audio", lambda folder: folder / "gone.wav", "no such file"),
        ("--image", text_named_jpg, "not an image"),
        ("--image", one_pixel, "1x1 pixels"),
        ("--audio", truncated_wav, "cut short"),
        ("--video", lambda folder: folder / "gone.mp4", "no such file"),
        ("--video", text_named_jpg, "the video cannot be read"),
        ("--text-file", lambda folder: folder / "gone.txt", "no such file"),
        ("--text-file", a_megabyte, "at most 20,000 characters"),
        ("--text-file", broken_utf8, "not valid UTF-8 at byte 5"),
    ],
)
def test_a_bad_file_is_named_with_its_fault(
    option: str,
    make: object,
    fault: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert callable(make)
    path = make(tmp_path)
    before = sorted(tmp_path.iterdir())
    memory = tmp_path / "memory"
    code = run(monkeypatch, "run", option, str(path), "--memory", str(memory))
    shown = capsys.readouterr()
    assert code == 2
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert str(path) in shown.err
    assert fault in shown.err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ([], "empty"),
        (["--text", ""], "empty"),
        (["--text", "  "], "empty"),
        (["--text", "x" * 20_001], "20,001 characters"),
        (["--text", "a", "--text-file", "b"], "not both"),
    ],
)
def test_a_message_that_cannot_be_taken_is_one_line(
    arguments: list[str],
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, "run", *arguments) == 2
    shown = capsys.readouterr().err
    assert fault in shown
    assert shown.count("\n") == 1


def test_standard_input_is_checked_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff")))
    assert run(monkeypatch, "run", "--text", "-") == 2
    assert "standard input: not valid UTF-8 at byte 0" in capsys.readouterr().err


def test_bytes_that_are_not_utf8_in_an_argument(tmp_path: Path) -> None:
    command: list[str | bytes] = [
        sys.executable,
        "-m",
        "affectgraph.orchestrator.cli",
        "run",
        "--text",
        b"ah \xff",
    ]
    done = subprocess.run(
        command, capture_output=True, cwd=tmp_path, env={**os.environ, "PYTHONUTF8": "1"}
    )
    assert done.returncode == 2
    assert b"not valid UTF-8 at character 3" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "fault"),
    [
        (["run", "--text", "hi", "--order", "response,strategy"], 1, "'user_emotion' is missing"),
        (["run", "--text", "hi", "--base-url", "http://x/v1"], 1, "give --model"),
        (["models", "pull", "gpt-9"], 1, "no model 'gpt-9'"),
        (["run", "--loud"], 2, "No such option"),
    ],
)
def test_a_wrong_setting_is_one_line(
    arguments: list[str],
    code: int,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, *arguments) == code
    assert fault in capsys.readouterr().err


def test_handing_in_a_file_is_consent_unless_withheld() -> None:
    def consent(*withheld: str) -> Consent:
        return make_turn(
            user="a",
            thread="t",
            text="hi",
            images=[Path("i.png")],
            audio=None,
            withheld=set(withheld),
        ).consent

    assert consent() == Consent(camera=True, microphone=False, memory=True)
    assert consent("camera", "memory") == Consent()


def test_a_video_is_seen_and_heard_unless_either_is_withheld() -> None:
    def consent(*withheld: str) -> Consent:
        return make_turn(
            user="a",
            thread="t",
            text="",
            images=[],
            audio=None,
            video=Path("v.mp4"),
            withheld=set(withheld),
        ).consent

    assert consent() == Consent(camera=True, microphone=True, memory=True)
    assert consent("microphone") == Consent(camera=True, memory=True)
    assert consent("camera") == Consent(microphone=True, memory=True)
