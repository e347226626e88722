"""Throughput of perceivers that many sessions ask at once, beside the bare model.

    python benchmarks/gpu/perceivers.py --device cuda --precision fp16 [--json]

The bare model is called in a loop with batches of one size, on one thread, with nothing around it
but its library and what prepares its input. The perceiver is asked by twice as many sessions as a
batch holds, each with one item at a time, through the micro-batcher: language check, evidence,
readings and all. Both take turns in one process and each one's best round counts, which leaves out
most of what else the machine does. A ratio of 1 means that sharing the model costs nothing; above
1, that the perceiver prepares the next batch while the model runs.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[2]))  # so that it runs by its path, too

from affectgraph.perceivers.device import Device
from affectgraph.perceivers.errors import SetupError
from benchmarks.gpu.cases import Case, Running, cases
from benchmarks.gpu.checkpoints import SIZES

BATCHES: Final = (1, 8, 32, 128)
PACKAGES: Final = ("torch", "transformers", "onnxruntime", "onnxruntime-gpu")


@dataclass(frozen=True)
class Row:
    """One case at one batch size.

    Attributes:
        bare: Items a second of the bare model.
        perceiver: Items a second of the sessions together.
        mean_batch: How many items the batches of the sessions held; ``None`` if nobody counts.
    """

    bare: float
    perceiver: float
    mean_batch: float | None

    @property
    def ratio(self) -> float:
        """The perceiver's throughput as a multiple of the bare model's."""
        return self.perceiver / self.bare


def bare_round(running: Running, batch: int, seconds: float) -> float:
    """Items a second of the model alone, in batches of one size."""
    given = [bare for _, bare in running.items]
    done, begun = 0, time.perf_counter()
    while (spent := time.perf_counter() - begun) < seconds or not done:
        running.bare([given[(done + at) % len(given)] for at in range(batch)])
        done += batch
    return done / max(spent, time.perf_counter() - begun)


async def perceiver_round(running: Running, sessions: int, seconds: float) -> float:
    """Items a second of sessions that each ask for one item after another."""
    begun = time.perf_counter()
    done = 0

    async def session(number: int) -> None:
        nonlocal done
        at = number
        while True:
            await running.ask(running.items[at % len(running.items)][0])
            done += 1
            at += sessions
            if time.perf_counter() - begun >= seconds:
                return

    await asyncio.gather(*(session(number) for number in range(sessions)))
    return done / (time.perf_counter() - begun)


async def measure(case: Case, device: Device, batch: int, rounds: int, seconds: float) -> Row:
    """The best round of each, taken in turns after one that warms up."""
    running = await case.start(device, batch)
    sessions = 2 * batch if batch > 1 else 1
    running.bare([bare for _, bare in running.items][:1] * batch)
    await perceiver_round(running, sessions, 0.0)
    before = running.stats() if running.stats else None
    bare, perceiver = 0.0, 0.0
    for _ in range(rounds):
        bare = max(bare, await asyncio.to_thread(bare_round, running, batch, seconds))
        perceiver = max(perceiver, await perceiver_round(running, sessions, seconds))
    if running.stats is None or before is None:
        return Row(bare, perceiver, None)
    after = running.stats()
    calls = max(1, after.batches - before.batches)
    return Row(bare, perceiver, (after.items - before.items) / calls)


def hardware(device: Device) -> dict[str, Any]:
    """What it ran on."""
    told: dict[str, Any] = {
        "device": device.device,
        "precision": device.precision,
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    for package in PACKAGES:
        try:
            told[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    if device.on_cuda:
        import torch

        told["gpu"] = torch.cuda.get_device_name(device.index)
        told["cuda"] = torch.version.cuda
    return told


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


async def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure every case at every batch size."""
    device = Device(
        device=arguments.device, precision=arguments.precision, threads=arguments.threads
    )
    metrics: dict[str, float] = {}
    baselines: dict[str, float] = {}
    skipped: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in cases(Path(folder), SIZES[arguments.size]):
            if arguments.cases and case.name not in arguments.cases:
                continue
            for batch in arguments.batches:
                try:
                    row = await measure(case, device, batch, arguments.rounds, arguments.seconds)
                except SetupError as error:
                    skipped[case.name] = str(error)
                    break
                key = f"{case.name}.batch{batch}"
                metrics[f"{key}.per_second"] = round(row.perceiver, 2)
                metrics[f"{key}.over_bare"] = round(row.ratio, 4)
                if row.mean_batch is not None:
                    metrics[f"{key}.mean_batch"] = round(row.mean_batch, 2)
                baselines[f"{key}.per_second"] = round(row.bare, 2)
                print(
                    f"{key:32} bare {row.bare:10.1f}/s  perceiver {row.perceiver:10.1f}/s"
                    f"  ratio {row.ratio:5.2f}  mean batch {row.mean_batch or 0:6.1f}",
                    file=sys.stderr,
                )
    if not metrics:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in skipped.items())
        sys.exit(f"nothing could be measured: {reasons or 'no such case'}")
    return {
        "name": "gpu-perceivers",
        "metrics": metrics,
        "baselines": baselines,
        "hardware": hardware(device),
        "size": arguments.size,
        "skipped": skipped,
    }


def _numbers(text: str) -> tuple[int, ...]:
    numbers = tuple(int(part) for part in text.split(","))
    if not numbers or min(numbers) < 1:
        raise argparse.ArgumentTypeError("give sizes of 1 and more, such as 1,8,32")
    return numbers


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", default="cuda", help="cpu, cuda or cuda:N")
    parser.add_argument(
        "--precision", default="auto", choices=["auto", "int8", "fp32", "fp16", "bf16"]
    )
    parser.add_argument("--threads", type=int, default=1, help="of an ONNX graph on the processor")
    parser.add_argument("--batches", type=_numbers, default=BATCHES, help="such as 1,8,32,128")
    parser.add_argument("--size", choices=sorted(SIZES), default="base", help="of the checkpoints")
    parser.add_argument("--cases", nargs="*", help="names of cases; all by default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one round")
    parser.add_argument("--json", action="store_true", help="one line")
    arguments = parser.parse_args(argv)
    result = asyncio.run(run(arguments))
    print(json.dumps(result) if arguments.json else json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
