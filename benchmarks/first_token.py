"""From a cold process to the first token of a multimodal turn, offline.

    python benchmarks/first_token.py [--runs N] [--json]

Each run is a new process that imports, loads every model, perceives the shipped portrait and voice
clip, decides, and stops at the first released token. Connections are refused in it, so a run shows
that a second use needs no network. The baseline, in the same run, is a process that only imports
the language model's library and loads the model: what no agent in this process can do without.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Final

EXAMPLES: Final = Path(__file__).parent.parent / "examples"

_OFFLINE: Final = """
import time; started = time.perf_counter()
import json, socket, sys
def refuse(*_): raise OSError("this run is offline")
socket.socket.connect = socket.socket.connect_ex = refuse
"""

_TURN: Final = (
    _OFFLINE
    + """
import asyncio, tempfile
from contextlib import aclosing
from affectgraph.orchestrator import Agent, Consent, Settings, Turn, default_parts
from affectgraph.perceivers.media import AudioFile, ImageFile
from pathlib import Path

async def main(agent, image, audio):
    turn = Turn(
        text="I got the place! I start in March.",
        images=(ImageFile(image),),
        audio=AudioFile(audio),
        consent=Consent(camera=True, microphone=True, memory=True),
    )
    imported = time.perf_counter() - started
    async with agent, aclosing(agent.stream(turn)) as events:
        async for event in events:
            if event.kind == "token":
                first = time.perf_counter() - started
                print(json.dumps({"imports": imported, "token": first}))
                return

with tempfile.TemporaryDirectory() as memory:
    asyncio.run(main(Agent(default_parts(Settings(memory=Path(memory)))), *sys.argv[1:]))
"""
)

_LOAD: Final = (
    _OFFLINE
    + """
import asyncio
from affectgraph.perceivers.models import ModelStore
from affectgraph.reasoners.backends.local import LocalBackend
asyncio.run(LocalBackend(ModelStore()).warm_up())
print(json.dumps({"load": time.perf_counter() - started}))
"""
)


def measured(program: str, *arguments: str) -> dict[str, float]:
    """Run a program in a new process and read the one JSON object that it prints."""
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    media = (str(EXAMPLES / "portrait.jpg"), str(EXAMPLES / "voice.flac"))
    turns = [measured(_TURN, *media) for _ in range(arguments.runs)]
    loads = [measured(_LOAD)["load"] for _ in range(arguments.runs)]

    def middle(key: str) -> float:
        return round(statistics.median(turn[key] for turn in turns), 3)

    load = round(statistics.median(loads), 3)
    result: dict[str, object] = {
        "name": "first-token",
        "metrics": {
            "imports_s": middle("imports"),
            "first_token_s": middle("token"),
            "first_token_s_max": round(max(turn["token"] for turn in turns), 3),
            "first_token_over_load": round(middle("token") / load, 3),
            "runs": len(turns),
        },
        "baselines": {"load_language_model_s": load},
    }
    print(json.dumps(result) if arguments.json else json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
