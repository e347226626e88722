"""vLLM in this process; run with a python that has it (.ci/vllm FOLDER --tests)."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, ClassVar

import pytest

from affectgraph.orchestrator.testing.conformance.backend import BackendThatFailsSuite
from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.errors import BackendError, ExtraMissingError, SetupError
from affectgraph.perceivers.labels import MESC_7
from affectgraph.reasoners.backends.usage import Usage
from affectgraph.reasoners.backends.vllm_core import VllmCore
from affectgraph.reasoners.backends.vllm_engine import VllmEngine
from affectgraph.reasoners.codecs import codec_named
from affectgraph.reasoners.contracts import Backend, JointForm, LabelField, Message, Sampling
from affectgraph.reasoners.plan import Decision
from affectgraph.reasoners.taxonomy import MESC_10

HERE = importlib.util.find_spec("vllm") is not None
needs_vllm = pytest.mark.skipif(not HERE, reason="this python has no vLLM: see .ci/vllm")
# vLLM and its libraries warn of themselves when they are loaded.
pytestmark = pytest.mark.filterwarnings("ignore")
SMALL: dict[str, Any] = {
    "dtype": "bfloat16", "enforce_eager": True, "max_model_len": 2048, "block_size": 32,
    "kv_cache_memory_bytes": 256 << 20,
}  # fmt: skip
ASKED = (
    Message(role="system", content="You are a companion who listens. " * 12),
    Message(role="user", content="My bicycle was stolen this morning, and now I am late."),
)


@pytest.fixture(autouse=True)
def _nothing_blocks_the_loop() -> None:
    """The suite looks for blocking calls itself; vLLM's own imports are not ours."""


@pytest.fixture(scope="module")
def core(smollm2: Path) -> Iterator[VllmCore]:
    if not HERE:
        pytest.skip("this python has no vLLM: see .ci/vllm")
    made = VllmCore(smollm2, SMALL)
    made.start()
    yield made
    made.stop()


@pytest.mark.skipif(HERE, reason="this python has vLLM")
async def test_without_vllm_it_says_what_to_install(tmp_path: Path) -> None:
    made = VllmEngine(folder=tmp_path)
    with pytest.raises(ExtraMissingError, match=r"affectgraph\[vllm\]"):
        await made.warm_up()
    with pytest.raises(BackendError) as caught:
        await made.choose(ASKED, MESC_7)
    assert caught.value.permanent


@pytest.mark.vllm
@needs_vllm
class TestVllmEngine(BackendThatFailsSuite):
    # Which requests share a batch depends on the moment, and bfloat16 rounds by the batch.
    deterministic = False
    core: ClassVar[VllmCore]

    @pytest.fixture(autouse=True, scope="class")
    def _core(self, request: pytest.FixtureRequest, core: VllmCore) -> None:
        request.cls.core = core

    def make(self) -> Backend:
        return VllmEngine(core=type(self).core)

    @staticmethod
    def broken() -> Backend:
        return VllmEngine(folder=Path("no-such-folder"))


@pytest.mark.vllm
@needs_vllm
class TestWithVllm:
    async def test_a_folder_without_a_model_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(SetupError, match="empty"):
            await VllmEngine(folder=tmp_path / "empty").warm_up()

    async def test_a_prior_weighs_what_the_model_says(self, core: VllmCore) -> None:
        bare = LabelField(stage="user_emotion", labels=MESC_7)
        barred = Distribution.over(MESC_7, {"joy": 0.99, "neutral": 0.01})
        decided = [await self._first(core, field) for field in (bare, _weighed(bare, barred))]
        assert decided[1].distribution["anger"] == 0
        told = {label: decided[0].distribution[label] for label in ("joy", "neutral")}
        expected = 0.99 * told["joy"] / (0.99 * told["joy"] + 0.01 * told["neutral"])
        assert decided[1].distribution["joy"] == pytest.approx(expected, abs=0.02)

    async def test_each_label_reads_only_what_is_new(self, core: VllmCore) -> None:
        told: list[Usage] = []
        made = VllmEngine(core=core, on_usage=told.append)
        fields = (
            LabelField(stage="user_emotion", labels=MESC_7),
            LabelField(stage="strategy", labels=MESC_10),
            LabelField(stage="system_emotion", labels=MESC_7),
        )
        form = JointForm(fields, codec_named("smes"))
        _ = [item async for item in made.stream_joint(ASKED, form, Sampling(max_tokens=4))]
        assert all(usage.processed_tokens <= 64 for usage in told[1:])
        assert told[-1].completion_tokens == 4

    async def test_a_stream_that_is_left_is_aborted(self, core: VllmCore) -> None:
        made = VllmEngine(core=core)
        async with aclosing(made.stream(ASKED, Sampling(max_tokens=400))) as pieces:  # type: ignore[type-var]
            await anext(pieces)
        for _ in range(100):
            if not await core.ask(lambda engine: engine.has_unfinished_requests()):
                return
            await asyncio.sleep(0.05)
        pytest.fail("the engine goes on with it")

    async def test_a_prompt_that_is_too_long_is_a_permanent_error(self, core: VllmCore) -> None:
        made = VllmEngine(core=core)
        long = (Message(role="user", content="marzipan " * 3000),)
        with pytest.raises(BackendError) as caught:
            _ = [piece async for piece in made.stream(long, Sampling())]
        assert caught.value.permanent
        assert "marzipan" not in str(caught.value)

    async def _first(self, core: VllmCore, field: LabelField) -> Decision:
        form = JointForm((field,), codec_named("lines"))
        stream = VllmEngine(core=core).stream_joint(ASKED, form, Sampling(max_tokens=2))
        items = [item async for item in stream]
        assert isinstance(items[0], Decision)
        return items[0]


def _weighed(field: LabelField, prior: Distribution) -> LabelField:
    return field.model_copy(update={"prior": prior})
