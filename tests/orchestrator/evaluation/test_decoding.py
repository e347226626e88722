"""How a checkpoint's words are chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

from affectgraph.orchestrator.evaluation.decoding import Decoding, consensus
from affectgraph.perceivers.errors import SetupError


def test_the_sample_that_is_most_like_the_others_is_said() -> None:
    samples = ["No.", "That sounds hard.", "A long day it was.", "That sounds hard."]
    assert consensus(samples) == "That sounds hard."
    assert consensus(["only"]) == "only"
    with pytest.raises(ValueError, match="no samples"):
        consensus([])


def test_a_decoding_that_cannot_be_is_refused(tmp_path: Path) -> None:
    assert Decoding.of(tmp_path) == Decoding()
    file = tmp_path / "generation_config.json"
    file.write_text('{"eos_token_id": 2, "max_new_tokens": 40, "no_repeat_ngram_size": 0}')
    greedy = Decoding.of(tmp_path)
    assert (greedy.sampling.max_tokens, greedy.ngram, greedy.samples) == (40, 0, 1)
    assert (greedy.sampling.temperature, greedy.told) == (0, "greedy")
    for fault in ("nonsense", "[]", '{"max_new_tokens": 0}', '{"repetition_penalty": 0.1}'):
        file.write_text(fault)
        with pytest.raises(SetupError, match=r"generation_config\.json cannot be used"):
            Decoding.of(tmp_path)
