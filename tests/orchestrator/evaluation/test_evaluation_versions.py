"""What predictions are kept under: whatever may change them makes another version."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

import pytest

from affectgraph import reasoners as _reasoners
from affectgraph.orchestrator.evaluation import Bench
from affectgraph.orchestrator.evaluation.fusion_tasks import encoded
from affectgraph.orchestrator.evaluation.subjects import Subjects, sources, version
from affectgraph.orchestrator.testing import HashEmbedder, ScriptedReasoner
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.video import VideoEmotion

READER = "tests.orchestrator.evaluation.evaluation_helpers:StoredReader"
SPEC = """\
agent: affectgraph/v1
imports: [tests]
perceivers:
  - {reader}
memory: null
"""

Make = Callable[..., Bench]


def with_checkpoint(folder: Path, content: str, named: str = "./model") -> Subjects:
    """A reader of which the spec names a checkpoint beside itself."""
    (folder / "model").mkdir(parents=True, exist_ok=True)
    (folder / "model" / "model.safetensors").write_text(content)
    file = folder / "mine.yaml"
    file.write_text(SPEC.format(reader=f"{{{READER}: {{checkpoint: {named}}}}}"))
    return Subjects.of(file)


def test_a_perceiver_rests_on_the_rooms_that_it_reads_with() -> None:
    """The default face part stands in ``video`` and reads with ``face``."""
    names = {"/".join(file.parts[-3:]) for file in sources(VideoEmotion())}
    for used in ("face/weights/ferplus.onnx", "face/weights/readable.onnx",
                 "perceivers/face/quality.py", "perceivers/video/emotion.py"):  # fmt: skip
        assert used in names
    assert not {name for name in names if "/training/" in name or "/corpora/" in name}
    assert not {name for name in names if name.endswith(".md")}


def test_other_weights_or_another_source_are_another_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "a_part_of_ones_own"
    (package / "weights").mkdir(parents=True)
    (package / "__init__.py").write_text("class Mine: ...\n")
    (package / "rules.py").write_text("LIMIT = 1\n")
    (package / "weights" / "mine.npz").write_text("1")
    monkeypatch.syspath_prepend(str(tmp_path))
    part = import_module(package.name).Mine()
    try:
        versions = {version(part)}
        (package / "rules.py").write_text("LIMIT = 2\n")
        versions.add(version(part))
        (package / "weights" / "mine.npz").write_text("2")
        versions.add(version(part))
        (package / "weights" / "mine.md").write_text("a card says nothing")
        versions.add(version(part))
    finally:
        del sys.modules[package.name]
    assert len(versions) == 3


@pytest.mark.parametrize("named", ["./model", "{folder: model}", "'${HERE:-model}'"])
def test_the_same_words_for_another_checkpoint_are_another_version(
    tmp_path: Path, named: str
) -> None:
    one = with_checkpoint(tmp_path / "one", "weights", named)
    two = with_checkpoint(tmp_path / "two", "others!", named)
    assert one.options == two.options
    assert one.version("text") != two.version("text")


def test_a_checkpoint_that_was_written_over_is_another_version(tmp_path: Path) -> None:
    subjects = with_checkpoint(tmp_path, "weights")
    file = tmp_path / "model" / "model.safetensors"
    before, when = subjects.version("text"), file.stat()
    file.write_text("others!")
    os.utime(file, ns=(when.st_atime_ns, when.st_mtime_ns))
    assert subjects.version("text") != before


def test_other_weights_of_the_reasoners_room_are_another_version_of_any_reasoner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_bench: Make
) -> None:
    room = tmp_path / "reasoners"
    (room / "weights").mkdir(parents=True)
    monkeypatch.setattr(_reasoners, "__file__", str(room / "__init__.py"))
    subjects = replace(make_bench().subjects, reasoner=ScriptedReasoner())
    head = room / "weights" / "head.safetensors"
    told = []
    for content in ("one", "two", "two"):
        head.write_text(content)
        told.append(subjects.version("reasoner"))
        (room / "weights" / "head.md").write_text(f"a card after {content}")
    assert told[0] != told[1] == told[2]


def test_a_checkpoint_that_was_moved_is_the_same(tmp_path: Path) -> None:
    one, two = (with_checkpoint(tmp_path / name, "weights") for name in ("one", "two"))
    assert one.version("text") == two.version("text")


def test_without_an_encoder_there_is_no_version_of_it(make_bench: Make) -> None:
    subjects = replace(make_bench().subjects, embedder=None)
    with pytest.raises(SetupError, match="no encoder"):
        subjects.version("encoder")


class Counting(HashEmbedder):
    """Counts the texts that it embeds."""

    def __init__(self) -> None:
        super().__init__()
        self.texts = 0

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.texts += len(texts)
        return await super().embed(texts)


async def test_words_of_an_encoder_with_other_options_are_encoded_again(make_bench: Make) -> None:
    bench, embedder = make_bench(), Counting()

    def under(entry: str) -> Bench:
        options = MappingProxyType({"encoder": entry})
        return replace(bench, subjects=replace(bench.subjects, embedder=embedder, options=options))

    texts = ["one", "two", "three"]
    for entry, seen in (("16 tokens", 3), ("16 tokens", 3), ("256 tokens", 6)):
        features = await encoded(under(entry), "words", texts)
        assert features.shape == (3, 64)
        assert embedder.texts == seen
