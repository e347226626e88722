from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from affectgraph.perceivers.errors import ModelCorruptError
from affectgraph.reasoners.heads.strategy_lines import (
    DENSE,
    HISTORY,
    STRATEGY_COUNT,
    LineVector,
    Role,
)
from affectgraph.reasoners.heads.strategy_net import StrategyNet

Tensors = dict[str, NDArray[Any]]


def _tensors(members: int = 2, hidden: int = 3, wide: int = 4, k: int = 5) -> Tensors:
    draw = np.random.default_rng(0)
    line = k + DENSE
    shapes = {
        "mean": (768,),
        "basis": (768, k),
        "gru.input": (members, line + 10, 3 * hidden),
        "gru.input_bias": (members, 3 * hidden),
        "gru.state": (members, hidden, 3 * hidden),
        "gru.state_bias": (members, 3 * hidden),
        "text.weight": (members, hidden + 2 * line, wide),
        "text.bias": (members, wide),
        "history.weight": (members, HISTORY, wide),
        "history.bias": (members, wide),
        "mixed.weight": (members, 2 * wide, wide),
        "mixed.bias": (members, wide),
        "plain.weight": (members, 2 * wide, STRATEGY_COUNT),
        "plain.bias": (members, STRATEGY_COUNT),
        "bent.weight": (members, wide, STRATEGY_COUNT),
        "bent.bias": (members, STRATEGY_COUNT),
        "shift": (STRATEGY_COUNT,),
    }
    found: Tensors = {
        name: draw.normal(size=shape).astype(np.float32) / 4 for name, shape in shapes.items()
    }
    return found | {"temperature": np.array([1.5], np.float32)}


def _line(seed: int) -> LineVector:
    draw = np.random.default_rng(seed)
    return LineVector(
        draw.normal(size=768).astype(np.float32), draw.normal(size=DENSE).astype(np.float32)
    )


_TALK: tuple[tuple[Role, int | None], ...] = (
    ("seeker", None),
    ("supporter", 0),
    ("seeker", None),
    ("supporter", None),
    ("supporter", 4),
    ("seeker", None),
)


def _told(net: StrategyNet, talk: tuple[tuple[Role, int | None], ...] = _TALK) -> NDArray[Any]:
    reader = net.start()
    for at, (role, strategy) in enumerate(talk):
        reader.tell(role, _line(at), strategy)
    return reader.ask()


def test_it_tells_log_probabilities() -> None:
    net = StrategyNet(_tensors(), "test")
    assert np.exp(_told(net)).sum() == pytest.approx(1, abs=1e-5)
    assert np.exp(net.start().ask()).sum() == pytest.approx(1, abs=1e-5)


def test_what_it_tells_depends_on_words_on_strategies_and_on_their_order() -> None:
    net = StrategyNet(_tensors(), "test")
    other = (*_TALK[:1], ("supporter", 5), *_TALK[2:])
    swapped = (_TALK[0], ("supporter", 4), *_TALK[2:4], ("supporter", 0), _TALK[5])
    told = [_told(net, talk).tolist() for talk in (_TALK, other, swapped, _TALK[:-1])]
    assert all(a != b for at, a in enumerate(told) for b in told[:at])


def test_asking_changes_nothing() -> None:
    net = StrategyNet(_tensors(), "test")
    reader = net.start()
    reader.tell("seeker", _line(1))
    assert reader.ask().tolist() == reader.ask().tolist()


def test_readers_share_nothing() -> None:
    net = StrategyNet(_tensors(), "test")
    other = net.start()
    other.tell("seeker", _line(9))
    assert _told(net).tolist() == _told(net).tolist()


def test_an_ensemble_of_one_member_twice_is_that_member() -> None:
    single = _tensors(members=1)
    shared = ("mean", "basis", "shift", "temperature")
    double = {
        name: tensor if name in shared else np.concatenate([tensor, tensor])
        for name, tensor in single.items()
    }
    one, two = (_told(StrategyNet(tensors, "test")) for tensors in (single, double))
    assert two.tolist() == pytest.approx(one.tolist(), abs=1e-5)


def test_a_shift_raises_its_strategy_and_a_temperature_evens() -> None:
    tensors = _tensors()
    plain = _told(StrategyNet(tensors, "test"))
    raised = tensors | {"shift": tensors["shift"] + np.eye(8, dtype=np.float32)[3]}
    evened = tensors | {"temperature": np.array([10], np.float32)}
    assert _told(StrategyNet(raised, "test"))[3] > plain[3]
    assert np.ptp(_told(StrategyNet(evened, "test"))) < np.ptp(plain)


def test_it_computes_what_the_trainer_s_network_computes() -> None:
    torch = pytest.importorskip("torch")
    from affectgraph.reasoners.heads.strategy_lines import StrategyHistory
    from affectgraph.reasoners.training.heads_esconv_net import Lesson, Member

    torch.manual_seed(3)
    member = Member(5 + DENSE, Lesson(hidden=6, wide=7)).eval()
    draw = np.random.default_rng(4)
    tensors: Tensors = {
        name: tensor[None].astype(np.float32) for name, tensor in member.exported().items()
    }
    tensors |= {
        "mean": draw.normal(size=768),
        "basis": draw.normal(size=(768, 5)) / 30,
        "shift": np.zeros(8),
        "temperature": np.ones(1),
    }
    net = StrategyNet(tensors, "test")
    reader, history = net.start(), StrategyHistory()
    told, lines, marks, past = [], [], [], []
    for at, (role, strategy) in enumerate(_TALK):
        told.append(reader.ask())
        past.append(history.vector())
        lines.append(net.seen(_line(at)))
        mark = np.zeros(10, np.float32)
        mark[("seeker", "supporter").index(role)] = 1
        if strategy is not None:
            mark[2 + strategy] = 1
        marks.append(mark)
        reader.tell(role, _line(at), strategy)
        history.tell(role, strategy)
    given = (torch.from_numpy(np.stack(rows)[None]) for rows in (lines, marks, past))
    with torch.no_grad():
        expected = torch.log_softmax(member(*given), -1)[0].numpy()
    assert np.abs(np.stack(told) - expected).max() < 1e-4


def test_a_file_gives_back_what_was_saved(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    tensors = {name: tensor.astype(np.float16) for name, tensor in _tensors().items()}
    save_file(tensors, tmp_path / "head.safetensors")
    loaded = StrategyNet.load(tmp_path / "head.safetensors")
    assert _told(loaded).tolist() == _told(StrategyNet(tensors, "test")).tolist()


@pytest.mark.parametrize("name", ["gru.state", "basis", "shift", "bent.weight"])
def test_a_missing_tensor_is_named(name: str) -> None:
    tensors = _tensors()
    del tensors[name]
    with pytest.raises(ModelCorruptError, match=f"head: tensor '{name}' is missing"):
        StrategyNet(tensors, "head")


def test_a_tensor_of_another_shape_is_named() -> None:
    with pytest.raises(ModelCorruptError, match=r"'history\.weight' has shape"):
        StrategyNet(_tensors() | {"history.weight": np.zeros((2, 3, 4))}, "head")


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "head.safetensors").write_bytes(b"nothing of the kind")
    for name in ("head.safetensors", "absent.safetensors"):
        with pytest.raises(ModelCorruptError, match=name):
            StrategyNet.load(tmp_path / name)
