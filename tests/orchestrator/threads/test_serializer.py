"""What may be written and read, in which shape, and under which key."""

from __future__ import annotations

import base64
import enum
import sys
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import ormsgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Command, Interrupt, Send
from pydantic import BaseModel, ConfigDict, Field

from affectgraph.memory.record import MemoryRecord, Recollection
from affectgraph.orchestrator.state import Answer, LeftOut, TurnHead, TurnState
from affectgraph.orchestrator.threads import allowed_types, make_serializer
from affectgraph.orchestrator.threads.keys import read_key
from affectgraph.orchestrator.threads.serializer import StrictSerializer, make_outline_reader
from affectgraph.perceivers.affect import (
    VAD,
    Abstention,
    Affect,
    Box,
    Distribution,
    Evidence,
    Reading,
)
from affectgraph.perceivers.course import Course
from affectgraph.perceivers.errors import BuildError, ExtraMissingError, SetupError
from affectgraph.perceivers.labels import EMOTIONS
from affectgraph.perceivers.prosody import Prosody
from affectgraph.perceivers.turn import Consent
from affectgraph.policies.verdict import RiskAssessment
from affectgraph.reasoners.context import Exchange, Recap
from affectgraph.reasoners.plan import Decision, Plan
from affectgraph.reasoners.replies.origin import ReplyOrigin

NOW = datetime(2024, 5, 6, 7, 8, 9, 123456, UTC)
SMILE = Distribution.over(EMOTIONS["ekman-7"], {"joy": 2, "neutral": 1})
AFFECT = Affect.read(SMILE, captured_at=NOW, evidence=(Evidence(kind="span", start=0, end=4),))
DECISION = Decision(stage="user_emotion", distribution=SMILE, label="joy", source="perception")
RECORD = MemoryRecord(id="1", user="ana", thread="t", text="words", affect=AFFECT, at=NOW)

EXAMPLES: tuple[BaseModel, ...] = (
    SMILE,
    AFFECT,
    VAD(valence=0.1, arousal=-0.2, dominance=1.0),
    Box(x=1, y=2, width=3, height=4),
    Evidence(kind="box", box=Box(x=1, y=2, width=3, height=4), score=0.5),
    Abstention(reason="silence", detail="nothing was heard"),
    Reading(modality="text", affect=AFFECT, covers=4, model="m"),
    Reading.abstain("speech", "noise", "too loud", transcript="hm"),
    Prosody(
        speech_seconds=2.5,
        pauses=1,
        pause_seconds=0.5,
        pitch_hz=180.0,
        pitch_range=4.0,
        voiced=0.6,
        level_db=-20.0,
        level_range_db=9.0,
        syllables_per_second=4.2,
    ),
    Course(seconds=3.0, looked=15, read=12, peak_at=1.0, peak="happiness", peak_p=0.8),
    RECORD,
    Recollection(record=RECORD, distance=0.25, breakdown={"semantic": 0.25}),
    Answer(delivered="I hear you.", source="reasoner", resources=("line",)),
    ReplyOrigin(source="resampled", reasons=("echo",), cut=True, continued=True),
    LeftOut(node="text", reason="timeout", detail="not done after 2 s"),
    Consent(camera=True),
    TurnHead(id="1", user="ana", thread="t", consent=Consent(), at=NOW),
    RiskAssessment(level=2, axes=("abuse",), spans=((0, 4),), rules=("r",)),
    DECISION,
    Plan(user_emotion=DECISION),
    Exchange(said="a", replied="b", plan=Plan(user_emotion=DECISION), risk_level=1),
    Recap(kept=("t1",), summary="a\nb", clip=50, clipped=1, opening="low", tokens=9),
)


class Colour(enum.Enum):
    RED = "red"


class Model(BaseModel):
    model_config = ConfigDict(frozen=True)

    text: str
    many: tuple[int, ...] = ()


class Stricter(BaseModel):
    text: str = Field(min_length=100)


class Twin(BaseModel):
    text: str


@dataclass(frozen=True)
class Data:
    model: Model
    pair: tuple[int, tuple[str, ...]]


class Row(NamedTuple):
    model: Model
    pair: tuple[int, ...]


class Stranger(BaseModel):
    secret: str = "words"


OURS = tuple((__name__, kind.__name__) for kind in (Colour, Model, Data, Row))
KEY = bytes(range(32))


@pytest.fixture(params=[None, KEY], ids=["plain", "encrypted"])
def serializer(request: pytest.FixtureRequest) -> SerializerProtocol:
    return make_serializer(OURS, request.param)


