from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from affectgraph.perceivers.errors import ModelCorruptError
from affectgraph.perceivers.speech.ctranslate2_file import read_arrays

IDS = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}
Arrays = Mapping[str, NDArray[Any]]


def string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<H", len(raw) + 1) + raw + b"\0"


def model(arrays: Arrays, aliases: Mapping[str, str] | None = None, version: int = 6) -> bytes:
    data = struct.pack("<I", version) + string("WhisperSpec") + struct.pack("<II", 3, len(arrays))
    for name, array in arrays.items():
        data += string(name) + struct.pack("<B", array.ndim)
        data += struct.pack(f"<{array.ndim}I", *array.shape)
        data += struct.pack("<BI", IDS[str(array.dtype)], array.nbytes) + array.tobytes()
    aliases = aliases or {}
    data += struct.pack("<I", len(aliases))
    return data + b"".join(string(a) + string(b) for a, b in aliases.items())


def read(tmp_path: Path, data: bytes) -> dict[str, NDArray[Any]]:
    path = tmp_path / "model.bin"
    path.write_bytes(data)
    return read_arrays(path)


SAMPLE: Arrays = {
    "a/weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a/heads": np.asarray(6, dtype=np.int16),
    "a/half": np.asarray([0.5, -2.0], dtype=np.float16),
}


def test_reads_arrays_scalars_and_aliases(tmp_path: Path) -> None:
    got = read(tmp_path, model(SAMPLE, {"b/weight": "a/weight"}))
    assert list(got) == [*SAMPLE, "b/weight"]
    np.testing.assert_array_equal(got["b/weight"], SAMPLE["a/weight"])
    assert got["a/heads"].item() == 6
    assert got["a/half"].dtype == np.float32
    np.testing.assert_array_equal(got["a/half"], [0.5, -2.0])


def test_reads_bfloat16(tmp_path: Path) -> None:
    upper = (np.asarray([1.0, -0.5], dtype=np.float32).view(np.uint32) >> 16).astype(np.int16)
    data = bytearray(model({"x": upper}))
    at = data.index(string("x")) + len(string("x")) + 1 + 4
    data[at] = 5
    np.testing.assert_array_equal(read(tmp_path, bytes(data))["x"], [1.0, -0.5])


@given(seed=st.integers(0, 10_000), rows=st.integers(1, 5), columns=st.integers(1, 40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_dequantises_int8_by_row(tmp_path: Path, seed: int, rows: int, columns: int) -> None:
    weight = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)
    scale = (127.0 / np.abs(weight).max(axis=1)).astype(np.float32)
    stored = np.rint(weight * scale[:, None]).astype(np.int8)
    got = read(tmp_path, model({"x/weight": stored, "x/weight_scale": scale}))
    assert list(got) == ["x/weight"]
    assert got["x/weight"].dtype == np.float32
    assert np.all(np.abs(got["x/weight"] - weight) <= 0.5001 / scale[:, None])


@given(cut=st.integers(1, len(model(SAMPLE, {"b": "a/weight"}))))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_refuses_a_file_cut_anywhere(tmp_path: Path, cut: int) -> None:
    with pytest.raises(ModelCorruptError, match=r"model\.bin"):
        read(tmp_path, model(SAMPLE, {"b": "a/weight"})[:-cut])


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "too early"),
        (model(SAMPLE, version=99), "known version"),
        (b"GGUF" + b"\0" * 100, "known version"),
        (model(SAMPLE) + b"more", "goes on"),
        (model(SAMPLE, {"b": "nothing"}), "not here"),
        (
            model({"w": np.ones((2, 2), np.int8), "w_scale": np.zeros(2, np.float32)}),
            "does not fit",
        ),
        (model(SAMPLE).replace(b"a/heads\0", b"a/headsX"), "no end"),
        (model(SAMPLE).replace(b"a/heads\0", b"a/head\xff\0"), "UTF-8"),
    ],
)
def test_refuses_what_is_not_such_a_file(tmp_path: Path, data: bytes, fault: str) -> None:
    with pytest.raises(ModelCorruptError, match=fault):
        read(tmp_path, data)


def test_refuses_a_shape_that_does_not_fit_its_bytes(tmp_path: Path) -> None:
    data = model({"w": np.ones((2, 2), np.float32)})
    wrong = data.replace(struct.pack("<2I", 2, 2), struct.pack("<2I", 2, 3))
    with pytest.raises(ModelCorruptError, match="cannot have"):
        read(tmp_path, wrong)
