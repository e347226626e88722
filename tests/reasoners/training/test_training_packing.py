from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgraph.reasoners.training.packing import Row, pack
from affectgraph.reasoners.training.sequences import LABEL, NOT, RESPONSE, TokenSequence, Weights


def sequence(name: str, length: int, seed: int = 0) -> TokenSequence:
    ids = tuple((7 * at + seed) % 300 + 3 for at in range(length))
    kinds = tuple((NOT, LABEL, RESPONSE)[at % 3] for at in range(length))
    return TokenSequence(name, ids, kinds)


lengths = st.lists(st.integers(0, 50), max_size=30)


@given(lengths=lengths, seed=st.none() | st.integers(0, 5))
def test_every_dialogue_is_packed_once_within_the_length(
    lengths: list[int], seed: int | None
) -> None:
    sequences = [sequence(str(at), length) for at, length in enumerate(lengths)]
    rows = pack(sequences, 50, seed=seed)
    assert all(0 < len(row) <= 50 for row in rows)
    packed = sorted(s.name for row in rows for s in row.sequences)
    assert packed == sorted(s.name for s in sequences if len(s))
    assert rows == pack(sequences, 50, seed=seed)
    for row in rows:
        assert row.positions.count(0) == len(row.sequences)
        assert len(row.ids) == len(row.kinds) == len(row.positions) == len(row)


def test_rows_are_filled_well() -> None:
    sequences = [sequence(str(at), 10 + 7 * at % 31) for at in range(200)]
    rows = pack(sequences, 100, seed=0)
    assert sum(map(len, rows)) / (100 * len(rows)) > 0.9


def test_a_dialogue_longer_than_a_row_is_refused() -> None:
    with pytest.raises(ValueError, match="long: 51 tokens, a row has 50"):
        pack([sequence("long", 51)], 50)


@pytest.mark.local_lm
@pytest.mark.parametrize("method", ["lora", "full"])
def test_packing_changes_no_loss_and_no_gradient(tiny_base: Path, method: str) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("peft")
    from affectgraph.reasoners.training.network import Network

    network = Network(tiny_base, method="lora" if method == "lora" else "full", seed=3)
    parts = [sequence("a", 17, 1), sequence("b", 40, 2), sequence("c", 5, 3)]

    def gradients(rows: list[Row]) -> tuple[float, dict[str, Any], list[tuple[float, int]]]:
        network.model.zero_grad()
        found = [network.loss(row, Weights(label=0.5)) for row in rows]
        for each in found:
            each.weighted.backward()  # type: ignore[no-untyped-call]
        total = sum(each.weighted.item() for each in found)
        kept = {name: p.grad.clone() for name, p in network.learning.items() if p.grad is not None}
        return total, kept, [each.response for each in found]

    alone, apart, responses = gradients([Row((part,)) for part in parts])
    together, packed, [response] = gradients([Row(tuple(parts))])
    assert together == pytest.approx(alone, rel=1e-5)
    assert response[0] == pytest.approx(sum(total for total, _ in responses), rel=1e-5)
    assert response[1] == sum(count for _, count in responses)
    assert apart.keys() == packed.keys()
    for name, gradient in packed.items():
        torch.testing.assert_close(gradient, apart[name], rtol=1e-4, atol=1e-5)


@pytest.mark.local_lm
def test_a_row_costs_what_transformers_says(tiny_base: Path) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("peft")
    from affectgraph.reasoners.training.network import Network

    part = sequence("a", 30)
    found = Network(tiny_base).loss(Row((part,)), Weights(label=1.0, response=1.0))
    reference = transformers.LlamaForCausalLM.from_pretrained(tiny_base, dtype=torch.float32).eval()
    labels = [i if kind else -100 for i, kind in zip(part.ids, part.kinds, strict=True)]
    with torch.no_grad():
        expected = reference(torch.tensor([part.ids]), labels=torch.tensor([labels])).loss
    counted = found.label[1] + found.response[1]
    assert found.weighted.item() / counted == pytest.approx(expected.item(), rel=1e-5)
