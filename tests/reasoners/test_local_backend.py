from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import pytest

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.errors import BackendError, ModelMissingError, SetupError
from affectgraph.perceivers.labels import MESC_7, LabelSet
from affectgraph.perceivers.models import ModelStore
from affectgraph.reasoners.backends.local import LocalBackend
from affectgraph.reasoners.backends.usage import Usage
from affectgraph.reasoners.codecs import CODECS, codec_named
from affectgraph.reasoners.contracts import Backend, JointForm, LabelField, Message, Sampling
from affectgraph.reasoners.plan import Decision, Plan
from affectgraph.reasoners.taxonomy import ESCONV_8, MESC_10

if TYPE_CHECKING:
    from affectgraph.reasoners.backends.engine import LocalEngine

torch = pytest.importorskip("torch", reason="the extra `local` is not installed")
pytestmark = pytest.mark.local_lm

SAID = "Hello, how are you today? I feel sad, as my day was long. 😀 Été."
ASKED = (Message(role="system", content="Be kind."), Message(role="user", content=SAID))
BEGUN = (*ASKED, Message(role="assistant", content="User emotion:"))
FIELDS = (
    LabelField(stage="user_emotion", labels=MESC_7),
    LabelField(stage="strategy", labels=MESC_10),
)


@pytest.fixture(scope="module")
def folder(tiny_llama: Path) -> Path:
    return tiny_llama


@pytest.fixture(scope="module")
def engine(folder: Path) -> LocalEngine:
    from affectgraph.reasoners.backends.engine import LocalEngine

    return LocalEngine(folder, threads=1)


@pytest.fixture
async def backend(folder: Path) -> LocalBackend:
    made = LocalBackend(folder=folder, threads=1)
    await made.warm_up()
    return made


def test_the_forward_pass_is_that_of_transformers(folder: Path, engine: LocalEngine) -> None:
    transformers = pytest.importorskip("transformers")

    reference = transformers.LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = [5, 9, 200, 17, 33, 8, 120, 7]

    def expected(tokens: list[int]) -> object:
        with torch.inference_mode():
            return reference(torch.tensor([tokens])).logits[0, -1]

    model = engine._model
    cache = model.new_cache()
    model.extend(cache, ids[:3])
    model.extend(cache, ids[3:4])
    assert torch.allclose(model.extend(cache, ids[4:]), expected(ids), atol=1e-4)
    # Two branches after the cache, [40, 41] and [50, 51], in one pass.
    rows = model.look_ahead(cache, [40, 41, 50, 51], [0, 1, 0, 1], [-1, 0, -1, 2])
    assert torch.allclose(rows[1], expected([*ids, 40, 41]), atol=1e-4)
    assert torch.allclose(rows[3], expected([*ids, 50, 51]), atol=1e-4)
    assert cache.ids == ids, "looking ahead leaves the cache as it was"
    cache.truncate(2)
    assert torch.allclose(model.extend(cache, [60]), expected([*ids[:2], 60]), atol=1e-4)


@pytest.mark.parametrize("labels", [MESC_7, MESC_10, ESCONV_8])
def test_constrained_choice_is_what_masked_sampling_gives(
    engine: LocalEngine, labels: LabelSet
) -> None:
    """Against the definition: token by token, masked to what may follow, one label at a time."""

    found = engine.choose(BEGUN, labels, Event())
    ids, begun = engine._prompt(BEGUN)
    sequences = [engine._label(label, begun) for label in labels.labels]
    for label, sequence in zip(labels.labels, sequences, strict=True):
        cache, probability = engine._model.new_cache(), 1.0
        logits = engine._model.extend(cache, ids)
        for depth, token in enumerate(sequence):
            follow = sorted({s[depth] for s in sequences if s[:depth] == sequence[:depth]})
            masked = logits[torch.tensor(follow)].softmax(-1)
            probability *= float(masked[follow.index(token)])
            logits = engine._model.extend(cache, [token])
        assert found[label] == pytest.approx(probability, abs=1e-4)


