"""Whether the perceivers keep silent where there is nothing to read, and only there."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import wave
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.orchestrator.evaluation.abstention_sources import Specimen, gather
from affectgraph.orchestrator.evaluation.bench import Bench
from affectgraph.orchestrator.evaluation.metrics import MEAN, measure
from affectgraph.orchestrator.evaluation.result import (
    Bars,
    Estimate,
    Fact,
    Kept,
    Result,
    Row,
    Table,
)
from affectgraph.perceivers.affect import Modality
from affectgraph.perceivers.contracts import Perceiver
from affectgraph.perceivers.errors import MediaError, NodeError
from affectgraph.perceivers.media import SAMPLE_RATE, AudioFile, ImageFile
from affectgraph.perceivers.turn import Consent, Turn

MODALITIES: Final[tuple[Modality, ...]] = ("speech", "face", "text")
GOALS: Final = {"bad": 0.95, "good": 0.02}
"""At least so many of the bad inputs, at most so many of the good ones."""

_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
_CONSENT: Final = Consent(camera=True, microphone=True)
_REVISION: Final = "3"
_FAILURES: Final = ("failed", "timeout")
"""Reasons of an abstention that say that the perceiver broke, not that it declined."""
_NOTE: Final = (
    "Share of inputs on which the perceiver of their modality abstains. Bad inputs are generated"
    " from the seed; a file that is refused at the door counts as an abstention. Where a perceiver"
    " breaks, that counts against it: as no abstention on a bad input, as one on a good input; how"
    " often it did is a fact. FER+ faces are"
    " test pictures on which 9 of 10 raters agree, each set into a portrait in the place of its own"
    " face. Those that do not correlate with the mean face or with their mirror image (turned,"
    " tilted, unevenly lit) are hard: told apart, neither good nor bad."
)


class Abstention:
    """Bad inputs of every modality, which should be declined, beside good ones."""

    name = "abstention"
    about = "abstentions on noisy, silent, dark, cropped, faceless, unreadable inputs"

    def __init__(self, examples: Path = Path("examples")) -> None:
        self._examples = examples

    async def run(self, bench: Bench) -> Result:
        """Show the bench's perceivers every specimen.

        Raises:
            ExtraMissingError: If the extra ``eval`` is not installed.
            SetupError: If there is no recording to make voice notes of.
        """
        specimens = await bench.aside(partial(self._specimens, bench))
        abstained, broke = np.zeros(len(specimens)), np.zeros(len(specimens), np.bool_)
        for modality in MODALITIES:
            rows = [row for row, each in enumerate(specimens) if each.modality == modality]
            shown = await self._shown(bench, modality, [specimens[row] for row in rows])
            abstained[rows], broke[rows] = shown
        bad = np.array([each.bad for each in specimens], np.bool_)
        counted = np.where(broke, ~bad, abstained)
        return await bench.aside(lambda: _result(bench, specimens, counted, broke))

    def _specimens(self, bench: Bench) -> list[Specimen]:
        from affectgraph.perceivers.corpora.find import spread

        made = list(gather(bench.data, self._examples, bench.seed).specimens(bench.seed))
        classes = [(each.modality, each.kind) for each in made]
        return [made[row] for row in spread(classes, bench.limit, bench.seed)]

    async def _shown(
        self, bench: Bench, modality: Modality, specimens: Sequence[Specimen]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """1 where the perceiver abstains, and whether it broke instead; shape (n,) each."""
        perceiver = bench.subjects.perceiver(modality)
        seen = await bench.aside(lambda: bench.subjects.version(modality))
        kept = bench.kept(f"{self.name}-{modality}", *seen, _REVISION)

        async def predict(chunk: Sequence[Specimen]) -> dict[str, NDArray[np.float64]]:
            told = [await _abstains(bench, perceiver, each) for each in chunk]
            return {
                "abstained": np.array([bool(each) for each in told], np.float64),
                "broke": np.array([each is None for each in told]),
            }

        found = await kept.over(specimens, predict, known_by=lambda each: each.key)
        return (
            np.asarray(found.get("abstained", np.zeros(0)), np.float64),
            np.asarray(found.get("broke", np.zeros(0)), np.bool_),
        )


async def _abstains(bench: Bench, perceiver: Perceiver, specimen: Specimen) -> bool | None:
    """Whether a perceiver declines a specimen, which reaches it as a file would.

    Returns:
        ``None`` if the perceiver broke.
    """
    folder = Path(await bench.aside(tempfile.mkdtemp))
    try:
        reading = await perceiver.perceive(await bench.aside(lambda: as_turn(specimen, folder)))
    except MediaError:
        return True
    except NodeError:
        return None
    finally:
        await bench.aside(lambda: shutil.rmtree(folder))
    if reading.abstention is not None and reading.abstention.reason in _FAILURES:
        return None
    return reading.affect is None


def as_turn(specimen: Specimen, folder: Path) -> Turn:
    """A turn that holds a specimen, whose media lie in a folder."""
    content = specimen.content
    if isinstance(content, str):
        # A turn of nothing but blanks is refused, so a photo that nobody reads goes along.
        photo = _photo(np.zeros((32, 32, 3), np.uint8), folder)
        return Turn(text=content, images=(photo,), consent=_CONSENT, at=_AT)
    if specimen.modality == "face":
        return Turn(images=(_photo(content, folder),), consent=_CONSENT, at=_AT)
    file = folder / "note.wav"
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        out.writeframes(np.round(content * 32767).astype("<i2").tobytes())
    return Turn(audio=AudioFile(file), consent=_CONSENT, at=_AT)


def _photo(pixels: NDArray[np.uint8], folder: Path) -> ImageFile:
    from PIL import Image

    file = folder / "photo.png"
    Image.fromarray(pixels).save(file)
    return ImageFile(file)


def _result(
    bench: Bench,
    specimens: Sequence[Specimen],
    abstained: NDArray[np.float64],
    broke: NDArray[np.bool_],
) -> Result:
    modality = np.array([each.modality for each in specimens])
    kind = np.array([each.kind for each in specimens])
    bad = np.array([each.bad for each in specimens])
    hard = np.array([each.hard for each in specimens])
    both = (("bad", bad), ("good", ~bad & ~hard))

    def share(rows: NDArray[np.bool_]) -> Estimate:
        values = abstained[rows]
        return measure([MEAN], np.zeros(len(values)), values, bench.bootstrap)["mean"]

    def row(name: str, rows: NDArray[np.bool_]) -> Row:
        told = {side: share(rows & of) for side, of in both if (rows & of).any()}
        return Row(name, "ours", told, int((rows & ~hard).sum()))

    def floor(name: str, rate: float) -> Row:
        return Row(name, "baseline", {side: Estimate(rate) for side, _ in both}, int((~hard).sum()))

    everything = np.ones(len(specimens), np.bool_)
    total = Table(
        "Abstentions on bad and on good inputs",
        (
            floor("never abstains (most frequent on good inputs)", 0.0),
            floor("always abstains", 1.0),
            floor("tosses a coin", 0.5),
            row("all modalities", everything),
            *(row(each, modality == each) for each in MODALITIES if (modality == each).any()),
        ),
        _NOTE,
    )
    kinds = [
        (each, name, side, of)
        for side, of in (*both, ("hard", hard))
        for each in MODALITIES
        for name in dict.fromkeys(kind[(modality == each) & of].tolist())
    ]
    tables = [total]
    for side, of in (*both, ("hard", hard)):
        rows = [
            Row(
                f"{each}: {name}",
                "ours",
                {"abstained": share(at)},
                int(at.sum()),
            )
            for each, name, of_side, _ in kinds
            if of_side == side and (at := of & (modality == each) & (kind == name)).any()
        ]
        if rows:
            tables.append(Table(f"Abstentions on {side} inputs by kind", tuple(rows), _NOTE))
    facts: dict[str, Fact] = {f"goal_{side}": goal for side, goal in GOALS.items()}
    facts |= {f"broke on, {each}": int(broke[modality == each].sum()) for each in MODALITIES}
    known = np.array([_number(each) for each in specimens])
    return Result(
        "abstention",
        tuple(tables),
        tuple(_bars(table) for table in tables[1:]),
        facts,
        tuple(
            Kept(f"Abstentions on {side} inputs", "mean", known[of], abstained[of])
            for side, of in both
            if of.any()
        ),
    )


def _number(specimen: Specimen) -> int:
    """What a specimen is known by when two results are compared, as a number that JSON has."""
    return int.from_bytes(hashlib.sha256(specimen.key.encode()).digest()[:6])


def _bars(table: Table) -> Bars:
    values = tuple(row.metrics["abstained"].value for row in table.rows)
    return Bars(table.title, tuple(row.name for row in table.rows), {"share": values}, "abstained")
