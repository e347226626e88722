"""What the tests of the orchestrator share."""

from __future__ import annotations

import pytest

from affectgraph.orchestrator import Safety
from affectgraph.reasoners.replies.library import WrittenReplies


@pytest.fixture(autouse=True, scope="session")
def _rules_are_compiled() -> None:
    """Rule files are read once a process, before any event loop runs, as an application does."""
    Safety()
    WrittenReplies().load()
