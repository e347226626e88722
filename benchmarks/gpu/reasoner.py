"""The reasoner's two forms on a vLLM server with a GPU, and many conversations at once.

    python benchmarks/gpu/reasoner.py --model /models/Qwen3-8B [--sessions 1,8,32] [--json]

The cases are those of ``benchmarks/vllm_reasoner.py``. Besides, that many conversations ask for a
joint generation at the same time: time to the first word of each, and tokens a second of all
together, over those of plain completions of the same prompts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))  # so that it runs by its path, too

from affectgraph.orchestrator.testing.vllm_process import VllmAt
from affectgraph.reasoners.contracts import Sampling
from benchmarks.vllm_reasoner import Bench, measured, parser_of, running


async def together(
    server: VllmAt, arguments: argparse.Namespace, sessions: int
) -> dict[str, float]:
    """Conversations side by side, all with prompts of their own."""
    sampling = Sampling(max_tokens=arguments.tokens)
    bench = Bench(server, arguments.codec, arguments.exchanges, arguments.joint)
    told: dict[str, float] = {}
    try:
        await bench.warm_up()
        for kind, ask in (("joint", bench.joint_words), ("plain", bench.plain_words)):
            begun = time.perf_counter()
            found = await asyncio.gather(*(ask(sampling) for _ in range(sessions)))
            spent = time.perf_counter() - begun
            told[f"{kind}_first_word_s"] = statistics.median(first for first, _ in found)
            told[f"{kind}_tokens_per_second"] = sum(tokens for _, tokens in found) / spent
    finally:
        await bench.close()
    return told


async def all_of(server: VllmAt, arguments: argparse.Namespace) -> dict[str, Any]:
    """The cases of one conversation, then those of several."""
    result = await measured(server, arguments)
    result["name"] = "gpu-reasoner"
    for sessions in arguments.sessions:
        told = await together(server, arguments, sessions)
        for key, value in told.items():
            kind = "metrics" if key.startswith("joint") else "baselines"
            result[kind][f"{key}.sessions{sessions}"] = round(value, 4)
    return result


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = parser_of(__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sessions", type=_numbers, default=(1, 8, 32), help="such as 1,8,32")
    parser.add_argument("--tokens", type=int, default=60, help="of each response")
    parser.add_argument(
        "--flags",
        default="--block-size 16",
        help="of the server; on a CPU: '--dtype bfloat16 --enforce-eager --block-size 32'",
    )
    arguments = parser.parse_args(argv)
    name = arguments.model.name if arguments.model else "smollm2-135m"
    with running(arguments.model, name, tuple(arguments.flags.split())) as server:
        result = asyncio.run(all_of(server, arguments))
    print(json.dumps(result) if arguments.json else json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
