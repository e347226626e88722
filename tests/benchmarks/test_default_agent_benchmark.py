from __future__ import annotations

from benchmarks.default_agent import summary, timed

FIRST = timed("model", [[11.0, 11.5, 12.0]], 10.0, 2.5, 3.0)
SECOND = timed("resampled", [[11.0, 11.5], [13.0, 13.25]], 10.0, 4.0, 5.0)
REPLACED = timed("written", [[11.0, 12.0]], 10.0, 2.0, 2.5)
AT_ONCE = timed("written", [], 10.0, 0.1, 0.2)


def test_the_delivered_token_is_of_the_try_that_was_delivered() -> None:
    assert (FIRST.first_token, FIRST.delivered_token) == (1.0, 1.0)
    assert (SECOND.first_token, SECOND.delivered_token) == (1.0, 3.0)
    assert (REPLACED.first_token, REPLACED.delivered_token) == (1.0, None)
    assert (AT_ONCE.first_token, AT_ONCE.tokens_per_second) == (None, None)


def test_the_rate_is_of_one_try_without_the_pause_before_it() -> None:
    assert FIRST.tokens_per_second == 2.0
    assert SECOND.tokens_per_second == 4.0


def test_no_turn_is_left_out_unsaid() -> None:
    told = summary([FIRST, SECOND, REPLACED, AT_ONCE])
    assert told["turns"] == 4
    assert told["sources"] == {"model": 1, "resampled": 1, "written": 2}
    assert told["model"]["first_token_s"] == {"n": 1, "median": 1.0, "least": 1.0, "most": 1.0}
    counts = {name: figure["n"] for name, figure in told["all"].items()}
    assert counts == {
        "first_token_s": 3, "delivered_token_s": 2, "first_words_s": 4, "whole_s": 4,
        "tokens_per_second": 3,
    }  # fmt: skip


def test_figures_of_no_turns_are_none() -> None:
    told = summary([AT_ONCE])
    assert told["model"]["whole_s"] == {"n": 0, "median": None, "least": None, "most": None}
    assert told["all"]["tokens_per_second"]["n"] == 0
