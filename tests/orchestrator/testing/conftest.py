"""What the tests of the suites share."""

from __future__ import annotations

import unittest
from collections.abc import Callable
from typing import Any

import pytest

from affectgraph.orchestrator.testing.conformance import asynchronous, watch
from affectgraph.orchestrator.testing.conformance.suite import Suite

Failing = Callable[[type[Suite[Any, Any, Any]]], set[str]]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Failing:
    """Runs all checks of a suite as pytest would, and names those that fail."""
    # Deliberately broken parts are waited for in vain.
    monkeypatch.setattr(watch, "GRACE", 0.05)
    monkeypatch.setattr(asynchronous, "PROMPT", 0.3)
    monkeypatch.setattr(asynchronous, "HELD", 0.1)

    def run(suite: type[Suite[Any, Any, Any]]) -> set[str]:
        return {name for name in dir(suite) if name.startswith("test_") and _fails(suite, name)}

    return run


def _fails(suite: type[Suite[Any, Any, Any]], name: str) -> bool:
    checks = suite()
    checks.setup_method()
    try:
        getattr(checks, name)()
    except unittest.SkipTest:
        return False
    except Exception:  # noqa: BLE001 - a check fails in whatever way it fails
        return True
    finally:
        checks.teardown_method()
    return False
