"""Names, versions, origins and contracts of registered parts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from affectgraph.orchestrator.registry import KINDS, Registry, default_registries
from affectgraph.orchestrator.registry.contract import lacks
from affectgraph.orchestrator.testing.fakes import FakePerceiver
from affectgraph.perceivers.contracts import Perceiver
from affectgraph.perceivers.errors import BuildError
from affectgraph.perceivers.fusion import LateFusion

FAKES = "affectgraph.orchestrator.testing.fakes"
TABLE = {"quick.v1": f"{FAKES}:FakePerceiver", "quick.v2": f"{FAKES}:FakeTextPerceiver"}
CONTRACT = ("affectgraph.perceivers.contracts:Perceiver",)


def perceivers(**options: Any) -> Registry[Perceiver]:
    return Registry("perceiver", TABLE, contracts=CONTRACT, **options)


def test_a_name_makes_its_part() -> None:
    made = perceivers().make("quick.v1", "face", label="joy")
    assert isinstance(made, FakePerceiver)
    assert made.modality == "face"


def test_a_name_without_version_is_the_newest() -> None:
    registry = Registry[Perceiver]("perceiver", {**TABLE, "quick.v10": "a:B"})
    assert registry.pinned("quick") == "quick.v10"
    assert registry.pinned("quick.v1") == "quick.v1"


@pytest.mark.parametrize(
    "name", ["quick", "quick.2", "Quick.v1", "quick.v0", "quick.v1.v", ".v1", ""]
)
def test_a_name_without_a_version_cannot_be_registered(name: str) -> None:
    with pytest.raises(BuildError, match=r"a name ends in its version"):
        perceivers().register(name, "a:B")


@pytest.mark.parametrize("target", ["a.b", "a:", ":B", "a b:C", "a:B()"])
def test_a_target_must_be_an_address(target: str) -> None:
    with pytest.raises(BuildError, match=r"is no module:Class"):
        perceivers().register("mine.v1", target)


def test_a_name_is_registered_once() -> None:
    registry = perceivers()
    registry.register("mine.v1", "a:B")
    with pytest.raises(BuildError, match=r"'mine.v1' cannot be registered: it is taken by a:B"):
        registry.register("mine.v1", "c:D")
    with pytest.raises(BuildError, match=r"taken by .*FakePerceiver \(built in\)"):
        registry.register("quick.v1", "a:B")


def test_registering_changes_one_registry_only() -> None:
    perceivers().register("mine.v1", "a:B")
    assert perceivers().names() == ("quick.v1", "quick.v2")
    default_registries()["perceiver"].register("mine.v1", "a:B")
    assert "mine.v1" not in default_registries()["perceiver"].names()


def test_an_unknown_name_meets_its_neighbour() -> None:
    with pytest.raises(BuildError, match=r"no perceiver 'quik.v1'; did you mean quick.v1\?"):
        perceivers().maker("quik.v1")
    with pytest.raises(BuildError, match=r"no perceiver 'zzz'; there are: quick.v1, quick.v2"):
        perceivers().maker("zzz")


@pytest.mark.parametrize(
    ("target", "fault"),
    [
        ("no_such_module:Part", "no module 'no_such_module'; is it installed"),
        (f"{FAKES}:FakePerceptor", "has no FakePerceptor; did you mean FakePerceiver"),
        (f"{FAKES}:__doc__", "cannot be called"),
    ],
)
def test_a_target_that_is_not_there_is_told(target: str, fault: str) -> None:
    registry = perceivers()
    registry.register("mine.v1", target)
    with pytest.raises(BuildError, match=fault):
        registry.maker("mine.v1")


class Hasty:
    """Lacks its modality, does not wait, and takes nothing."""

    def warm_up(self) -> None: ...

    async def perceive(self) -> None: ...


def test_what_a_part_lacks_is_listed_at_once() -> None:
    with pytest.raises(BuildError) as caught:
        perceivers().check("mine.v1", Hasty())
    message = str(caught.value)
    assert "made a Hasty, which is no Perceiver" in message
    assert "it has no modality" in message
    assert "its warm_up must be a coroutine (async warm_up())" in message
    assert "its perceive does not take what async perceive(turn) takes" in message


def test_a_part_of_another_kind_is_refused() -> None:
    with pytest.raises(BuildError, match=r"no Perceiver: .*no async perceive\(turn\)"):
        perceivers().check("mine.v1", LateFusion())


class _Shut:
    """A part whose property may not be asked yet."""

    async def warm_up(self) -> None: ...

    async def perceive(self, turn: object) -> None: ...

    @property
    def modality(self) -> str:
        raise RuntimeError


def test_a_property_is_looked_up_and_not_asked() -> None:
    assert lacks(_Shut(), Perceiver) == []


def test_what_is_no_protocol_is_checked_by_class() -> None:
    assert lacks(3, int) == []
    assert lacks("3", int) == ["it is a str, not a int"]


def entry(name: str, value: str, group: str) -> EntryPoint:
    return EntryPoint(name, value, group)


def test_entry_points_are_read_at_the_first_look_up() -> None:
    asked: list[str] = []

    def discover(group: str) -> Iterable[EntryPoint]:
        asked.append(group)
        return [entry("mine.v1", f"{FAKES}:FakePerceiver", group)]

    registry = perceivers(group="affectgraph.perceivers", discover=discover)
    assert asked == []
    assert "mine.v1" in registry.names()
    assert registry.packages() == {"affectgraph"}
    registry.names()
    assert asked == ["affectgraph.perceivers"]


def test_an_entry_point_at_fault_does_not_stop_the_others() -> None:
    def discover(group: str) -> Iterable[EntryPoint]:
        return [
            entry("quick.v1", "other:Part", group),
            entry("nameless", "other:Part", group),
            entry("mine.v1", f"{FAKES}:FakePerceiver", group),
            entry("mine.v1", f"{FAKES}:FakePerceiver", group),
        ]

    registry = perceivers(group="g", discover=discover)
    assert registry.pinned("mine") == "mine.v1"
    with pytest.raises(BuildError, match=r"'quick.v1' cannot be used: it is taken by"):
        registry.pinned("quick.v1")
    with pytest.raises(BuildError, match=r"'nameless' cannot be used: a name ends in its version"):
        registry.pinned("nameless")


def test_origins_say_where_a_part_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "affectgraph_caps-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: affectgraph-caps\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(
        f"[affectgraph.perceivers]\ncaps.v1 = {FAKES}:FakePerceiver\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    registry = default_registries()["perceiver"]
    assert str(registry.origin("caps")) == "affectgraph-caps 1.2"
    assert str(registry.origin("text.minilm")) == "built in"
    assert str(registry.origin("a.b:C")) == "a.b:C"
    registry.register("mine.v1", "a:B")
    assert str(registry.origin("mine.v1")) == "registered"


@pytest.mark.parametrize(
    ("kind", "name"), [(kind.name, name) for kind in KINDS.values() for name in kind.builtin]
)
def test_every_built_in_name_leads_to_a_maker(kind: str, name: str) -> None:
    registry = default_registries()[kind]
    assert callable(registry.maker(name))
    assert registry.pinned(name.rpartition(".v")[0]) == name


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_contract_and_a_group_of_its_own(kind: str) -> None:
    assert default_registries()[kind].contracts()
    assert [k.group for k in KINDS.values()].count(KINDS[kind].group) == 1


def test_looking_names_up_imports_no_part() -> None:
    program = (
        "import sys\n"
        "from affectgraph.orchestrator.registry.registry import Registry\n"
        "r = Registry('perceiver', {'x.v1': 'no_such_module:X'}, group='affectgraph.perceivers')\n"
        "assert 'x.v1' in r.names()\n"
        "print([m for m in ('torch', 'onnxruntime', 'chromadb') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