def again(serializer: SerializerProtocol, value: object) -> Any:
    return serializer.loads_typed(serializer.dumps_typed(value))


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "encrypted"])
@pytest.mark.parametrize(("module", "name"), allowed_types(TurnState))
def test_every_type_of_the_state_comes_back(module: str, name: str, key: bytes | None) -> None:
    examples = [
        one for one in EXAMPLES if (type(one).__module__, type(one).__name__) == (module, name)
    ]
    assert examples, f"EXAMPLES has no {module}.{name}: add one"
    serializer = make_serializer(allowed_types(TurnState), key)
    for value in (*examples, tuple(examples), {"key": examples}, None):
        found = again(serializer, value)
        assert found == value
        assert type(found) is type(value)


@pytest.mark.parametrize(
    "value",
    [
        "words \x00 ❤",
        b"raw",
        1.5,
        {"a": (1, (2, "b"), ())},
        {(1)},
        frozenset({(1, 2)}),
        deque([(1,)]),
        NOW,
        timedelta(days=1, microseconds=3),
        UUID(int=7),
        Decimal("0.1"),
        Path("folder/file"),
        Colour.RED,
        {"colour": {Colour.RED: 1}.get(Colour.RED)},
        Data(Model(text="x", many=(1, 2)), (1, ("a",))),
        (Row(Model(text="x"), (3,)),),
        Send("node", {"value": Model(text="x")}),
        Command(resume={"a": (1, 2)}, goto="node"),
        Interrupt(value=Model(text="x"), id="1"),
        HumanMessage("hello"),
    ],
    ids=repr,
)
def test_a_value_comes_back_equal_and_of_its_type(
    serializer: SerializerProtocol, value: object
) -> None:
    found = again(serializer, value)
    assert found == value
    assert type(found) is type(value)


CHARACTERS = st.characters(codec="utf-8")

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
    | st.text(CHARACTERS)
    | st.binary() | st.datetimes(timezones=st.just(UTC)) | st.builds(Model, text=st.just("x")),
    lambda inner: st.lists(inner, max_size=4)
    | st.lists(inner, max_size=4).map(tuple)
    | st.dictionaries(st.text(CHARACTERS, max_size=4), inner)
    | st.builds(Data, model=st.just(Model(text="y")), pair=st.tuples(st.just(1), inner)),
    max_leaves=20,
)  # fmt: skip


@given(values)
def test_any_state_comes_back(value: object) -> None:
    assert again(StrictSerializer(OURS), value) == value


def test_a_plain_langgraph_serializer_reads_it_too() -> None:
    plain = JsonPlusSerializer(allowed_msgpack_modules=[*OURS, ("builtins", "tuple")])
    value = {"a": (Model(text="x"), Data(Model(text="y"), (1, ("b",))))}
    assert plain.loads_typed(StrictSerializer(OURS).dumps_typed(value)) == value


