from __future__ import annotations

from affectgraph.orchestrator.evaluation.latency import timed


def test_every_input_is_run_in_every_round() -> None:
    seen: list[int] = []
    facts = timed("a_row", seen.append, [3, 1, 2], rounds=2)
    assert seen == [3, 1, 2, 3, 1, 2]
    assert set(facts) == {
        "milliseconds_a_row_least",
        "milliseconds_a_row_median",
        "processor_milliseconds_a_row_median",
    }
    assert 0 < facts["milliseconds_a_row_least"] <= facts["milliseconds_a_row_median"]
