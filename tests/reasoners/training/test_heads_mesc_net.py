from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from affectgraph.perceivers.text.encoder import TOKENIZER, WEIGHTS
from affectgraph.perceivers.text.network import TextNetwork
from affectgraph.reasoners.heads.lines import Line
from affectgraph.reasoners.training.heads_mesc_mix import Mixture, fit_mixture
from affectgraph.reasoners.training.heads_mesc_net import (
    LONGEST,
    Bottom,
    Top,
    Windows,
    constants,
    padded,
)


@pytest.fixture(scope="module")
def windows() -> Windows:
    return Windows()


@pytest.fixture(scope="module")
def held() -> dict[str, torch.Tensor]:
    return constants()


def conversation(count: int, words: int = 3) -> list[Line]:
    return [Line(at % 3 != 2, f"{'rain ' * words}{at}") for at in range(count)]


@pytest.mark.parametrize(("count", "words"), [(5, 3), (120, 10), (60, 70)])
def test_windows_cover_every_line_once(windows: Windows, count: int, words: int) -> None:
    found = list(windows.of(conversation(count, words)))
    fresh = [at for window in found for at in range(window.fresh, window.end)]
    assert fresh == list(range(count))
    for window in found:
        assert len(window.ids) <= LONGEST
        # Something of every new line is there to be read.
        assert set(range(window.fresh, window.end)) <= set(window.line.tolist())


def test_later_windows_are_told_what_came_before(windows: Windows) -> None:
    _, second, *_ = windows.of(conversation(120, 10))
    assert 0 <= second.line[second.line >= 0].min() < second.fresh


def test_a_line_is_blind_to_what_comes_later(
    windows: Windows, held: dict[str, torch.Tensor]
) -> None:
    lines = conversation(6)
    other = [*lines[:4], Line(lines[4].person, "something else altogether"), lines[5]]
    net, bottom = Top(held, 5, [(2, 3)]).eval(), Bottom(held, 5).eval()
    told = []
    for each in (lines, other):
        (window,) = windows.of(each)
        # A second, longer one, so that there is padding.
        ids, seen, person = padded([window, *windows.of(conversation(9))])
        with torch.no_grad():
            states = net.states(bottom(ids, seen), seen, person)[0, : len(window.ids)]
        told.append(states[torch.from_numpy(window.line < 4)])
        assert torch.isfinite(states).all()
    assert torch.allclose(told[0], told[1], atol=1e-5)


def test_one_line_is_read_as_the_shipped_encoder_reads_it(
    windows: Windows, held: dict[str, torch.Tensor]
) -> None:
    text = "I missed the last train home."
    (window,) = windows.of([Line(True, text)])
    ids, _, person = padded([window])
    seen = torch.ones(1, 1, ids.shape[1], ids.shape[1], dtype=torch.bool)
    with torch.no_grad():
        states = (
            Top(held, 4, [(2, 3)]).eval().states(Bottom(held, 4).eval()(ids, seen), seen, person)
        )
    ours = torch.cat([states[0].mean(0), states[0, 0]]).numpy()
    (shipped,) = TextNetwork(WEIGHTS, WEIGHTS.parent / TOKENIZER, 64).run([text])
    assert np.corrcoef(ours, shipped["features"])[0, 1] > 0.98


def test_the_expert_that_knows_gets_the_weight() -> None:
    draw = np.random.default_rng(0)
    truth = draw.integers(0, 3, 400)
    knows = 0.7 * np.eye(3)[truth] + 0.1
    guesses = draw.dirichlet(np.ones(3), 400)
    mix = fit_mixture([knows, guesses], truth, np.full(3, 1 / 3))
    assert mix.exponents[0] > 1
    assert mix.exponents[1] < 0.2


def test_a_shift_tells_seldom_labels_more_often() -> None:
    told = np.array([[0.6, 0.4], [0.9, 0.1]])
    usual = np.array([0.8, 0.2])
    plain, moved = Mixture((1.0,), usual)([told]), Mixture((1.0,), usual, 0.5)([told])
    assert np.allclose(plain, told, atol=1e-5)
    assert (moved[:, 1] > plain[:, 1]).all()
    assert np.allclose(moved.sum(axis=1), 1)
