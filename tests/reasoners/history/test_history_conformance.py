from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from affectgraph.orchestrator.testing import FakeHistory, HashEmbedder, conformance
from affectgraph.orchestrator.testing.conformance.basics import NonconformityError
from affectgraph.orchestrator.testing.conformance.history import HistorySuite
from affectgraph.reasoners.context import Exchange
from affectgraph.reasoners.history import (
    CompressedHistory,
    FullHistory,
    HistoryCompressor,
    HistoryTools,
    SummaryHistory,
    WindowHistory,
)

TestFull = conformance.history(FullHistory)
TestTight = conformance.history(lambda: FullHistory(120))
TestWindow = conformance.history(WindowHistory)
TestSummary = conformance.history(lambda: SummaryHistory(400, summary=80))
TestSummaryOverAnEncoder = conformance.history(
    lambda: SummaryHistory(400, summary=80, encoder=HashEmbedder())
)
TestFake = conformance.history(FakeHistory)


class Last:
    """Keeps the last so many exchanges, one more left out each turn."""

    async def compress(self, history: Sequence[Exchange], tools: HistoryTools) -> CompressedHistory:
        size = sum(await tools.count([tools.printed(e, 0) for e in history]))
        return CompressedHistory(kept=tuple(history[-4:]), tokens_before=size, tokens_after=size)


class Everything(Last):
    async def compress(self, history: Sequence[Exchange], tools: HistoryTools) -> CompressedHistory:
        found = await super().compress(history, tools)
        return found.model_copy(update={"kept": tuple(history)})


class Backwards(Everything):
    async def compress(self, history: Sequence[Exchange], tools: HistoryTools) -> CompressedHistory:
        found = await super().compress(history, tools)
        return found.model_copy(update={"kept": tuple(reversed(history))})


class Restless(Everything):
    async def compress(self, history: Sequence[Exchange], tools: HistoryTools) -> CompressedHistory:
        found = await super().compress(history, tools)
        return found.model_copy(update={"summary": f"They said {len(history)} things."})


def failing(make: Callable[[], HistoryCompressor]) -> set[str]:
    made = conformance.history(make)
    found = set()
    for name in [each for each in dir(made) if each.startswith("test_")]:
        checks: HistorySuite = made()
        checks.setup_method()
        try:
            getattr(checks, name)()
        except NonconformityError:
            found.add(name)
        finally:
            checks.teardown_method()
    return found


@pytest.mark.parametrize(
    ("broken", "checks"),
    [
        (Last, {"test_answers_keep_the_contract", "test_it_stays_with_what_it_chose",
                "test_nothing_at_risk_is_lost_as_a_conversation_goes_on",
                "test_the_words_of_a_message_at_risk_are_told_whole"}),
        (Everything, {"test_what_it_tells_is_bounded"}),
        (Restless, {"test_it_stays_with_what_it_chose", "test_what_it_tells_is_bounded"}),
    ],
)  # fmt: skip
def test_a_fault_is_found(broken: Callable[[], HistoryCompressor], checks: set[str]) -> None:
    assert checks <= failing(broken)


def test_an_order_that_is_not_the_historys_is_found() -> None:
    assert "test_answers_keep_the_contract" in failing(Backwards)
