from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from affectgraph.orchestrator.spec import parse_spec
from affectgraph.reasoners.joint import SmesJoint
from affectgraph.reasoners.training import reasoner

DOCUMENT = (Path(__file__).parents[3] / "docs" / "training.md").read_text()
COMMANDS = re.findall(r"^affectgraph train reasoner ([^#\n]*)", DOCUMENT, re.MULTILINE)
SNIPPETS = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_understood(command: str) -> None:
    given = reasoner.parser().parse_args(shlex.split(command.replace("$DATA", "data")))
    assert given.data == Path("data")


@pytest.mark.local_lm
def test_the_snippets_run(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="the extra `train` is not installed")
    pytest.importorskip("peft")
    from affectgraph.reasoners.training.merge import merge, write_adapter
    from affectgraph.reasoners.training.network import Adapters, Network

    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    adapter = tmp_path / "run" / "adapter.safetensors"
    network = Network(tiny_base, adapters=Adapters(rank=2, alpha=4))
    write_adapter(network.learning, adapter, rank=2, alpha=4, about={})
    merge(tiny_base, adapter, tmp_path / "run" / "merged")
    assert len(SNIPPETS) == 2
    for snippet in SNIPPETS:
        exec(compile(snippet, "docs/training.md", "exec"), {})  # noqa: S102 - our own document
    assert (tmp_path / "run" / "peft" / "adapter_config.json").is_file()


def test_the_spec_builds(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)
    spec = parse_spec(text, folder=tmp_path, environ={})
    reasoner_ = spec.build(environ={}).parts.reasoner
    assert isinstance(reasoner_, SmesJoint)
