"""What papers print of MESC: paper 1 (Chu et al., SMES) and paper 2 (Le et al., MultiMood)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from affectgraph.orchestrator.evaluation.generation_overlap import BLEU_2_OF_PAPER_2
from affectgraph.orchestrator.evaluation.result import Row

_Figures = tuple[float | None, ...]

_TABLE_IV: Final = "paper 1, Table IV: units and history unsaid"
_TABLE_VI: Final = "paper 1, Table VI: without the video no voice either; units and history unsaid"
_TABLE_VII: Final = "paper 1, Table VII; it does not say whether the model was trained anew"
_TABLE_4: Final = "paper 2, Table 4: merged turns, gold labels in the history"

_ROWS: Final[tuple[tuple[str, str, Mapping[str, _Figures]], ...]] = (
    ("DialogueGCN", _TABLE_IV, {"emotion": (46.27, 50.61)}),
    ("MMGCN", _TABLE_IV, {"emotion": (55.8, 57.58)}),
    ("MMDFN", _TABLE_IV, {"emotion": (58.13, 55.86)}),
    ("BlenderBot-Joint", _TABLE_IV, {"strategy": (48.0, 46.1), "response": (4.85, 15.25, 85.5)}),
    ("BBMHR", _TABLE_IV, {"response": (1.31, 15.38, 86.6)}),
    (
        "GPT-3.5", _TABLE_IV,
        {"emotion": (33.5, 33.8), "strategy": (19.9, 17.6), "tone": (17.4, 27.6),
         "response": (1.01, 4.60, 84.5)},
    ),
    (
        "GPT-4", _TABLE_IV,
        {"emotion": (15.73, 15.80), "strategy": (9.73, 11.25), "tone": (14.04, 14.09),
         "response": (4.98, 9.96, 84.6)},
    ),
    (
        "SMES", f"{_TABLE_IV}; BLEU-4: Table VII",
        {"emotion": (54.6, 46.8), "strategy": (49.0, 20.2), "tone": (96.1, 64.0),
         "response": (37.89, 41.99, 90.2, 27.02)},
    ),
    (
        "SMES, without video", _TABLE_VI,
        {"emotion": (53.1,), "strategy": (44.2,), "tone": (None, 42.2), "perplexity": (3.89,)},
    ),
    (
        "SMES, without text", _TABLE_VI,
        {"emotion": (48.5,), "strategy": (46.5,), "tone": (None, 38.7), "perplexity": (3.02,)},
    ),
    ("SMES", _TABLE_VII, {"perplexity": (2.78,)}),
    (
        "SMES, without emotion", _TABLE_VII,
        {"perplexity": (3.03,), "response": (35.57, 41.21, None, 25.13)},
    ),
    (
        "SMES, without strategy", _TABLE_VII,
        {"perplexity": (2.97,), "response": (37.31, 41.74, None, 26.8)},
    ),
    ("SMES, as paper 2 has its responses", _TABLE_4, {"response": (5.13, 15.42, 86.80)}),
    (
        "VideoLLaMA2-72B, zero-shot", _TABLE_4,
        {"emotion": (55.06, 55.68), "strategy": (25.77, 26.09), "tone": (97.36, 98.10),
         "response": (3.55, 13.77, 85.37)},
    ),
    (
        "EmotionLLaMA, SFT", _TABLE_4,
        {"emotion": (46.12, 41.95), "strategy": (37.44, 25.41), "tone": (99.11, 99.11),
         "response": (2.55, 10.76, 84.28)},
    ),
    (
        "Claude-3.7-Sonnet, text", _TABLE_4,
        {"emotion": (32.59, 33.33), "strategy": (27.97, 27.55), "tone": (85.90, 91.80),
         "response": (2.25, 8.45, 83.79)},
    ),
    (
        "GPT-4o, text", _TABLE_4,
        {"emotion": (38.98, 43.56), "strategy": (24.88, 26.26), "tone": (72.46, 83.60),
         "response": (2.30, 9.20, 84.31)},
    ),
    (
        "Qwen2.5-7B, SFT", _TABLE_4,
        {"emotion": (53.00, 51.13), "strategy": (35.14, 34.46), "tone": (98.63, 98.80),
         "response": (4.68, 13.81, 85.52)},
    ),
    (
        "Qwen2-0.5B, SFT + PPO", _TABLE_4,
        {"emotion": (44.27, 44.99), "strategy": (36.34, 33.01), "tone": (99.33, 99.00),
         "response": (4.40, 12.31, 85.36)},
    ),
    (
        "MultiMood, SFT + Comp", _TABLE_4,
        {"emotion": (53.75, 51.75), "strategy": (39.29, 36.25), "tone": (99.33, 99.00),
         "response": (5.26, 15.34, 85.81)},
    ),
    (
        "MultiMood, SFT", _TABLE_4,
        {"emotion": (56.38, 55.81), "strategy": (36.78, 34.32), "tone": (99.11, 99.11),
         "response": (4.58, 13.47, 85.71)},
    ),
    (
        "MultiMood, SFT + GRPO", _TABLE_4,
        {"emotion": (58.60, 57.78), "strategy": (42.81, 39.65), "tone": (99.33, 99.00),
         "response": (6.18, 17.86, 86.80)},
    ),
    (
        "MultiMood, SFT + Comp + GRPO", _TABLE_4,
        {"emotion": (55.94, 55.33), "strategy": (38.10, 34.58), "tone": (99.11, 99.11),
         "response": (5.42, 15.83, 86.00)},
    ),
)  # fmt: skip
"""Labels: accuracy, weighted F1. Responses: BLEU-2, ROUGE-L, BERTScore, BLEU-4. All in percent, but
the perplexity. "Comp": with paper 2's compressed history."""


def published(task: str) -> tuple[Row, ...]:
    """Published rows of ``emotion``, ``strategy`` or ``tone`` (the therapist's emotion)."""
    return _rows(task, ("accuracy", "weighted_f1"), 100)


def published_responses() -> tuple[Row, ...]:
    """Published rows of responses, percent; paper 1 does not say how it counts BLEU."""
    columns = ("rouge-l", "bertscore", "bleu-4")
    first = _rows("response", ("bleu-2", *columns), source="paper 1")
    return *first, *_rows("response", (BLEU_2_OF_PAPER_2, *columns), source="paper 2")


def published_perplexity() -> tuple[Row, ...]:
    """Published rows of the perplexity of replies."""
    return _rows("perplexity", ("perplexity",))


def _rows(task: str, columns: tuple[str, ...], of: int = 1, source: str = "") -> tuple[Row, ...]:
    return tuple(
        Row.published(
            name,
            said,
            **{
                column: round(figure / of, 4)
                for column, figure in zip(columns, told[task], strict=False)
                if figure is not None
            },
        )
        for name, said, told in _ROWS
        if task in told and said.startswith(source)
    )
