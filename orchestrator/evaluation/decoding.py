"""How a checkpoint's words are chosen: as its ``generation_config.json`` says.

That file is where transformers and vLLM look, too, so a decoding that was chosen on a validation
split goes with the weights and needs no options.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from affectgraph.orchestrator.evaluation.generation_overlap import bleu_of_paper_2, rouge_l
from affectgraph.perceivers.errors import SetupError
from affectgraph.reasoners.contracts import Sampling


@dataclass(frozen=True)
class Decoding:
    """How words are chosen.

    Attributes:
        sampling: Of one response.
        ngram: No run of this many tokens is said twice; 0 for no such rule.
        samples: With more than one, so many are drawn and the one is said that overlaps most with
            the others: minimum Bayes risk (Eikema and Aziz, 2020), with the mean of paper 2's
            BLEU-2 and ROUGE-L as its gain.
    """

    sampling: Sampling = field(default_factory=Sampling)
    ngram: int = 4
    samples: int = 1

    @classmethod
    def of(cls, folder: Path) -> Decoding:
        """What a checkpoint's file says; the agent's own where it says nothing. Reads a file.

        Taken are ``max_new_tokens``, ``do_sample``, ``temperature``, ``top_p``,
        ``repetition_penalty``, ``no_repeat_ngram_size`` and ``num_return_sequences``.

        Raises:
            SetupError: If the file is not JSON, or a value cannot be.
        """
        file = folder / "generation_config.json"
        if not file.is_file():
            return cls()
        own = Sampling()
        try:
            told: dict[str, Any] = json.loads(file.read_text("utf-8"))
            sampled = bool(told.get("do_sample", False))
            return cls(
                Sampling(
                    max_tokens=told.get("max_new_tokens", own.max_tokens),
                    temperature=told.get("temperature", 1.0) if sampled else 0.0,
                    top_p=told.get("top_p", own.top_p) if sampled else own.top_p,
                    repetition_penalty=told.get("repetition_penalty", own.repetition_penalty),
                    seed=0,
                ),
                int(told.get("no_repeat_ngram_size", cls.ngram)),
                int(told.get("num_return_sequences", 1)) if sampled else 1,
            )
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise SetupError(
                f"{folder.name}: its generation_config.json cannot be used ({type(error).__name__})"
            ) from None

    def sample(self, number: int) -> Sampling:
        """How one of several is drawn."""
        return self.sampling.model_copy(update={"seed": number})

    @property
    def told(self) -> str:
        """In a row's note."""
        if self.samples > 1:
            warmth = f"temperature {self.sampling.temperature:g}"
            return f"the one of {self.samples} samples ({warmth}) most like the others"
        if self.sampling.temperature:
            return f"sampled at temperature {self.sampling.temperature:g}"
        return "greedy"


def consensus(samples: Sequence[str]) -> str:
    """The sample that overlaps most with all of them, by the mean of both figures.

    Raises:
        ValueError: If there is none.
    """
    if not samples:
        raise ValueError("no samples to choose from")
    references = [other for _ in samples for other in samples]
    candidates = [one for one in samples for _ in samples]
    gains = bleu_of_paper_2(references, candidates) + rouge_l(references, candidates)
    return samples[int(np.argmax(gains.reshape(len(samples), len(samples)).mean(axis=1)))]
