"""What trained heads tell of a corpus's test split, as systems of a table."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np

from affectgraph.orchestrator.evaluation.bench import Bench
from affectgraph.orchestrator.evaluation.label_tables import System, Units
from affectgraph.orchestrator.evaluation.subjects import AffectEncoder
from affectgraph.perceivers.errors import ExtraMissingError, SetupError
from affectgraph.reasoners.heads.runs import HeadRun, HeadTask, Protocol, Test, Unit

Corpus = Literal["mesc", "esconv"]
Predict = Callable[..., Coroutine[Any, Any, tuple[HeadRun, ...]]]


async def told_by_heads(bench: Bench, corpus: Corpus) -> tuple[HeadRun, ...]:
    """Train the corpus's heads on train and val, unless they are kept, and read its test split.

    Raises:
        SetupError: If the spec's encoder is not this package's, or the corpus is absent.
        ExtraMissingError: If the extra ``train`` is not installed.
    """
    encoder = bench.subjects.embedder
    if encoder is None or not isinstance(encoder, AffectEncoder):
        raise SetupError(
            f"spec {bench.subjects.name!r}: the heads read the features of this package's own"
            " encoder of texts: name it as encoder"
        )
    predict = await bench.aside(lambda: _trainer(corpus))
    await encoder.warm_up()
    version = await bench.aside(lambda: bench.subjects.version("encoder"))
    return await predict(
        bench.data,
        encoder,
        version=" ".join(version),
        run=bench.run / f"heads-{corpus}",
        resume=bench.resume,
        limit=bench.limit,
        seed=bench.seed,
        progress=bench.progress,
    )


def systems_of(
    runs: Sequence[HeadRun],
    task: HeadTask,
    protocol: Protocol,
    unit: Unit,
    split: Test = "official",
) -> list[HeadRun]:
    """The runs of one table, ours first."""
    fitting = [
        run
        for run in runs
        if (run.task, run.protocol, run.unit, run.split) == (task, protocol, unit, split)
    ]
    return sorted(fitting, key=lambda run: run.kind != "ours")


def as_system(run: HeadRun, units: Units) -> System:
    """A run as a table's system.

    Raises:
        SetupError: If it is of other units than the table's.
    """
    if not np.array_equal(run.truth, units.truth):
        raise SetupError(f"{units.title}: {run.name} tells of other units than this table's")
    probs, *seeds = (np.asarray(told, np.float64) for told in (run.probs, *run.seeds))
    return System.of(run.name, probs, kind=run.kind, note=run.note, seeds=seeds)


def _trainer(corpus: Corpus) -> Predict:
    if corpus == "mesc":
        if any(find_spec(name) is None for name in ("onnx", "scipy", "sklearn", "torch")):
            raise ExtraMissingError("the heads of mesc", "train")
        from affectgraph.reasoners.training import heads_mesc_rows

        return heads_mesc_rows.predictions
    from affectgraph.reasoners.training import heads_esconv_rows

    return heads_esconv_rows.predictions
