"""Every fault of a spec at once, with its file, line and path; and the round trip."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectgraph.orchestrator.registry import default_registries
from affectgraph.orchestrator.spec import (
    AgentSpec,
    PartSpec,
    SpecError,
    default_spec,
    load_spec,
    parse_spec,
)
from affectgraph.orchestrator.spec.environment import literal

V1 = "agent: affectgraph/v1\n"


def faults(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        parse_spec(text, source="a.yaml", environ={})
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("perceivers: []", "a.yaml:1: the key agent is missing (write agent: affectgraph/v1)"),
        (
            "agent: affectgraph/v2",
            "a.yaml:1: agent: not affectgraph/v1 (no other version is known)",
        ),
        ("- a", "a.yaml:1: a spec is a mapping (its first key is agent: affectgraph/v1)"),
        (V1 + "percievers: []", "a.yaml:2: percievers: no such key (did you mean perceivers?)"),
        (V1 + "perceivers: text.minilm.v1", "a.yaml:2: perceivers: should be a list"),
        (V1 + "perceivers: [3]", "a.yaml:2: perceivers[0]: no part (a part is Name, {Name:"),
        (
            V1 + "perceivers:\n  - text.minlm",
            "a.yaml:3: perceivers[0]: no perceiver 'text.minlm' (did you mean text.minilm.v1?)",
        ),
        (V1 + "fusion: text.minilm.v1", "a.yaml:2: fusion: no fusion 'text.minilm.v1' (there are:"),
        (V1 + "fusion: late.v9", "a.yaml:2: fusion: no fusion 'late.v9' (did you mean late.v1?)"),
        (V1 + "fusion: null", "a.yaml:2: fusion: no part"),
        (
            V1 + "memory: {chroma.v1: {path: m}, recall: x}",
            "a.yaml:2: memory: 2 names where one part is wanted (do recall belong under chroma.v1?",
        ),
        (
            V1 + "memory:\n  chroma.v1:\n    path: m\n    recal: x",
            "a.yaml:5: memory.recal: chroma.v1 has no option 'recal' (did you mean recall?)",
        ),
        (V1 + "memory: chroma.v1", "a.yaml:2: memory: chroma.v1 needs the option path"),
        (
            V1 + "reasoner: smes.joint.v1",
            "a.yaml:2: reasoner: smes.joint.v1 needs the option backend (give it a backend)",
        ),
        (
            V1 + "reasoner: {smes.joint.v1: {backend: {openai.v1: {model: m, base_url: b,\n"
            "  structured: vlm, timeout: soon}}}}",
            "a.yaml:3: reasoner.backend.structured: input should be 'vllm', 'json_schema' or",
        ),
        (
            V1 + "reasoner: {smes.joint.v1: {backend: local, brevity:\n  {wrds: 3}}}",
            "a.yaml:3: reasoner.brevity.wrds: no such option (did you mean words?)",
        ),
        (
            V1 + "fusion: {late.v1: {weights: {text: 1,\n  smell: 2}}}",
            "a.yaml:3: fusion.weights.smell: input should be 'text', 'face' or 'speech'",
        ),
        (
            V1 + "fusion: {late.v1: {label_set: ekman}}",
            "a.yaml:2: fusion.label_set: no label set 'ekman' (did you mean ekman-7?)",
        ),
        (
            V1 + "perceivers: [{face.ferplus.v1: {workers: true}}]",
            "a.yaml:2: perceivers[0].workers: should be a number, not a yes or no",
        ),
        (
            V1 + "perceivers: [{speech.whisper.v1: {store: here}}]",
            "a.yaml:2: perceivers[0].store: input should be an instance of ModelStore",
        ),
        (
            V1 + "reasoner: {smes.joint.v1: {backend: {local.v1: {model: '${NONE}'}}}}",
            "a.yaml:2: reasoner.backend.model: the environment variable NONE is not set (set it,",
        ),
        (
            V1 + "fusion: os:system",
            "a.yaml:2: fusion: os:system may not be imported (if you trust it, add os to imports)",
        ),
        (
            V1 + "imports: [nosuchpackage]\nfusion: nosuchpackage:F",
            "a.yaml:3: fusion: fusion 'nosuchpackage:F': no module 'nosuchpackage' (is it",
        ),
        (V1 + "imports: [a.b]", "a.yaml:2: imports: should be a list of top packages"),
        (V1 + "policies: []", "a.yaml:2: policies: should be a mapping (its keys are: consent,"),
        (
            V1 + "policies:\n  crisis: x",
            "a.yaml:3: policies.crisis: no such key (there are: consent, disclosure, triage,",
        ),
        (V1 + "policies: {output: echo.v1}", "a.yaml:2: policies.output: should be a list"),
        (V1 + "limits: {txt: 3}", "a.yaml:2: limits.txt: no such key (did you mean text?)"),
        (V1 + "limits: {text: soon}", "a.yaml:2: limits.text: input should be a valid number"),
        (V1 + "limits: 3", "a.yaml:2: limits: should be a mapping"),
        (V1 + "hand_off: {lvel: 3}", "a.yaml:2: hand_off.lvel: no such key (did you mean level?)"),
        (V1 + "keep_exchanges: 0", "a.yaml:2: keep_exchanges: should be a whole number, 1 or more"),
        (V1 + "on_busy: wait", "a.yaml:2: on_busy: should be one of enqueue, interrupt, reject"),
        (V1 + "nodes: [a]", "a.yaml:2: nodes: should be a mapping"),
        (V1 + "threads: sqlight.v1", "(did you mean sqlite.v1?)"),
        (V1 + "fusion: late.v1\nfusion: late.v1", "a.yaml:3: fusion: the key stands twice"),
    ],
)
def test_a_fault_is_told_with_its_place(text: str, fault: str) -> None:
    told = faults(text)
    assert any(fault in line for line in told), told


def test_all_faults_are_told_at_once_in_the_order_of_the_file() -> None:
    told = faults(
        "agent: affectgraph/v0\nfusion: nosuch\nlimits:\n  txt: 1\n  face: soon\n"
        "memory: {a: 1, b: 2}\n"
    )
    assert [line.split(": ")[0] for line in told] == [f"a.yaml:{n}" for n in (1, 2, 4, 5, 6)]


def test_a_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"none.yaml: no such file or directory"):
        load_spec(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"agent: \xff")
    with pytest.raises(SpecError, match=r"latin.yaml: not valid UTF-8 at byte 7"):
        load_spec(tmp_path / "latin.yaml")
    with pytest.raises(SpecError, match="is a directory"):
        load_spec(tmp_path)


def test_an_installed_package_is_allowed_by_being_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "fused-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fused\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[affectgraph.fusions]\nfused.v1 = fused_parts:Fused\n")
    (tmp_path / "fused_parts.py").write_text(
        "class Fused:\n    async def fuse(self, readings):\n        return None\n\n"
        "class Other(Fused):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert parse_spec(V1 + "fusion: fused").fusion.name == "fused.v1"
    built = parse_spec(V1 + "fusion: fused_parts:Other").build()
    assert type(built.parts.fusion).__name__ == "Other"


def test_an_annotation_that_cannot_be_resolved_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_told.py").write_text(
        "from __future__ import annotations\n"
        "from affectgraph.memory.contracts import Embedder\n"
        "from affectgraph.perceivers.fusion import LateFusion\n"
        "class Half(LateFusion):\n"
        "    def __init__(self, embedder: Embedder, size: int, other: Unknown = None):\n"
        "        super().__init__()\n        self.given = (embedder, size, other)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    text = V1 + "imports: [half_told]\nfusion: {half_told:Half: {size: %s, other: x}}"
    built = parse_spec(text % 3).build()
    assert built.parts.fusion.given[1:] == (3, "x")  # type: ignore[attr-defined]
    assert built.parts.fusion.given[0] is built.parts.perceivers[0]._encoder  # type: ignore[attr-defined]
    assert "fusion.size: input should be a valid integer" in faults(text % "big")[0]


def test_names_of_ones_own_registries_are_known() -> None:
    registries = default_registries()
    registries["fusion"].register("mine.v1", "affectgraph.perceivers.fusion:LateFusion")
    spec = parse_spec(V1 + "fusion: mine", registries)
    assert spec.fusion.name == "mine.v1"
    assert spec.build(registries).parts.fusion is not None


def test_versions_are_pinned_in_what_is_written_out() -> None:
    spec = parse_spec(V1 + "perceivers: [text.minilm, {face.ferplus: {detector: mtcnn}}]")
    written = spec.to_yaml()
    assert "- text.minilm.v1\n" in written
    assert "detector: mtcnn.v1\n" in written


def test_a_single_argument_goes_to_the_first_option() -> None:
    one = parse_spec(V1 + "policies: {responder: {resources.v1: DE}}")
    other = parse_spec(V1 + "policies: {responder: {resources.v1: {region: DE}}}")
    assert one == other
    assert one.responder.options == {"region": "DE"}


def test_what_is_not_named_is_as_in_the_default_agent() -> None:
    assert parse_spec(V1, folder=default_spec().folder) == default_spec()


words = st.text(max_size=30).map(literal)
values = st.one_of(
    words,
    st.sampled_from(
        [
            "${HOME}",
            "${NONE:-x}",
            "a ${HOME} b",
            "NO",
            "10:30",
            "1e5",
            "null",
            "0x1f",
            "\x85",
            "a\u2028b",
        ]
    ),
)
perceivers = st.lists(
    st.sampled_from(
        [
            PartSpec("perceiver", "text.minilm.v1"),
            PartSpec("perceiver", "speech.whisper.v1", {"quiet_db": -40.5, "shortest": 1}),
            PartSpec(
                "perceiver",
                "face.ferplus.v1",
                {"detector": PartSpec("detector", "mtcnn.v1", {"thresholds": (0.1, 0.2, 0.3)})},
            ),
        ]
    ),
    max_size=3,
).map(tuple)


def spec_of(
    perceived: tuple[PartSpec, ...],
    region: str,
    extra: dict[str, str],
    limit: float,
    keep: int,
    forgets: bool,
) -> AgentSpec:
    base = default_spec()
    backend = PartSpec(
        "backend", "openai.v1", {"base_url": region, "model": region, "extra": extra}
    )
    return AgentSpec(
        reasoner=base.reasoner.with_options(backend=backend),
        perceivers=perceived,
        fusion=base.fusion,
        encoder=base.encoder,
        consent=base.consent,
        disclosure=base.disclosure,
        triage=base.triage,
        responder=base.responder.with_options(region=region),
        output=base.output,
        memory=None if forgets else base.memory,
        threads=base.threads,
        limits={"text": limit},
        hand_off={"level": 4, "fallback": region} if forgets else None,
        keep_exchanges=keep,
        on_busy="interrupt" if forgets else "reject",
        imports=("mine", "other") if forgets else (),
        folder=base.folder,
    )


@settings(deadline=None, max_examples=40)
@given(
    st.builds(
        spec_of,
        perceivers,
        values,
        st.dictionaries(st.text(max_size=8), values, max_size=3),
        st.floats(min_value=0.001, max_value=1e9),
        st.integers(1, 10**9),
        st.booleans(),
    )
)
def test_a_spec_that_is_written_out_reads_as_itself(spec: AgentSpec) -> None:
    again = parse_spec(spec.to_yaml(), folder=spec.folder, environ={"HOME": "/home/ana"})
    assert again == spec
    assert again.to_yaml() == spec.to_yaml()


@pytest.mark.parametrize(
    "text",
    [
        V1,
        V1 + "perceivers: []\nmemory: null\nthreads: null",
        V1 + "fusion: {late: {label_set: mesc-7, weights: {text: 0.5}}}\nlimits: {text: 3}",
        V1 + "policies: {responder: {resources: '${REGION}'}, output: [wording]}",
        V1 + "reasoner: {smes.staged: {backend: local, response: response.smes, order:"
        " [strategy, user_emotion, system_emotion, response]}}",
    ],
)
def test_what_was_loaded_and_written_out_loads_as_itself(text: str, tmp_path: Path) -> None:
    first = parse_spec(text, folder=tmp_path, environ={"REGION": "DE"})
    assert "DE" not in first.to_yaml()
    (tmp_path / "again.yaml").write_text(first.to_yaml())
    assert load_spec(tmp_path / "again.yaml", environ={"REGION": "DE"}) == first