@pytest.mark.parametrize(
    "holding",
    [
        Stranger(),
        (Stranger(),),
        {"key": [Stranger()]},
        Data(Stranger(), (1, ())),  # type: ignore[arg-type]
        Row(Stranger(), ()),  # type: ignore[arg-type]
        deque([Stranger()]),
        Interrupt(value=Stranger(), id="1"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_type_that_is_not_allowed_is_refused_when_it_is_written(
    serializer: SerializerProtocol, holding: object
) -> None:
    with pytest.raises(BuildError, match=r"may not hold .*\.Stranger: name the type") as caught:
        serializer.dumps_typed(holding)
    assert "words" not in str(caught.value)


def test_what_no_checkpoint_can_hold_is_refused_when_it_is_written(
    serializer: SerializerProtocol,
) -> None:
    with pytest.raises(BuildError, match=r"may not hold builtins\.object"):
        serializer.dumps_typed({"key": object()})
    with pytest.raises(BuildError, match="must not hold arrays: keep them in an UntrackedValue"):
        serializer.dumps_typed({"key": np.zeros(3)})
    with pytest.raises(BuildError, match="a checkpoint cannot hold this"):
        serializer.dumps_typed({"key": 2**70})


@pytest.mark.parametrize(
    "holding", [Stranger(), (Stranger(),), {"a": [Data(Stranger(), (1, ()))]}],  # type: ignore[arg-type]
    ids=["bare", "in a tuple", "in a dataclass"],
)  # fmt: skip
def test_a_type_that_is_not_allowed_is_refused_when_it_is_read(holding: object) -> None:
    written = make_serializer([*OURS, (__name__, "Stranger")]).dumps_typed(holding)
    with pytest.raises(SetupError, match=r"holds .*\.Stranger, which this agent's state does not"):
        make_serializer(OURS).loads_typed(written)


def packed(code: int, *parts: object) -> tuple[str, bytes]:
    return "msgpack", ormsgpack.packb(ormsgpack.Ext(code, ormsgpack.packb(list(parts))))


@pytest.mark.parametrize(
    "written",
    [
        packed(5, __name__, "Twin", {"text": "w"}, "x"),
        packed(5, __name__, "Gone", {"text": "w"}, "x"),
        packed(5, "no.such.module", "Gone", {"text": "w"}, "x"),
        packed(5, __name__, "Stricter", {"text": "words of a person"}, "x"),
        packed(2, __name__, "Data", {"removed": 1}),
        packed(0, __name__, "Colour", "blue"),
    ],
)
def test_what_no_longer_fits_is_an_error_and_never_half_built(written: tuple[str, bytes]) -> None:
    names = [*OURS, (__name__, "Gone"), ("no.such.module", "Gone"), (__name__, "Stricter")]
    with pytest.raises(SetupError, match=r"\.(Twin|Gone|Stricter|Data|Colour)") as caught:
        make_serializer(names).loads_typed(written)
    assert "words" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_nothing_that_runs_code_is_read() -> None:
    with pytest.raises(SetupError, match=r"holds os\.system"):
        make_serializer(OURS).loads_typed(packed(0, "os", "system", "true"))
    with pytest.raises(SetupError, match="a thread's checkpoint"):
        make_serializer(OURS).loads_typed(("pickle", b"\x80\x04N."))


def test_damaged_bytes_are_an_error(serializer: SerializerProtocol) -> None:
    kind, data = serializer.dumps_typed({"key": (1, 2)})
    with pytest.raises(SetupError, match="damaged"):
        serializer.loads_typed((kind, data[:-3]))


class TestEncryption:
    def test_words_are_not_in_the_bytes(self) -> None:
        kind, data = make_serializer(OURS, KEY).dumps_typed({"key": Model(text="plain words")})
        assert kind == "msgpack+aes"
        assert b"plain words" not in data

    def test_the_same_words_never_look_the_same(self) -> None:
        serializer = make_serializer(OURS, KEY)
        assert serializer.dumps_typed("words") != serializer.dumps_typed("words")

    def test_a_wrong_key_is_a_clear_error(self) -> None:
        written = make_serializer(OURS, KEY).dumps_typed("words")
        with pytest.raises(SetupError, match="the key is not the one"):
            make_serializer(OURS, KEY[::-1]).loads_typed(written)

    def test_no_key_is_a_clear_error(self) -> None:
        written = make_serializer(OURS, KEY).dumps_typed("words")
        with pytest.raises(SetupError, match="is encrypted: name its key's variable"):
            make_serializer(OURS).loads_typed(written)

    def test_what_was_written_before_there_was_a_key_can_be_read(self) -> None:
        written = make_serializer(OURS).dumps_typed("words")
        assert make_serializer(OURS, KEY).loads_typed(written) == "words"

    def test_without_its_extra_it_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "Crypto.Cipher", None)
        with pytest.raises(ExtraMissingError, match="extra 'encryption'"):
            make_serializer(OURS, KEY)

    def test_the_outline_needs_no_types(self) -> None:
        written = make_serializer(OURS, KEY).dumps_typed({"ts": "now", "v": (Model(text="x"),)})
        assert make_outline_reader(KEY).loads_typed(written)["ts"] == "now"


class TestKey:
    @pytest.mark.parametrize("length", [16, 24, 32])
    def test_it_is_read_as_hex_or_base64(
        self, monkeypatch: pytest.MonkeyPatch, length: int
    ) -> None:
        key = bytes(255 - n for n in range(length))
        for text in (
            key.hex(),
            key.hex().upper() + "\n",
            base64.b64encode(key).decode(),
            base64.urlsafe_b64encode(key).decode(),
        ):
            monkeypatch.setenv("KEY", text)
            assert read_key("KEY") == key

    def test_no_name_is_no_key(self) -> None:
        assert read_key(None) is None

    @pytest.mark.parametrize(
        "value", ["my own password!", "password", "00" * 15, "0" * 33, "ü" * 16]
    )
    def test_a_wrong_one_is_refused_and_not_shown(
        self, monkeypatch: pytest.MonkeyPatch, value: str
    ) -> None:
        monkeypatch.setenv("KEY", value)
        with pytest.raises(SetupError, match="KEY must hold a key of 16, 24 or 32") as caught:
            read_key("KEY")
        assert value not in str(caught.value)
        assert value not in repr(caught.value.__context__)

    @pytest.mark.parametrize("value", [None, "", "  "])
    def test_an_absent_one_is_asked_for(
        self, monkeypatch: pytest.MonkeyPatch, value: str | None
    ) -> None:
        monkeypatch.delenv("KEY", raising=False)
        if value is not None:
            monkeypatch.setenv("KEY", value)
        with pytest.raises(SetupError, match=r"KEY is not set: KEY=\$\(python -c"):
            read_key("KEY")
