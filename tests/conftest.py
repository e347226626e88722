"""Fixtures that every test may use."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import settings
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from affectgraph.orchestrator.testing.vllm_process import PYTHON, VllmAt, VllmProcess, vllm_python
from affectgraph.perceivers import tracing
from affectgraph.perceivers.models import MODELS, ModelStore

REPOSITORY = Path(__file__).parent.parent

# How long an example takes says nothing on a shared machine.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def _nothing_blocks_the_loop() -> Iterator[BlockBuster]:
    """A blocking call of ours inside the event loop fails the test that makes it."""
    with blockbuster_ctx("affectgraph") as blockbuster:
        yield blockbuster


@pytest.fixture
def data_root() -> Path:
    """The folder of research data; the test is skipped where there is none."""
    root = Path(os.environ.get("AFFECTGRAPH_DATA", REPOSITORY.parent / "shared" / "data"))
    if not root.is_dir():
        pytest.skip("research data is absent: set AFFECTGRAPH_DATA")
    return root


@pytest.fixture
def model_store() -> ModelStore:
    """The folder of pulled models."""
    return ModelStore()


@pytest.fixture
def requires_model(model_store: ModelStore) -> Callable[[str], Path]:
    """Skip the test unless a model is pulled; gives its folder."""
    # Looked up here: an async test that asks would block its loop.
    here = {name: model_store.folder(name) for name in MODELS if model_store.has(name)}

    def require(name: str) -> Path:
        if name not in here:
            pytest.skip(f"model {name} is absent: run `affectgraph models pull`")
        return here[name]

    return require


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """Folder of the small language model; the test is skipped where it is not pulled."""
    store = ModelStore()
    if not store.has("smollm2-135m"):
        pytest.skip("model smollm2-135m is absent: run `affectgraph models pull`")
    return store.folder("smollm2-135m")


@pytest.fixture(scope="session")
def vllm_server(request: pytest.FixtureRequest) -> Iterator[VllmAt]:
    """A real vLLM server of the small model; the test is skipped where there is no vLLM."""
    running = VllmAt.named()
    if running is not None:
        yield running
        return
    python = vllm_python()
    if python is None:
        pytest.skip(f"no vLLM: make one with `.ci/vllm FOLDER` and name its python in {PYTHON}")
    with VllmProcess(python, request.getfixturevalue("smollm2")) as server:
        yield server


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What is traced during a test."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "tracer", lambda: provider.get_tracer("test"))
    yield exporter
    provider.shutdown()
