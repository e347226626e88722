from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgraph.perceivers.errors import BuildError
from affectgraph.perceivers.labels import EMOTIONS, LabelMapping, LabelSet, mapping, mappings


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("ekman-7", 7),
        ("mesc-7", 7),
        ("iemocap-6", 6),
        ("ferplus-8", 8),
        ("ravdess-8", 8),
        ("goemotions-28", 28),
        ("plutchik-8", 8),
    ],
)
def test_every_set_has_as_many_labels_as_its_name_says(name: str, size: int) -> None:
    assert len(EMOTIONS[name]) == size


@pytest.mark.parametrize("m", mappings(), ids=lambda m: f"{m.source}->{m.target}")
@given(data=st.data())
def test_a_mapping_keeps_the_mass(m: LabelMapping, data: st.DataObject) -> None:
    size = len(EMOTIONS[m.source])
    raw = data.draw(st.lists(st.floats(0, 1), min_size=size, max_size=size))
    assert sum(m.apply(tuple(raw))) == pytest.approx(sum(raw))


def test_only_goemotions_to_ekman_is_declared_exact() -> None:
    assert [(m.source, m.target) for m in mappings() if m.exact] == [("goemotions-28", "ekman-7")]


def test_every_set_is_anchored_through_ekman() -> None:
    for name in set(EMOTIONS) - {"ekman-7"}:
        assert mapping(name, "ekman-7").target == "ekman-7"


def test_an_undeclared_mapping_is_refused_with_those_there_are() -> None:
    with pytest.raises(BuildError, match=r"ravdess-8 -> ferplus-8.*goemotions-28 -> ekman-7"):
        mapping("ravdess-8", "ferplus-8")


def test_a_mapping_that_forgets_a_label_is_refused() -> None:
    with pytest.raises(ValueError, match="rows are not"):
        LabelMapping(
            source="mesc-7", target="ekman-7", table={"joy": {"joy": 1.0}}, exact=False, note=""
        )


def test_an_exact_mapping_cannot_split() -> None:
    table = {label: {label: 1.0} for label in EMOTIONS["ekman-7"].labels}
    table["joy"] = {"joy": 0.5, "surprise": 0.5}
    with pytest.raises(ValueError, match="cannot split"):
        LabelMapping(source="ekman-7", target="ekman-7", table=table, exact=True, note="")


def test_a_label_set_needs_distinct_labels() -> None:
    with pytest.raises(ValueError, match="distinct"):
        LabelSet(name="x", labels=("a", "a"), kind="emotion", source="")
