"""EmoBank's valence, arousal and dominance on the scale that all affects are told in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.affect import VAD
from affectgraph.perceivers.errors import ModelCorruptError

FACTS: Final = Path(__file__).parent / "weights" / "affect-minilm.json"
"""What the trainer fitted beside the weights: the alignment, and thresholds for multi-label use."""


@dataclass(frozen=True)
class VADScale:
    """Tells EmoBank's 1 to 5 in [-1, 1], so that texts and faces can be compared.

    EmoBank's raters hardly leave the middle of their scale, while the anchors of the emotions
    reach far out. So each axis is stretched until neutral words lie at 0 and the spread over
    GoEmotions' validation texts is that of the anchors of their labels. It is a line for each
    axis: order and correlation stay as they are.

    Attributes:
        centre: What lies at 0, for each axis.
        slope: What a point of EmoBank's scale is worth, for each axis.
    """

    centre: tuple[float, float, float]
    slope: tuple[float, float, float]

    @classmethod
    def load(cls, facts: Path = FACTS) -> VADScale:
        """Read ``{"alignment": {"centre": [3], "slope": [3]}}`` from a JSON file; blocking.

        Raises:
            ModelCorruptError: If the file is absent or holds no alignment.
        """
        try:
            told = json.loads(facts.read_text(encoding="utf-8"))["alignment"]
            line = np.array([told["centre"], told["slope"]], dtype=np.float64)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelCorruptError(f"{facts.name}: no alignment of the axes") from error
        if line.shape != (2, 3) or not np.isfinite(line).all():
            raise ModelCorruptError(f"{facts.name}: the alignment has another shape")
        (v, a, d), (by_v, by_a, by_d) = line.tolist()
        return cls((v, a, d), (by_v, by_a, by_d))

    def told(self, vad: NDArray[np.floating[Any]]) -> VAD:
        """EmoBank's scale, shape (3,), as valence, arousal and dominance in [-1, 1]."""
        v, a, d = np.clip((vad - np.array(self.centre)) * self.slope, -1.0, 1.0).tolist()
        return VAD(valence=v, arousal=a, dominance=d)
