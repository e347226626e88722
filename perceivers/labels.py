"""Label sets of the field and the declared mappings between them.

A mapping is *exact* when every source label lies wholly inside one target label, by the
definition of the data sets; it is *lossy* when meaning is dropped, split or approximated.
Nothing converts silently: :func:`mapping` finds a declared mapping or raises.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from affectgraph.perceivers.errors import BuildError


class LabelSet(BaseModel):
    """An ordered, named set of labels.

    Attributes:
        name: Short name with its size, such as ``ekman-7``.
        labels: The labels in the order in which every distribution over the set lists them.
        kind: What is labelled.
        source: Publication or data set that defines it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    labels: tuple[str, ...]
    kind: Literal["emotion", "strategy"]
    source: str

    @model_validator(mode="after")
    def _distinct(self) -> LabelSet:
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"label set {self.name!r} needs two or more distinct labels")
        return self

    def __contains__(self, label: str) -> bool:
        return label in self.labels

    def __len__(self) -> int:
        return len(self.labels)


class LabelMapping(BaseModel):
    """How the labels of one set are told in another.

    Attributes:
        source: Name of the set that is translated.
        target: Name of the set that it is translated into.
        table: For each source label, its share in each target label; shares sum to 1.
        exact: Whether nothing is lost or approximated (see the module's text).
        note: Where the table comes from and, if lossy, what is lost.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    target: str
    table: dict[str, dict[str, float]]
    exact: bool
    note: str

    @model_validator(mode="after")
    def _complete(self) -> LabelMapping:
        source, target = EMOTIONS[self.source], EMOTIONS[self.target]
        if set(self.table) != set(source.labels):
            raise ValueError(f"{self.source} -> {self.target}: rows are not the source's labels")
        for label, shares in self.table.items():
            if not set(shares) <= set(target.labels) or abs(sum(shares.values()) - 1) > 1e-9:
                raise ValueError(f"{self.source} -> {self.target}: row {label!r} is not a share")
        if self.exact and any(len(shares) != 1 for shares in self.table.values()):
            raise ValueError(f"{self.source} -> {self.target}: an exact mapping cannot split")
        return self

    def apply(self, probs: tuple[float, ...]) -> tuple[float, ...]:
        """Carry probabilities over.

        Args:
            probs: One probability per source label, in the source's order.

        Returns:
            One probability per target label, in the target's order; the sum is kept.
        """
        totals = dict.fromkeys(EMOTIONS[self.target].labels, 0.0)
        for label, prob in zip(EMOTIONS[self.source].labels, probs, strict=True):
            for to, share in self.table[label].items():
                totals[to] += prob * share
        return tuple(totals.values())


def _emotions(name: str, labels: str, source: str) -> LabelSet:
    return LabelSet(name=name, labels=tuple(labels.split()), kind="emotion", source=source)


EKMAN_7: Final = _emotions(
    "ekman-7",
    "anger disgust fear joy neutral sadness surprise",
    "Ekman (1992), six basic emotions, and neutral; as in GoEmotions and MELD",
)
MESC_7: Final = _emotions(
    "mesc-7",
    "anger sadness disgust depression neutral joy fear",
    "Chu et al., MESC: multimodal emotional support conversation",
)
IEMOCAP_6: Final = _emotions(
    "iemocap-6",
    "anger happiness neutral sadness frustration excitement",
    "Busso et al. (2008), the six classes used for IEMOCAP",
)
FERPLUS_8: Final = _emotions(
    "ferplus-8",
    "neutral happiness surprise sadness anger disgust fear contempt",
    "Barsoum et al. (2016), FER+",
)
RAVDESS_8: Final = _emotions(
    "ravdess-8",
    "neutral calm happy sad angry fearful disgust surprised",
    "Livingstone and Russo (2018), RAVDESS",
)
GOEMOTIONS_28: Final = _emotions(
    "goemotions-28",
    "admiration amusement anger annoyance approval caring confusion curiosity desire "
    "disappointment disapproval disgust embarrassment excitement fear gratitude grief joy love "
    "nervousness optimism pride realization relief remorse sadness surprise neutral",
    "Demszky et al. (2020), GoEmotions",
)
PLUTCHIK_8: Final = _emotions(
    "plutchik-8",
    "joy trust fear surprise sadness disgust anger anticipation",
    "Plutchik (1980), primary emotions",
)

EMOTIONS: Final = MappingProxyType(
    {
        s.name: s
        for s in (EKMAN_7, MESC_7, IEMOCAP_6, FERPLUS_8, RAVDESS_8, GOEMOTIONS_28, PLUTCHIK_8)
    }
)


def _one_to_one(pairs: str) -> dict[str, dict[str, float]]:
    """Read ``"target: source source; target: source"`` into a table without splits."""
    table: dict[str, dict[str, float]] = {}
    for group in pairs.split(";"):
        target, sources = group.split(":")
        for label in sources.split():
            table[label] = {target.strip(): 1.0}
    return table


_SPLIT_SURPRISE = {"surprise": {"neutral": 0.5, "joy": 0.25, "fear": 0.25}}

_MAPPINGS: Final = (
    LabelMapping(
        source="goemotions-28",
        target="ekman-7",
        table=_one_to_one(
            "anger: anger annoyance disapproval; disgust: disgust; fear: fear nervousness;"
            "joy: joy amusement approval excitement gratitude love optimism relief pride"
            " admiration desire caring;"
            "sadness: sadness disappointment embarrassment grief remorse;"
            "surprise: surprise realization confusion curiosity; neutral: neutral"
        ),
        exact=True,
        note="The grouping published with GoEmotions (Demszky et al. 2020).",
    ),
    LabelMapping(
        source="ferplus-8",
        target="ekman-7",
        table=_one_to_one(
            "neutral: neutral; joy: happiness; surprise: surprise; sadness: sadness;"
            "anger: anger; disgust: disgust contempt; fear: fear"
        ),
        exact=False,
        note="Contempt is told as disgust, its nearest basic emotion.",
    ),
    LabelMapping(
        source="ravdess-8",
        target="ekman-7",
        table=_one_to_one(
            "neutral: neutral calm; joy: happy; sadness: sad; anger: angry; fear: fearful;"
            "disgust: disgust; surprise: surprised"
        ),
        exact=False,
        note="Calm, a neutral voice with positive valence, is told as neutral.",
    ),
    LabelMapping(
        source="mesc-7",
        target="ekman-7",
        table=_one_to_one(
            "anger: anger; sadness: sadness depression; disgust: disgust; neutral: neutral;"
            "joy: joy; fear: fear"
        ),
        exact=False,
        note="Depression, a lasting low mood, is told as sadness.",
    ),
    LabelMapping(
        source="ekman-7",
        target="mesc-7",
        table=_one_to_one(
            "anger: anger; disgust: disgust; fear: fear; joy: joy; neutral: neutral;"
            "sadness: sadness"
        )
        | _SPLIT_SURPRISE,
        exact=False,
        note="MESC has no surprise (split by valence); depression is never produced.",
    ),
    LabelMapping(
        source="iemocap-6",
        target="ekman-7",
        table=_one_to_one(
            "anger: anger frustration; joy: happiness excitement; neutral: neutral;sadness: sadness"
        ),
        exact=False,
        note="Frustration is told as anger, excitement as joy.",
    ),
    LabelMapping(
        source="plutchik-8",
        target="ekman-7",
        table=_one_to_one(
            "joy: joy; fear: fear; surprise: surprise; sadness: sadness; disgust: disgust;"
            "anger: anger"
        )
        | {
            "trust": {"joy": 0.5, "neutral": 0.5},
            "anticipation": {"joy": 0.5, "neutral": 0.5},
        },
        exact=False,
        note="Trust and anticipation have no basic emotion of their own.",
    ),
)
_BY_PAIR: Final = MappingProxyType({(m.source, m.target): m for m in _MAPPINGS})


def mapping(source: str, target: str) -> LabelMapping:
    """Find the declared mapping from one emotion label set to another.

    Raises:
        BuildError: If none is declared; the message lists those that are.
    """
    try:
        return _BY_PAIR[source, target]
    except KeyError:
        known = ", ".join(f"{a} -> {b}" for a, b in _BY_PAIR)
        raise BuildError(f"no mapping {source} -> {target} is declared; known: {known}") from None


def mappings() -> tuple[LabelMapping, ...]:
    """All declared mappings."""
    return _MAPPINGS
