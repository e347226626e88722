"""Train a small language model to decide and to answer: SMES on SmolLM2.

Run::

    affectgraph models pull smollm2-135m
    affectgraph train reasoner --corpus esconv --data DIR --out RUN

The sequence is Y = [H, E, S, SE, R] of SMES (Chu et al.): whole dialogues in the words of the
agent's own prompt, loss on labels and responses. ``RUN`` then holds ``curves.jsonl``, the state to
resume from, the adapter, and ``merged/``, a plain checkpoint. The same command takes a run up
where it stopped; what validated best so far is written each time. Choices are made on the
validation split; no test split is read here. Progress goes to standard error; standard output is
one JSON object. Needs the extra ``train``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from affectgraph.perceivers.errors import ExtraMissingError, SetupError
from affectgraph.perceivers.models import ModelStore
from affectgraph.perceivers.models.wheel import sha256_of
from affectgraph.perceivers.training.command import Say, sayer, write
from affectgraph.reasoners.prompts import PromptLayout, Prompts
from affectgraph.reasoners.training import esconv_dialogues, mesc_dialogues, own_dialogues
from affectgraph.reasoners.training.dialogues import Dialogue
from affectgraph.reasoners.training.reading import TextBeliefs
from affectgraph.reasoners.training.sequences import Renderer, TokenSequence

if TYPE_CHECKING:
    from affectgraph.reasoners.training.loop import Loop, LoopConfig, Losses
    from affectgraph.reasoners.training.network import Network

BASE: Final = "smollm2-135m"
MERGED: Final = "merged"
_NEEDS: Final = ("torch", "transformers", "peft")
_TERMS: Final = {
    "esconv": "trained on ESConv (CC BY-NC 4.0): research, non-commercial",
    "mesc": "trained on MESC (no licence stated): not to be passed on",
}
_STRATEGIES: Final = {"esconv": "esconv-8", "mesc": "mesc-10"}


@dataclass(frozen=True)
class Corpus:
    """Dialogues of a corpus as tokens.

    Attributes:
        train: To learn from.
        valid: To choose on.
    """

    train: tuple[TokenSequence, ...]
    valid: tuple[TokenSequence, ...]

    def counts(self) -> dict[str, int]:
        """Dialogues, tokens, tokens that count, and exchanges left out as too long."""
        counts = dict[str, int]()
        for split, sequences in (("train", self.train), ("valid", self.valid)):
            counts[f"{split} dialogues"] = len(sequences)
            counts[f"{split} tokens"] = sum(map(len, sequences))
            counts[f"{split} counted"] = sum(kind > 0 for s in sequences for kind in s.kinds)
            counts[f"{split} exchanges left out"] = sum(s.left_out for s in sequences)
        return counts


def dialogues(
    corpus: str, data: Path, split: str, *, limit: int = 0, seed: int = 0
) -> tuple[Dialogue, ...]:
    """A split of a corpus, ``train`` or ``valid``, as dialogues.

    Raises:
        SetupError: If it is not there.
    """
    if corpus == "mesc":
        named: Any = {"train": "train", "valid": "val"}[split]
        return mesc_dialogues.load(data, named, limit=limit, seed=seed)
    either: Any = split
    return asyncio.run(esconv_dialogues.load(data, either, TextBeliefs(), limit=limit, seed=seed))


def prompts_for(corpus: str) -> Prompts:
    """The prompts that the trained reasoner will be asked with."""
    return Prompts(PromptLayout.trained(strategies=_STRATEGIES[corpus]))


def render(corpus: str, data: Path, base: Path, given: argparse.Namespace) -> Corpus:
    """Read and tokenise both splits."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    renderer = Renderer(prompts_for(corpus), tokenizer, longest=given.longest or given.length)
    limits = {"train": given.limit, "valid": given.limit_valid or given.limit}
    found = {
        split: tuple(
            renderer.render(each)
            for each in dialogues(corpus, data, split, limit=limit, seed=given.seed)
        )
        for split, limit in limits.items()
    }
    if given.own and given.corpus == "esconv":
        added = tuple(renderer.render(each) for each in own_dialogues.load())
        found["train"] += added * given.own
    return Corpus(found["train"], found["valid"])


