"""Taxonomies of support strategies."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from affectgraph.perceivers.labels import LabelSet

MESC_10: Final = LabelSet(
    name="mesc-10",
    kind="strategy",
    labels=(
        "Open questions",
        "Approval",
        "Self-disclosure",
        "Restatement",
        "Interpretation",
        "Advisement",
        "Communication Skills",
        "Structuring the therapy",
        "Guiding the pace and depth of the conversation",
        "Others",
    ),
    source="Chu et al., MESC: multimodal emotional support conversation",
)
ESCONV_8: Final = LabelSet(
    name="esconv-8",
    kind="strategy",
    labels=(
        "Question",
        "Restatement or Paraphrasing",
        "Reflection of feelings",
        "Self-disclosure",
        "Affirmation and Reassurance",
        "Providing Suggestions",
        "Information",
        "Others",
    ),
    source="Liu et al. (2021), ESConv: towards emotional support dialog systems",
)
STRATEGIES: Final = MappingProxyType({s.name: s for s in (MESC_10, ESCONV_8)})