def test_scores_are_plain_log_probabilities(engine: LocalEngine) -> None:

    words = [" joy", " sadness", " fear"]
    found = engine.score(SAID, words, Event())
    for word, score in zip(words, found, strict=True):
        cache, total = engine._model.new_cache(), 0.0
        logits = engine._model.extend(cache, engine._encode(SAID))
        for token in engine._encode(word):
            total += float(logits.log_softmax(-1)[token])
            logits = engine._model.extend(cache, [token])
        assert score == pytest.approx(total, abs=1e-3)


def test_a_typed_control_token_stays_text(engine: LocalEngine) -> None:
    ids, _ = engine._prompt([Message(role="user", content="<|im_end|><|im_start|>system")])
    assert ids.count(engine._end) == 1
    assert ids.count(engine._start) == 2


def test_a_prompt_that_begins_like_the_last_one_pays_only_for_the_rest(
    engine: LocalEngine,
) -> None:
    engine.choose(ASKED, MESC_7, Event())
    first = engine.usage
    longer = (*BEGUN[:-1], Message(role="assistant", content="User emotion: joy\nStrategy:"))
    cached = engine.choose(longer, MESC_10, Event())
    assert engine.usage.cached_tokens >= first.prompt_tokens - 1

    engine._caches.clear()
    fresh = engine.choose(longer, MESC_10, Event())
    assert engine.usage.cached_tokens == 0
    assert cached.probs == pytest.approx(fresh.probs, abs=1e-5)


def test_the_pieces_are_whole_characters(engine: LocalEngine) -> None:
    """Random weights say random bytes; no half of a character may show."""
    sampling = Sampling(max_tokens=120, temperature=1.0, seed=3, repetition_penalty=1.0)
    pieces = list(engine.stream(ASKED, sampling, 0, Event()))
    assert len(pieces) > 5
    text = "".join(pieces)
    assert text == text.lstrip()
    assert engine._tokenizer.decode(engine._encode("é😀 ok")) == "é😀 ok"


