"""How to support, read off the conversation so far by a head that was trained on ESConv."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.labels import LabelSet
from affectgraph.perceivers.models import ModelUse, models_of
from affectgraph.perceivers.text.encoder import MiniLMEncoder
from affectgraph.reasoners.context import ReasoningContext
from affectgraph.reasoners.heads.strategy_lines import Role, line_vector
from affectgraph.reasoners.heads.strategy_net import StrategyNet
from affectgraph.reasoners.plan import LabelStageName, Plan
from affectgraph.reasoners.taxonomy import ESCONV_8

WEIGHTS: Final = Path(__file__).parents[1] / "weights" / "strategy-esconv.safetensors"
"""The shipped head; ``strategy-esconv.md`` beside it is its card."""
VERSION: Final = "strategy-esconv.v1"
LICENCE: Final = "CC BY-NC 4.0 (trained on ESConv): research, non-commercial"


class StrategyHead:
    """Predicts the strategy of the next reply over ESConv's eight (Liu et al., 2021).

    It sees what was said, what was replied, which strategies had been decided, and the person's
    words now, all through the encoder that perception and memory share. A past decision over
    another set of strategies counts as unknown. Nothing is barred here: the stage does that.

    Args:
        encoder: The encoder to share; the weights were trained on its features.
        weights: What the trainer wrote; those of the package by default.
        longest: Lines of the conversation that are read, the latest ones.

    Raises:
        SetupError: If ``longest`` is below 1.
    """

    def __init__(
        self, encoder: MiniLMEncoder, *, weights: Path = WEIGHTS, longest: int = 60
    ) -> None:
        if longest < 1:
            raise SetupError(f"strategy head: longest must be at least 1 (is {longest})")
        self._encoder, self._weights, self._longest = encoder, weights, longest
        self._pool = BlockingPool()
        self._loading = threading.Lock()
        self._net: StrategyNet | None = None

    @property
    def stage(self) -> LabelStageName:
        """``strategy``."""
        return "strategy"

    @property
    def labels(self) -> LabelSet:
        """ESConv's eight."""
        return ESCONV_8

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """The encoder's weights and the head's own."""
        own = self._weights != WEIGHTS
        used = ModelUse(self._weights.name) if own else ModelUse(VERSION, LICENCE)
        return (*models_of(self._encoder), used)

    async def warm_up(self) -> None:
        """Load the encoder and the weights; a second call does nothing.

        Raises:
            SetupError: If the encoder's weights are absent.
            ModelCorruptError: If the head's weights cannot be used.
        """
        await self._encoder.warm_up()
        if self._net is None:
            await self._pool.run(self._load)

    async def read(self, context: ReasoningContext) -> Distribution | None:
        """Probabilities of the eight; ``None`` if the person has said nothing this turn."""
        if not context.utterance.strip():
            return None
        await self.warm_up()
        lines = list(_lines(context))[-self._longest :]
        encodings = await self._encoder.encode_all([text for _, text, _ in lines])
        assert self._net is not None
        reader = self._net.start()
        for (role, text, strategy), encoding in zip(lines, encodings, strict=True):
            reader.tell(role, line_vector(text, encoding), strategy)
        weights = np.exp(reader.ask().astype(np.float64)).tolist()
        return Distribution.over(ESCONV_8, dict(zip(ESCONV_8.labels, weights, strict=True)))

    def _load(self) -> None:
        with self._loading:
            if self._net is None:
                self._net = StrategyNet.load(self._weights)


def _lines(context: ReasoningContext) -> Iterator[tuple[Role, str, int | None]]:
    """Who said what, with the strategy where it is one of the eight; empty lines are left out."""
    for exchange in context.history:
        if exchange.said.strip():
            yield "seeker", exchange.said, None
        if exchange.replied.strip():
            yield "supporter", exchange.replied, _known(exchange.plan)
    yield "seeker", context.utterance, None


def _known(plan: Plan) -> int | None:
    if plan.strategy is None or plan.strategy.label not in ESCONV_8:
        return None
    return ESCONV_8.labels.index(plan.strategy.label)
