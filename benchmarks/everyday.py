"""The default agent's answers to 60 everyday messages, and what the checks of replies say of them.

    python benchmarks/everyday.py [--spec FILE] [--json] [--markdown FILE] [--only TEXT]

Time limits are wide, so that the words do not depend on what else the machine does.

Every message, or conversation of two or three, is a thread of its own with a fresh memory. For each
turn: what was decided, whether the words are the model's first try, its second, or written ones
and why, the reply, and what the checks find in the reply as it was delivered. Notices and crisis
resources are not counted to the reply. The judgement whether a reply is good is the reader's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import yaml
from pydantic import BaseModel, ConfigDict

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it runs by its path, too

from affectgraph.orchestrator import (
    Agent,
    Consent,
    Limits,
    Parts,
    Reply,
    Settings,
    Turn,
    default_parts,
)
from affectgraph.orchestrator.spec import load_spec
from affectgraph.reasoners.context import Exchange, ReasoningContext
from affectgraph.reasoners.plan import Plan
from affectgraph.reasoners.replies.checks import Checks, codes
from affectgraph.reasoners.replies.findings import Situation

PATIENT: Final = Limits(text=120, fuse=60, triage=120, recall=60, decide=300, respond=600)
MESSAGES: Final = Path(__file__).parent / "data" / "everyday.yaml"


class Row(BaseModel):
    """One turn.

    Attributes:
        conversation: Number of the conversation, from 1.
        said: What the person said.
        emotion: Decided of the person; empty if nothing was.
        strategy: Of the reply.
        source: ``model``, ``resampled`` or ``written``; ``fallback`` and ``crisis`` as the reply
            tells them.
        reasons: Why it is not simply the model's.
        reply: What was delivered.
        findings: What the checks find in that.
        seconds: From the message to the end of the reply.
    """

    model_config = ConfigDict(frozen=True)

    conversation: int
    said: str
    emotion: str
    strategy: str
    source: str
    reasons: tuple[str, ...]
    reply: str
    findings: tuple[str, ...]
    seconds: float


def conversations(path: Path = MESSAGES) -> list[list[str]]:
    """The messages of each conversation."""
    listed = yaml.safe_load(path.read_text("utf-8"))
    return [[each] if isinstance(each, str) else list(each) for each in listed]


async def answered(parts: Parts, told: Sequence[Sequence[str]]) -> list[Row]:
    """Have an agent answer every conversation in a thread of its own."""
    rows: list[Row] = []
    async with Agent(parts) as agent:
        await agent.warm_up()
        for number, messages in enumerate(told, 1):
            history: list[Exchange] = []
            for said in messages:
                started = time.perf_counter()
                turn = Turn(user="ana", thread=str(number), text=said, consent=Consent())
                reply = await agent.respond(turn)
                rows.append(_row(number, said, reply, history, time.perf_counter() - started))
                print(f"{number}/{len(told)}", end="\r", file=sys.stderr, flush=True)
                history.append(Exchange(said=said, replied=reply.text, plan=_plan(reply)))
    return rows


def _plan(reply: Reply) -> Plan:
    return Plan(
        user_emotion=reply.user_emotion,
        strategy=reply.strategy,
        system_emotion=reply.system_emotion,
    )


def _row(number: int, said: str, reply: Reply, history: Sequence[Exchange], took: float) -> Row:
    context = ReasoningContext(utterance=said, affect=reply.affect, history=tuple(history))
    situation = Situation(context, _plan(reply))
    origin = reply.origin
    spoken = reply.source == "reasoner" and origin is not None
    return Row(
        conversation=number,
        said=said,
        emotion=reply.user_emotion.label if reply.user_emotion else "",
        strategy=reply.strategy.label if reply.strategy else "",
        source=origin.source if spoken and origin is not None else reply.source,
        reasons=origin.reasons if origin is not None else (),
        reply=reply.text,
        findings=codes(Checks().reply(reply.text, situation)),
        seconds=round(took, 2),
    )


def summary(rows: Sequence[Row]) -> dict[str, object]:
    """Counts over all turns."""
    return {
        "turns": len(rows),
        "conversations": len({row.conversation for row in rows}),
        "sources": dict(Counter(row.source for row in rows).most_common()),
        "reasons": dict(Counter(code for row in rows for code in row.reasons).most_common()),
        "turns_with_findings": sum(bool(row.findings) for row in rows),
        "findings": dict(Counter(code for row in rows for code in row.findings).most_common()),
    }


def table(rows: Sequence[Row]) -> str:
    """The rows as a table in Markdown."""
    lines = [
        "| # | message | emotion | strategy | source | reply | findings |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        source = f"{row.source} ({', '.join(row.reasons)})" if row.reasons else row.source
        cells = (
            str(row.conversation), row.said, row.emotion, row.strategy, source, row.reply,
            ", ".join(row.findings) or "none",
        )  # fmt: skip
        escaped = [" ".join(cell.split()).replace("|", "\\|") for cell in cells]
        lines.append(f"| {' | '.join(escaped)} |")
    return "\n".join(lines)


def main() -> None:
    """Answer and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--spec", type=Path, help="another agent's YAML file")
    parser.add_argument("--messages", type=Path, default=MESSAGES, help="a YAML list of others")
    parser.add_argument("--only", default="", help="only conversations that hold this text")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--markdown", type=Path, help="write the table into this file")
    arguments = parser.parse_args()
    told = [
        c
        for c in conversations(arguments.messages)
        if any(arguments.only in message for message in c)
    ]
    with tempfile.TemporaryDirectory() as folder:
        if arguments.spec:
            parts = load_spec(arguments.spec).build().parts
        else:
            parts = default_parts(Settings(memory=Path(folder) / "memory"))
        rows = asyncio.run(answered(replace(parts, limits=PATIENT), told))
    if arguments.markdown:
        arguments.markdown.write_text(table(rows) + "\n", "utf-8")
    if arguments.json:
        result = {"name": "everyday", "metrics": summary(rows)}
        print(json.dumps({**result, "rows": [row.model_dump() for row in rows]}))
    else:
        print(table(rows))
        print(json.dumps(summary(rows), indent=2))


if __name__ == "__main__":
    main()