def train(given: argparse.Namespace, say: Say) -> dict[str, Any]:
    """Train as asked; give what standard output shows."""
    if any(find_spec(module) is None for module in _NEEDS):
        raise ExtraMissingError("training a reasoner", "train")
    import torch

    if given.threads:
        torch.set_num_threads(given.threads)
    base = given.base or ModelStore().path(BASE)
    _check(given, base)
    corpus = render(given.corpus, given.data, base, given)
    if not any(map(len, corpus.train)) or not any(map(len, corpus.valid)):
        longest = given.longest or given.length
        raise SetupError(f"no dialogue begins within {longest} tokens: give a longer --longest")
    say(", ".join(f"{name} {count}" for name, count in corpus.counts().items()))
    network, loop, config = _set_up(given, base, corpus, say)
    before = _base_losses(loop, given, say)
    outcome = loop.run(_until(given.minutes, given.stop_after))
    result: dict[str, Any] = {
        "corpus": given.corpus,
        "terms": _TERMS[given.corpus],
        "counts": corpus.counts(),
        "steps": outcome.steps,
        "done": outcome.place.step,
        "tokens seen": outcome.place.seen,
        "tokens per second": round(outcome.place.seen / max(outcome.place.seconds, 1e-9), 1),
        "interrupted": outcome.interrupted,
        "stopped early": outcome.stopped_early,
        "best step": outcome.place.best_step,
    }
    if loop.validated:
        loop.load_best()
        result["files"] = finish(given, network, base)
    if not outcome.interrupted:
        result["valid"] = {"base": before, "trained": _told(loop.valid_losses())}
        result["config"] = asdict(config)
    return result


def _check(given: argparse.Namespace, base: Path) -> None:
    """Find before the training what would end it."""
    from affectgraph.reasoners.training.merge import weight_files

    if given.longest > given.length:
        raise SetupError(
            f"a dialogue of --longest {given.longest} tokens does not fit a row of --length"
            f" {given.length}: make the rows as long, or the dialogues shorter"
        )
    weight_files(base)


def finish(given: argparse.Namespace, network: Network, base: Path) -> list[str]:
    """Write the adapter (of the method ``lora``) and the merged checkpoint; name the files."""
    from affectgraph.reasoners.training.merge import (
        ADAPTER,
        merge,
        write_adapter,
        write_checkpoint,
    )

    about = {"base": BASE if given.base is None else given.base.name, "terms": _TERMS[given.corpus]}
    out: Path = given.out
    if given.method == "lora":
        adapter = out / ADAPTER
        write_adapter(network.learning, adapter, rank=given.rank, alpha=given.alpha, about=about)
        merge(base, adapter, out / MERGED)
    else:
        write_checkpoint(network.checkpoint(), base, out / MERGED)
    files = [ADAPTER] if given.method == "lora" else []
    if find_spec("matplotlib") is not None:
        from affectgraph.reasoners.training.curves import plot

        plot(out / "curves.jsonl", out / "curves.png", title=f"{about['base']} on {given.corpus}")
        files.append("curves.png")
    return [*files, MERGED]


def _set_up(
    given: argparse.Namespace, base: Path, corpus: Corpus, say: Say
) -> tuple[Network, Loop, LoopConfig]:
    from affectgraph.reasoners.training.loop import Loop, LoopConfig
    from affectgraph.reasoners.training.network import Adapters, Network
    from affectgraph.reasoners.training.sequences import Weights

    network = Network(
        base,
        method=given.method,
        adapters=Adapters(given.rank, given.alpha, given.dropout),
        precision=given.precision,
        compiled=given.compile,
        device=given.device,
        seed=given.seed,
    )
    if given.adapter is not None:
        network.begin_with(given.adapter)
    config = LoopConfig(
        epochs=given.epochs,
        length=given.length,
        rows=given.rows,
        rate=given.rate,
        weights=Weights(label=given.label_weight),
        every=given.every,
        patience=given.patience,
        seed=given.seed,
    )
    start = _start(given, base, network.precision)
    loop = Loop(network, corpus.train, corpus.valid, given.out, config, say, start)
    return network, loop, config