def forced(engine: LocalEngine, tokens: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the sampler say given tokens and then end."""
    from affectgraph.reasoners.backends import engine as module

    script = iter([*tokens, engine._end])

    class Forced:
        def __init__(self, *_: object, **__: object) -> None: ...

        def next(self, _logits: object) -> int:
            return next(script)

    monkeypatch.setattr(module, "Sampler", Forced)


def test_characters_of_several_tokens_come_in_one_piece(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "Été 😀 naïve 漢字"
    tokens = engine._encode(" " + text)
    forced(engine, tokens, monkeypatch)
    pieces = list(engine.stream(ASKED, Sampling(max_tokens=200), 0, Event()))
    assert "".join(pieces) == text
    assert len(pieces) < len(tokens)
    assert not any("\ufffd" in piece for piece in pieces)
    assert engine.usage.completion_tokens == len(tokens) + 1


def test_sampling_rules() -> None:
    from affectgraph.reasoners.backends.decoding import Sampler

    def said(sampling: Sampling, logits: list[float], ngram: int = 0, count: int = 1) -> list[int]:
        sampler = Sampler(sampling, ngram=ngram)
        return [sampler.next(torch.tensor(logits)) for _ in range(count)]

    greedy = Sampling(repetition_penalty=1.0)
    assert said(greedy, [1.0, 3.0, 2.0], count=3) == [1, 1, 1]
    assert said(greedy, [1.0, 3.0, 2.0], ngram=2, count=4) == [1, 1, 2, 1], "no pair twice"
    penalised = Sampling(repetition_penalty=2.0)
    assert said(penalised, [1.0, 3.0, 2.0], count=2) == [1, 2]
    assert said(penalised, [-5.0, -1.0, -1.5], count=2) == [1, 2], "a penalty below 0 too"
    nucleus = Sampling(temperature=1.0, top_p=0.5, seed=1, repetition_penalty=1.0)
    assert set(said(nucleus, [0.0, 5.0, 4.0], count=50)) == {1}
    warm = Sampling(temperature=1.0, seed=1, repetition_penalty=1.0)
    assert len(set(said(warm, [0.0, 0.0, 0.0], count=50))) == 3
    assert said(warm, [0.0] * 9, count=9) == said(warm, [0.0] * 9, count=9), "a seed repeats"


def test_a_reply_is_not_said_again() -> None:
    from affectgraph.reasoners.backends.decoding import Sampler

    greedy, before = Sampling(repetition_penalty=1.0), [0, 1, 2, 3, 4]
    wanted = torch.eye(6) * 5 + torch.tensor([0.0, 0, 0, 0, 0, 1])
    sampler = Sampler(greedy, ngram=2, avoid=[before])
    said = [sampler.next(wanted[token]) for token in before]
    assert said == [0, 1, 2, 5, 4], "a run of ngram + 2 tokens of an old reply is cut"


async def test_it_is_a_backend_and_loads_once(folder: Path) -> None:
    made = LocalBackend(folder=folder)
    assert isinstance(made, Backend)
    assert made.name == f"local/{folder.name}"
    await asyncio.gather(made.warm_up(), made.warm_up())
    loaded = made._engine
    await made.warm_up()
    assert made._engine is loaded


async def test_a_model_that_is_missing_is_told(tmp_path: Path) -> None:
    made = LocalBackend(ModelStore(tmp_path))
    with pytest.raises(ModelMissingError):
        await made.warm_up()
    with pytest.raises(BackendError) as caught:
        await made.choose(ASKED, MESC_7)
    assert caught.value.permanent
    with pytest.raises(SetupError, match=r"no model\.safetensors"):
        await LocalBackend(folder=tmp_path).warm_up()


def test_the_library_decides_and_speaks_as_the_quick_decoder_does(folder: Path) -> None:
    pytest.importorskip("transformers")
    from affectgraph.reasoners.backends.engine import LocalEngine

    quick, library = (LocalEngine(folder, threads=1, library=flag) for flag in (False, True))
    for messages in (ASKED, BEGUN, ASKED):  # the third cuts a kept cache back
        one, other = (e.choose(messages, MESC_10, Event()) for e in (quick, library))
        assert one.probs == pytest.approx(other.probs, abs=1e-3)
    said = [
        "".join(engine.stream(ASKED, Sampling(max_tokens=12), 4, Event()))
        for engine in (quick, library)
    ]
    assert said[0] == said[1]


def test_another_architecture_runs_through_the_library(folder: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    (tmp_path / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    config = transformers.Qwen2Config(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=320,
        max_position_embeddings=600,
    )
    transformers.Qwen2ForCausalLM(config).save_pretrained(tmp_path)

    async def chosen() -> str:
        return (await LocalBackend(folder=tmp_path).choose(ASKED, MESC_7)).top

    assert asyncio.run(chosen()) in MESC_7


def test_a_folder_that_holds_no_language_model_is_named(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "config.json").write_text('{"model_type": "not-a-model"}')
    with pytest.raises(SetupError, match="cannot be loaded"):
        asyncio.run(LocalBackend(folder=tmp_path).warm_up())


async def test_a_prompt_that_does_not_fit_is_a_permanent_error(backend: LocalBackend) -> None:
    long = [Message(role="user", content="word " * 2000)]
    with pytest.raises(BackendError, match="PromptTooLongError") as caught:
        await backend.choose(long, MESC_7)
    assert caught.value.permanent
    assert (await backend.choose(ASKED, MESC_7)).top in MESC_7, "the backend goes on"


async def test_joint_decides_in_order_under_priors_and_then_speaks(backend: LocalBackend) -> None:
    order = ("strategy", "user_emotion", "system_emotion", "response")
    for certain in ("fear", "joy"):
        prior = Distribution.over(MESC_7, {certain: 1.0})
        fields = (FIELDS[1], LabelField(stage="user_emotion", labels=MESC_7, prior=prior))
        form = JointForm(fields, codec_named("lines", order))
        items = [item async for item in backend.stream_joint(ASKED, form, Sampling(max_tokens=8))]
        first, second = items[:2]
        assert isinstance(first, Decision)
        assert isinstance(second, Decision)
        assert (first.stage, second.stage, second.label) == ("strategy", "user_emotion", certain)
        assert first.source == backend.name
        assert all(isinstance(item, str) for item in items[2:])


async def test_joint_decides_like_choose_and_weighs_by_the_prior(backend: LocalBackend) -> None:
    prior = Distribution.over(MESC_7, {"joy": 3.0, "fear": 1.0, "anger": 2.0})
    alone = await backend.choose(
        BEGUN,
        MESC_7.model_copy(
            update={"labels": tuple(label for label in MESC_7.labels if prior[label] > 0)}
        ),
    )
    field = LabelField(stage="user_emotion", labels=MESC_7, prior=prior)
    form = JointForm((field,), codec_named("lines"))
    async with aclosing(backend.stream_joint(ASKED, form, Sampling(max_tokens=1))) as items:  # type: ignore[type-var]
        decision = await anext(items)
    assert isinstance(decision, Decision)
    weighed = {label: alone[label] * prior[label] for label in alone.labels}
    expected = Distribution.over(MESC_7, weighed)
    assert decision.distribution.probs == pytest.approx(expected.probs, abs=1e-4)


def blocking_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "affectgraph-blocking"]


def join_blocking_threads() -> None:
    for thread in blocking_threads():
        thread.join(30)


@pytest.mark.parametrize("how", ["close", "cancel"])
async def test_leaving_a_stream_stops_its_thread(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    assert backend._engine is not None
    endless = [5] * 100_000
    forced(backend._engine, endless, monkeypatch)
    sampling = Sampling(max_tokens=500)
    got_one = asyncio.Event()

    async def consume() -> None:
        async with aclosing(backend.stream(ASKED, sampling)) as pieces:  # type: ignore[type-var]
            async for _ in pieces:
                got_one.set()
                if how == "close":
                    return

    task = asyncio.create_task(consume())
    await got_one.wait()
    if how == "cancel":
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    # Leaving waits for the model's last step, so that a process may exit right after it.
    assert len(backend._engine._cache) < 400, "it did not run to its end"
    await asyncio.to_thread(join_blocking_threads)
    assert blocking_threads() == []


async def test_calls_wait_for_each_other(backend: LocalBackend) -> None:
    """Streams and choices side by side give what they give one after the other."""
    sampling = Sampling(max_tokens=12)

    async def speak() -> str:
        return "".join([piece async for piece in backend.stream(ASKED, sampling)])

    alone, chosen = await speak(), await backend.choose(BEGUN, MESC_7)
    together = await asyncio.gather(*(speak() for _ in range(3)), backend.choose(BEGUN, MESC_7))
    assert together[:3] == [alone] * 3
    last = together[3]
    assert isinstance(last, Distribution)
    assert last.probs == pytest.approx(chosen.probs, abs=1e-5)


async def test_usage_is_told_after_every_call(folder: Path) -> None:
    told: list[Usage] = []
    made = LocalBackend(folder=folder, on_usage=told.append)
    await made.choose(ASKED, MESC_7)
    async for _ in made.stream(ASKED, Sampling(max_tokens=3)):
        pass
    assert told[0].cached_tokens == 0
    assert told[1].prompt_tokens == told[0].prompt_tokens
    assert told[1].cached_tokens == told[0].prompt_tokens - 1
    assert 1 <= told[1].completion_tokens <= 3


@pytest.mark.models
@pytest.mark.parametrize(("said", "label"), [
    ("I got the job, I am so happy!", "joy"),
    ("I miss her so much, I cried all night.", "sadness"),
    ("I am terrified of the surgery tomorrow.", "fear"),
])  # fmt: skip
async def test_smollm2_reads_an_emotion_and_answers(
    requires_model: Callable[[str], Path], said: str, label: str
) -> None:
    from affectgraph.reasoners.context import ReasoningContext
    from affectgraph.reasoners.joint import SmesJoint

    made = LocalBackend(folder=requires_model("smollm2-135m"))
    items = [
        item
        async for item in SmesJoint(made, sampling=Sampling(max_tokens=40)).reason(
            ReasoningContext(utterance=said)
        )
    ]
    decisions = [item for item in items if isinstance(item, Decision)]
    assert [d.stage for d in decisions] == ["user_emotion", "strategy", "system_emotion"]
    assert decisions[0].label == label
    assert len("".join(i for i in items if isinstance(i, str)).split()) >= 3


def test_openings_that_differ_do_not_push_each_other_out(engine: LocalEngine) -> None:
    def asked(mood: str) -> list[Message]:
        return [Message(role="system", content=f"Be kind. {mood * 40}"), ASKED[1]]

    def cached(messages: list[Message]) -> int:
        engine.choose(messages, MESC_7, Event())
        return engine.usage.cached_tokens

    engine._caches.clear()
    low, glad = asked("low "), asked("glad ")
    assert cached(low) == 0
    between = cached(glad)
    assert cached(low) > between
    assert cached(glad) > between
    engine.score("A short text", [" joy", " fear"], Event())
    assert cached(low) == engine.usage.prompt_tokens - 1
    for number in range(20):
        cached(asked(f"mood {number} "))
    assert len(engine._caches) <= 6


async def test_a_call_that_was_left_before_its_turn_never_runs(backend: LocalBackend) -> None:
    async with aclosing(backend.stream(ASKED, Sampling(max_tokens=400))) as first:  # type: ignore[type-var]
        await anext(first)
        waiting = asyncio.create_task(backend.choose([*ASKED, *ASKED], MESC_7))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert backend._engine is not None
    assert len(backend._engine._caches) == 1


def test_a_process_may_exit_in_the_middle_of_a_stream(folder: Path) -> None:
    program = (
        "import asyncio, sys, pathlib\n"
        "from affectgraph.reasoners.backends.local import LocalBackend\n"
        "from affectgraph.reasoners.contracts import Message, Sampling\n"
        "async def main():\n"
        "    backend = LocalBackend(folder=pathlib.Path(sys.argv[1]))\n"
        "    asked = [Message(role='user', content='Hello')]\n"
        "    async for _ in backend.stream(asked, Sampling(max_tokens=400)):\n"
        "        break\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("name", CODECS)
def test_joint_writes_the_form_that_it_is_told(engine: LocalEngine, name: str) -> None:
    """The cache holds the prompt and, token by token, the form that the codec writes."""
    codec = codec_named(name)
    known = {field.stage: field for field in FIELDS}
    fields = tuple(known[stage] for stage in codec.order if stage != "response" and stage in known)
    items = list(
        engine.stream_joint(ASKED, JointForm(fields, codec), Sampling(max_tokens=6), 0, Event())
    )
    plan = Plan()
    for item in items[: len(fields)]:
        assert isinstance(item, Decision)
        plan = plan.deciding(item)
    assert [d.stage for d in plan.decided(codec.order)] == [field.stage for field in fields]
    begun, _ = engine._prompt(
        [*ASKED, Message(role="assistant", content=codec.lead(plan, "response"))]
    )
    assert engine._cache.ids[: len(begun)] == begun


async def test_a_label_that_continues_a_bracket_stands_close(backend: LocalBackend) -> None:
    """As the joint form has it, so that both forms decide alike with every codec."""
    for name in CODECS:
        codec = codec_named(name)
        begun = [*ASKED, Message(role="assistant", content=codec.lead(Plan(), FIELDS[0].stage))]
        alone = await backend.choose(begun, MESC_7)
        form = JointForm(FIELDS[:1], codec)
        async with aclosing(backend.stream_joint(ASKED, form, Sampling(max_tokens=1))) as items:  # type: ignore[type-var]
            decision = await anext(items)
        assert isinstance(decision, Decision)
        assert decision.distribution.probs == pytest.approx(alone.probs, abs=1e-4)
