from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from affectgraph.perceivers.errors import SetupError
from affectgraph.reasoners.training.schedule import Cosine
from affectgraph.reasoners.training.sequences import NOT, RESPONSE, TokenSequence

if TYPE_CHECKING:
    from affectgraph.reasoners.training.loop import Loop

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
pytest.importorskip("peft")
pytestmark = pytest.mark.local_lm


def talks(count: int, *, of: int = 0) -> list[TokenSequence]:
    """Sequences in which each counted token follows from the one before."""
    made = []
    for at in range(count):
        ids = tuple(
            (11 * (place // 2) + 5 * (at % 3) + of) % 290 + 3 for place in range(20 + at % 7)
        )
        kinds = tuple(RESPONSE if place % 2 else NOT for place in range(len(ids)))
        made.append(TokenSequence(f"{of}/{at}", ids, kinds))
    return made


def loop(base: Path, out: Path, *, valid_of: int = 0, **changes: Any) -> Loop:
    from affectgraph.reasoners.training.loop import Loop, LoopConfig
    from affectgraph.reasoners.training.network import Adapters, Network

    method = changes.pop("method", "lora")
    start = changes.pop("start", "")
    settings = {"epochs": 2.0, "length": 64, "rows": 2, "rate": 5e-3, "every": 2, **changes}
    network = Network(base, method=method, adapters=Adapters(4, 8, dropout=0.1), seed=5)
    return Loop(network, talks(24), talks(6, of=valid_of), out, LoopConfig(**settings), start=start)


def weights(of: Loop) -> dict[str, Any]:
    return {name: p.detach().clone() for name, p in of._network.learning.items()}


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_resumed_run_gives_the_weights_of_an_unbroken_one(
    tiny_base: Path, tmp_path: Path, method: str
) -> None:
    unbroken = loop(tiny_base, tmp_path / "unbroken", method=method)
    assert unbroken.steps > 6
    unbroken.run()

    class Killed(Exception):  # noqa: N818 - stands for a signal
        pass

    def kill(step: int) -> bool:
        if step == 5:
            raise Killed
        return False

    broken = loop(tiny_base, tmp_path / "broken", method=method)
    with pytest.raises(Killed):  # after step 5; the last kept state is that of step 4
        broken.run(kill)
    stopped = loop(tiny_base, tmp_path / "broken", method=method).run(lambda step: step == 7)
    assert stopped.interrupted
    assert stopped.place.step == 7
    resumed = loop(tiny_base, tmp_path / "broken", method=method)
    outcome = resumed.run()
    assert outcome.place.step == unbroken.steps
    assert not outcome.interrupted
    expected = weights(unbroken)
    assert all(torch.equal(expected[name], found) for name, found in weights(resumed).items())

    def curves(name: str) -> list[dict[str, Any]]:
        told = (tmp_path / name / "curves.jsonl").read_text().splitlines()
        return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in told]

    assert curves("broken") == curves("unbroken")


def test_training_lowers_the_validation_loss(tiny_base: Path, tmp_path: Path) -> None:
    run = loop(tiny_base, tmp_path, epochs=4.0)
    before = run.valid_losses().response
    outcome = run.run()
    run.load_best()
    after = run.valid_losses()
    assert after.response < 0.8 * before
    assert after.weighted == pytest.approx(outcome.place.best, rel=1e-5)


def test_a_run_that_gets_worse_is_stopped_and_its_best_weights_are_kept(
    tiny_base: Path, tmp_path: Path
) -> None:
    # What is validated on contradicts what is learned.
    run = loop(tiny_base, tmp_path, valid_of=140, epochs=40.0, patience=2, rate=2e-2)
    outcome = run.run()
    assert outcome.stopped_early
    assert outcome.place.best_step < outcome.place.step < outcome.steps
    run.load_best()
    assert run.valid_losses().weighted == pytest.approx(outcome.place.best, rel=1e-5)
    # Taken up again, it stays stopped.
    again = loop(tiny_base, tmp_path, valid_of=140, epochs=40.0, patience=2, rate=2e-2).run()
    assert again.place.step == outcome.place.step


def test_a_state_of_other_settings_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    loop(tiny_base, tmp_path).run(lambda step: step == 2)
    with pytest.raises(SetupError, match="other settings"):
        loop(tiny_base, tmp_path, rate=1e-3).run()
    with pytest.raises(SetupError, match="other settings"):
        loop(tiny_base, tmp_path, valid_of=1).run()
    with pytest.raises(SetupError, match="other settings"):
        loop(tiny_base, tmp_path, start="another base").run()


def test_every_row_of_an_epoch_is_seen(tiny_base: Path, tmp_path: Path) -> None:
    outcome = loop(tiny_base, tmp_path, epochs=1.0, rows=3).run()
    assert outcome.place.seen == sum(map(len, talks(24)))


def test_the_rate_rises_and_falls() -> None:
    cosine = Cosine(1.0, steps=100, warmup=0.1, floor=0.1)
    rates = [cosine.at(step) for step in range(100)]
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[-1] == pytest.approx(0.1, abs=0.01)