def _start(given: argparse.Namespace, base: Path, precision: str) -> str:
    """All that a run depends on besides its loop's settings and its dialogues."""
    from affectgraph.reasoners.training.merge import weight_files

    # By content: every run's own checkpoint lies in a folder named ``merged``.
    files = (*weight_files(base), base / "config.json")
    told = {
        "base": [sha256_of(file) for file in files if file.is_file()],
        "method": given.method,
        "precision": precision,
    }
    if given.method == "lora":
        told |= {
            "adapter": given.adapter and sha256_of(given.adapter),
            "rank": given.rank,
            "alpha": given.alpha,
            "dropout": given.dropout,
        }
    return json.dumps(told, sort_keys=True)


def _base_losses(loop: Loop, given: argparse.Namespace, say: Say) -> dict[str, float] | None:
    """The losses before the first step; ``None`` of a run that is taken up again."""
    if loop.begun:
        return None
    found = _told(loop.valid_losses())
    say(f"{given.corpus}: before training {found}")
    return found


def _told(losses: Losses) -> dict[str, float]:
    return {
        "weighted": round(losses.weighted, 4),
        "label": round(losses.label, 4),
        "response": round(losses.response, 4),
        "response perplexity": round(math.exp(losses.response), 2),
    }


def _until(minutes: float, steps: int) -> Callable[[int], bool]:
    begun = time.monotonic()

    def stop(step: int) -> bool:
        late = bool(minutes) and time.monotonic() - begun > 60 * minutes
        return late or (bool(steps) and step >= steps)

    return stop


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    found = argparse.ArgumentParser(
        prog="affectgraph train reasoner",
        description="Train SmolLM2 on whole dialogues: labels, then the response.",
    )
    add = found.add_argument
    add("--corpus", choices=sorted(_STRATEGIES), default="esconv")
    add("--data", type=Path, required=True, help="folder of the corpora")
    add("--out", type=Path, required=True, help="folder of the run; an interrupted one goes on")
    add("--base", type=Path, help=f"folder of a Llama checkpoint; {BASE}, pulled, by default")
    add("--own", type=int, default=10, help="times the project's dialogues are added to ESConv")
    add("--adapter", type=Path, help="an adapter of the same rank to begin with")
    add("--method", choices=("lora", "full"), default="lora")
    add("--rank", type=int, default=16)
    add("--alpha", type=int, default=32)
    add("--dropout", type=float, default=0.0)
    add("--epochs", type=float, default=2.0)
    add("--length", type=int, default=1024, help="tokens of a packed row")
    add("--longest", type=int, default=0, help="tokens of a dialogue at most; a row by default")
    add("--rows", type=int, default=2, help="rows of a step")
    add("--rate", type=float, default=5e-4, help="highest learning rate")
    add("--label-weight", type=float, default=0.3, help="of label tokens; responses weigh 1")
    add("--every", type=int, default=25, help="steps between validations")
    add("--patience", type=int, default=3, help="validations without a gain; 0 for any number")
    add("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    add("--compile", action="store_true", help="compile the blocks")
    add("--device", default="cpu", help="cpu or cuda")
    add("--threads", type=int, default=0, help="of torch")
    add("--minutes", type=float, default=0.0, help="stop after so long, to be taken up again")
    add("--stop-after", type=int, default=0, help="stop after so many steps, likewise")
    add("--limit", type=int, default=0, help="dialogues (MESC: utterances) of a split at most")
    add("--limit-valid", type=int, default=0, help="the same of the validation split alone")
    add("--seed", type=int, default=0)
    add("--json", action="store_true", help="no progress, JSON on one line")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Train as the arguments say, and print one JSON object."""
    given = parser().parse_args(arguments)
    try:
        result = train(given, sayer(given))
    except SetupError as error:
        sys.exit(str(error))
    write(given, result)


if __name__ == "__main__":
    main()
