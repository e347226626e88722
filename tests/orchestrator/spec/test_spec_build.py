"""From a spec to parts: what is shared, what is refused, what is never told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from affectgraph.memory import ByMeaningAndEmotion, ChromaMemory
from affectgraph.orchestrator.parts import Limits
from affectgraph.orchestrator.presets import (
    Settings,
    default_built,
    default_memory,
    default_parts,
    default_threads,
    needed_models,
    settings_spec,
)
from affectgraph.orchestrator.spec import SpecError, default_spec, load_spec, parse_spec
from affectgraph.orchestrator.spec.explain import explain
from affectgraph.perceivers.models import MODELS, ModelStore
from affectgraph.reasoners.joint import SmesJoint
from affectgraph.reasoners.plan import SMES_ORDER
from affectgraph.reasoners.stages import SmesStaged

V1 = "agent: affectgraph/v1\n"
SERVED = "{smes.joint.v1: {backend: {openai.v1: {base_url: 'http://x/v1', model: '${SERVED}'}}}}"


def part(made: Any, name: str) -> Any:
    """A private part of a part."""
    return getattr(made, f"_{name}")


def test_the_default_agent_is_one_description() -> None:
    parts, built = default_parts(Settings()), default_spec().build()
    assert [type(p) for p in parts.perceivers] == [type(p) for p in built.parts.perceivers]
    assert [p.modality for p in parts.perceivers] == ["text", "face", "speech"]
    assert isinstance(parts.reasoner, SmesJoint)
    assert parts.limits == Limits() == built.parts.limits
    assert part(parts.memory, "path") == default_memory() == part(built.parts.memory, "path")
    assert part(parts.safety.crisis, "resources") == part(built.parts.safety.crisis, "resources")
    assert [p.name for p in parts.safety.output] == [p.name for p in built.parts.safety.output]
    assert len(parts.safety.output) == 9


def test_the_text_reader_and_the_memory_share_one_encoder() -> None:
    parts = default_parts(Settings())
    text = parts.perceivers[0]
    assert part(text, "encoder") is part(parts.memory, "embedder")


def test_the_store_reaches_every_part(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    _, face, speech = default_parts(Settings(store=store)).perceivers
    assert part(part(part(face, "photos"), "detector"), "store") is store
    assert part(part(speech, "transcriber"), "store") is store


def test_settings_change_the_default_agent(tmp_path: Path) -> None:
    settings = Settings.of(
        region="DE",
        form="staged",
        order=["strategy", "user_emotion", "system_emotion", "response"],
        base_url="http://x/v1",
        model="some/${model}",
        memory=tmp_path / "${HOME} mem",
    )
    built = default_built(settings)
    reasoner = built.parts.reasoner
    assert isinstance(reasoner, SmesStaged)
    assert [s.stage for s in reasoner.stages] == ["strategy", "user_emotion", "system_emotion"]
    assert reasoner.backend is not None
    assert reasoner.backend.name == "vllm/some/${model}"
    assert part(built.parts.memory, "path") == tmp_path / "${HOME} mem"
    assert settings.threads == tmp_path / "threads.sqlite"
    assert built.needed_models == ("mtcnn", "whisper-tiny.en")
    assert part(built.parts.safety.crisis, "resources")[0].id != "findahelpline"
    assert parse_spec(settings_spec(settings).to_yaml()) == settings_spec(settings)


def test_the_data_folder_follows_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    built = default_spec().build()
    assert part(built.parts.memory, "path") == tmp_path / "affectgraph" / "memory"
    assert default_threads() == tmp_path / "affectgraph" / "threads.sqlite"
    monkeypatch.setenv("XDG_DATA_HOME", "")
    assert part(default_spec().build().parts.memory, "path") == default_memory()


def test_what_must_be_pulled() -> None:
    assert needed_models(Settings()) == ("mtcnn", "whisper-tiny.en", "smollm2-135m-esconv")
    only = parse_spec(V1 + f"perceivers: []\nmemory: null\nreasoner: {SERVED}\n", environ=ENV)
    assert only.build(environ=ENV).needed_models == ()
    assert set(needed_models(default_spec())) <= set(MODELS)


def test_nested_parts_and_values(tmp_path: Path) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text(
        V1
        + """
