"""How often the checks of replies are right, on written examples and on a corpus.

    python benchmarks/reply_checks.py [--data FOLDER] [--sample N] [--off NAME ...] [--json]

Add ``--show`` to see the written examples that go wrong.

The examples in ``tests/reasoners/replies/judged_replies.yaml`` say of each reply whether it is
good, and of a bad one what is to be found. Precision and recall are of "something is wrong". They
come from the hand that wrote the checks, so they flatter. On ESConv's training split the
supporters' replies are people's: many tell of their own life or advise at once, which an AI must
not. There the pass rate is a figure for how far the checks differ from people, by code and by
strategy, and beside it stands that of the same replies to other messages.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it runs by its path, too

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.corpora.esconv import Chat, Line, load
from affectgraph.perceivers.labels import MESC_7
from affectgraph.reasoners.context import Exchange, ReasoningContext
from affectgraph.reasoners.plan import Decision, Plan
from affectgraph.reasoners.replies.checks import Checks, codes
from affectgraph.reasoners.replies.findings import Situation

EXAMPLES: Final = (
    Path(__file__).parents[1] / "tests" / "reasoners" / "replies" / "judged_replies.yaml"
)


@dataclass(frozen=True)
class Judged:
    """A reply with its judgement.

    Attributes:
        situation: What it answers.
        reply: The words.
        code: What is to be found; ``None`` for a good reply.
    """

    situation: Situation
    reply: str
    code: str | None


def judged(path: Path = EXAMPLES) -> list[Judged]:
    """The written examples."""
    return list(_read(yaml.safe_load(path.read_text("utf-8"))))


def _read(told: dict[str, Any]) -> Iterator[Judged]:
    for part in ("good", "advised"):
        for emotion, lines in told[part].items():
            yield from (_judged(line, emotion, None) for line in lines)
    for emotion, each in told["later"].items():
        yield from (_judged(e["line"], emotion, None, e["after"]) for e in each)
    for code, lines in told["bad"].items():
        yield from (_judged(line, "neutral", code) for line in lines)
    for emotion, each in told["misfit"].items():
        yield from (_judged(line, emotion, code) for e in each for code, line in e.items())
    for each in told["repeated"]:
        yield _judged(each["line"], "sadness", "repeats-reply", each["after"])


def _judged(line: str, emotion: str, code: str | None, after: Sequence[str] = ()) -> Judged:
    said, reply = line.split(" =>", 1)
    history = (Exchange(said=after[0], replied=after[1]),) if after else ()
    belief = Distribution.certain(MESC_7, emotion)
    decided = Decision(
        stage="user_emotion", distribution=belief, label=emotion, source="written example"
    )
    context = ReasoningContext(utterance=said.strip(), history=history)
    return Judged(Situation(context, Plan(user_emotion=decided)), reply.strip(), code)


def on_examples(checks: Checks) -> dict[str, Any]:
    """Precision, recall and what was missed, on the written examples."""
    cases = judged()
    found = [codes(checks.reply(case.reply, case.situation)) for case in cases]
    good = [f for c, f in zip(cases, found, strict=True) if c.code is None]
    bad = [(c, f) for c, f in zip(cases, found, strict=True) if c.code is not None]
    caught = sum(bool(f) for _, f in bad)
    alarms = sum(bool(f) for f in good)
    return {
        "good": len(good),
        "bad": len(bad),
        "precision": round(caught / max(1, caught + alarms), 3),
        "recall": round(caught / len(bad), 3),
        "named_rightly": round(sum(c.code in f for c, f in bad) / len(bad), 3),
        "false_alarms": alarms,
        "missed": dict(Counter(str(c.code) for c, f in bad if not f)),
    }


def on_esconv(checks: Checks, folder: Path, sample: int) -> dict[str, Any]:
    """Pass rates of people's replies in the training split, and of the same shuffled."""
    cases: list[tuple[tuple[Exchange, ...], str, str, str]] = []
    for chat in load(folder, "train"):
        cases += _cases(chat)
    drawn = random.Random(0)  # noqa: S311 - a sample
    drawn.shuffle(cases)
    cases = cases[:sample]
    others = [reply for _, _, reply, _ in cases]
    drawn.shuffle(others)
    passed, strange = 0, 0
    by_strategy, totals, found = Counter[str](), Counter[str](), Counter[str]()
    for (history, said, reply, strategy), other in zip(cases, others, strict=True):
        situation = Situation(ReasoningContext(utterance=said, history=history))
        wrong = codes(checks.reply(reply, situation))
        totals[strategy] += 1
        by_strategy[strategy] += not wrong
        passed += not wrong
        found.update(wrong)
        strange += not checks.reply(other, situation)
    return {
        "replies": len(cases),
        "pass_rate": round(passed / len(cases), 3),
        "pass_rate_shuffled": round(strange / len(cases), 3),
        "pass_rate_by_strategy": {s: round(by_strategy[s] / n, 3) for s, n in totals.items()},
        "found": dict(found.most_common()),
    }


def _cases(chat: Chat) -> Iterator[tuple[tuple[Exchange, ...], str, str, str]]:
    """Each supporter's turn after a seeker's, with what was before and its first strategy."""
    history: tuple[Exchange, ...] = ()
    said, reply, strategy = "", "", ""
    for line in (*chat.lines, Line("seeker", "", "")):
        if line.speaker == "supporter":
            reply, strategy = f"{reply} {line.text}".strip(), strategy or line.strategy
            continue
        if said and reply:
            yield history, said, reply, strategy
            history = (*history, Exchange(said=said, replied=reply))
        if reply:
            said, reply, strategy = "", "", ""
        said = f"{said} {line.text}".strip()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    root = os.environ.get("AFFECTGRAPH_DATA", Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(root))
    parser.add_argument("--sample", type=int, default=2000, help="replies of ESConv")
    parser.add_argument("--off", nargs="*", default=[], help="checks that do not look")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--show", action="store_true", help="the written examples that go wrong")
    arguments = parser.parse_args()
    checks = Checks.without(arguments.off)
    if arguments.show:
        for case in judged():
            found = codes(checks.reply(case.reply, case.situation))
            if (case.code not in found) if case.code else found:
                print(case.code, found, case.situation.context.utterance, "=>", case.reply)
    metrics = {"examples": on_examples(checks)}
    if (arguments.data / "esconv").is_dir():
        metrics["esconv_train"] = on_esconv(checks, arguments.data, arguments.sample)
    result = {"name": "reply-checks", "metrics": metrics}
    print(json.dumps(result) if arguments.json else json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