memory: {chroma.v1: {path: mem, recall: {emotional: {weight: 0.5}}}}
reasoner:
  smes.joint.v1:
    backend: local
    order: [strategy, user_emotion, system_emotion, response]
    sampling: {max_tokens: 40, temperature: 0.7}
    brevity: {sentences: 2}
limits: {text: 2.5}
keep_exchanges: 5
on_busy: reject
"""
    )
    spec = load_spec(file)
    built = spec.build()
    memory = built.parts.memory
    assert isinstance(memory, ChromaMemory)
    assert part(memory, "path") == tmp_path / "mem"
    assert part(memory, "recall") == ByMeaningAndEmotion(weight=0.5)
    assert part(built.parts.reasoner, "sampling").max_tokens == 40
    speaking = part(part(built.parts.reasoner, "response"), "replies")
    assert part(speaking, "brevity").sentences == 2
    assert built.parts.limits == Limits(text=2.5)
    assert built.parts.keep_exchanges == 5
    assert built.on_busy == "reject"
    # What is written out names versions.
    assert "emotional.v1" in spec.to_yaml()
    assert "local.v1" in spec.to_yaml()


@pytest.mark.parametrize("memory", ["null", "~"])
def test_no_memory_and_no_threads(memory: str) -> None:
    built = parse_spec(V1 + f"memory: {memory}\nthreads: null\n").build()
    assert built.parts.memory is None
    assert built.threads is None


def test_the_stages_get_the_reasoners_backend_unless_they_name_their_own(
    ran: list[str], agent_yaml: str
) -> None:
    text = agent_yaml.replace(
        "reasoner: affectgraph.orchestrator.testing.reasoner:ScriptedReasoner",
        "reasoner: {smes.staged.v1: {backend: local.v1, strategy: {noting:Stage: strategy},"
        " user_emotion: {noting:Stage: {stage: user_emotion, backend: noting:Model}}}}",
    )
    reasoner = parse_spec(text).build().parts.reasoner
    assert isinstance(reasoner, SmesStaged)
    emotion, strategy, tone = reasoner.stages
    assert part(tone, "backend") is reasoner.backend
    assert strategy.backend is reasoner.backend  # type: ignore[attr-defined]
    assert emotion.backend.name == "script"  # type: ignore[attr-defined]
    assert strategy.prompts is part(tone, "prompts")  # type: ignore[attr-defined]


ENV = {"SERVED": "a-very-secret-model"}


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        (
            "reasoner: {smes.joint.v1: {backend: local.v1, order: [response]}}",
            ["reasoner: order of stages ['response']: 'user_emotion' is missing"],
        ),
        (
            "encoder: {minilm.v1: {max_tokens: 3}}",
            ["encoder: encoder: max_tokens must be 8 to 512 (is 3)"],
        ),
        (
            "imports: [affectgraph]\nencoder: affectgraph.orchestrator.testing.fakes:HashEmbedder",
            [
                "perceivers[0]: text.minilm.v1 needs a MiniLMEncoder, and the spec's encoder is",
                "reasoner.heads[0]: strategy.esconv.v1 needs a MiniLMEncoder, and the spec's",
            ],
        ),
        ("perceivers: [text.minilm.v1, text.minilm.v1]", ["two perceivers read the same modality"]),
        (
            "imports: [collections]\nfusion: collections:Counter",
            ["fusion: fusion 'collections:Counter' made a Counter, which is no Fusion: it has no"],
        ),
        (
            "imports: [collections]\nnodes: {fusee: collections:Counter}",
            ["nodes.fusee: the graph has no node 'fusee' (did you mean fuse?)"],
        ),
        (
            "imports: [collections]\nnodes: {fuse: collections:Counter}",
            ["nodes.fuse: node 'collections:Counter' made a Counter, which is no Node"],
        ),
        (
            "reasoner: {smes.staged.v1: {backend: local.v1, strategy: tone.smes.v1}}",
            ["reasoner: the stage given as strategy decides the system_emotion"],
        ),
        (
            "reasoner: {smes.staged.v1: {backend: local.v1, strategy: response.smes.v1}}",
            ["reasoner.strategy: response.smes.v1 is no LabelStage"],
        ),
        (
            (
                "memory: {chroma.v1: {path: m, recall: {emotional: {pool: 0}}}}\n"
                "fusion: {late: {weights: {text: 3}}}"
            ),
            [
                "fusion: fusion weights must be in (0, 1]: text=3",
                "memory.recall: recall: pool must be at least 1",
            ],
        ),
    ],
)
def test_what_a_constructor_refuses_is_told_with_its_line(text: str, faults: list[str]) -> None:
    spec = parse_spec(V1 + text, source="a.yaml")
    with pytest.raises(SpecError) as caught:
        spec.build()
    told = [str(fault) for fault in caught.value.faults]
    assert len(told) == len(faults)
    for fault in faults:
        assert any(fault in line and line.startswith(("a.yaml", "default.yaml")) for line in told)


def test_what_came_from_the_environment_is_never_told() -> None:
    text = V1 + f"reasoner: {SERVED}\nencoder: {{minilm.v1: {{max_tokens: '${{TOKENS}}'}}}}\n"
    environ = {**ENV, "TOKENS": "-77001"}
    spec = parse_spec(text, environ=environ)
    assert "a-very-secret-model" not in repr(spec) + spec.to_yaml() + str(spec)
    with pytest.raises(SpecError) as caught:
        spec.build(environ=environ)
    assert "-77001" not in str(caught.value)
    assert "${TOKENS}" in str(caught.value)
    with pytest.raises(SpecError) as wrong:
        parse_spec(text, environ={**ENV, "THREADS": "hunter2"})
    assert "hunter2" not in str(wrong.value)
    assert wrong.value.__context__ is None or "hunter2" not in repr(wrong.value.__context__)

    built = parse_spec(V1 + f"reasoner: {SERVED}\n", environ=ENV).build(environ=ENV)
    told = repr(explain(built)) + repr(built)
    assert "${SERVED}" in told
    assert "a-very-secret-model" not in told


def test_every_node_is_explained() -> None:
    nodes = {node.node: node for node in explain(default_built(Settings()))}
    assert next(iter(nodes)) == "admit"
    assert "readings" in nodes["text"].writes
    assert "turn" in nodes["text"].reads
    assert nodes["text"].timeout == Limits().text
    assert [str(p.name) for p in nodes["face"].parts] == ["video.ferplus.v1", "mtcnn.v1"]
    assert {p.origin for node in nodes.values() for p in node.parts} == {"built in"}
    assert ("ravdess.v2", "CC-BY-NC-SA-4.0") in [
        (m.name, m.licence) for m in nodes["speech"].models
    ]
    assert [m.name for m in nodes["recall"].models] == ["affect-minilm.v1"]
    assert [m.name for m in nodes["reason"].models] == [
        "smollm2-135m-esconv",
        "affect-minilm.v1",
        "strategy-esconv.v1",
    ]


def test_the_staged_form_is_explained_stage_by_stage(ran: list[str]) -> None:
    stages = "{smes.staged: {backend: local, strategy: {noting:Stage: strategy}}}"
    text = f"imports: [noting]\nreasoner: {stages}"
    nodes = {node.node: node for node in explain(parse_spec(V1 + text).build())}
    assert set(SMES_ORDER) <= set(nodes)
    assert [(p.name, p.origin) for p in nodes["strategy"].parts] == [("noting:Stage",) * 2]
    assert nodes["strategy"].models == ()
    assert [m.name for m in nodes["response"].models] == ["smollm2-135m"]
    assert "phrases.v1" in [p.name for p in nodes["response"].parts]
