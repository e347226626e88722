"""Reads the named arrays of a CTranslate2 ``model.bin``.

Layout (little endian; binary version 6, as ``ctranslate2.specs.model_spec`` writes it)::

    uint32 binary version
    string name of the specification      uint32 its revision
    uint32 number of arrays, then for each:
        string name   uint8 rank   uint32 dimension (rank times)
        uint8 type    uint32 bytes of data   the data, row by row
    uint32 number of aliases, then for each:  string alias   string name

A string is a uint16 length, which counts the closing zero byte, and its UTF-8 bytes. Types are
0 float32, 1 int8, 2 int16, 3 int32, 4 float16, 5 bfloat16. A quantised ``x`` has a companion
``x_scale`` (one number a row for int8, one in all for int16); the value is ``x / x_scale``.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.errors import ModelCorruptError

VERSIONS: Final = frozenset({4, 5, 6})
"""Binary versions that store types and aliases as above."""

_BFLOAT16: Final = 5
_TYPES: Final = {0: "<f4", 1: "<i1", 2: "<i2", 3: "<i4", 4: "<f2", _BFLOAT16: "<u2"}
_MOST_ARRAYS: Final = 100_000


class _Cursor:
    """Walks over the bytes of a file and never past their end."""

    def __init__(self, path: Path, data: bytes) -> None:
        self._path = path
        self._data = memoryview(data)
        self._at = 0

    def fault(self, what: str) -> ModelCorruptError:
        return ModelCorruptError(f"{self._path.name}: {what} (byte {self._at:,})")

    def take(self, count: int) -> memoryview:
        if self._at + count > len(self._data):
            raise self.fault("the file ends too early")
        part = self._data[self._at : self._at + count]
        self._at += count
        return part

    def number(self, kind: str) -> int:
        value: int = struct.unpack(f"<{kind}", self.take(struct.calcsize(kind)))[0]
        return value

    def string(self) -> str:
        raw = bytes(self.take(self.number("H")))
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise self.fault("a name is not UTF-8") from None
        if not text.endswith("\0"):
            raise self.fault("a name has no end")
        return text[:-1]

    def at_end(self) -> bool:
        return self._at == len(self._data)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read every array of a CTranslate2 model, dequantised.

    Args:
        path: The ``model.bin``.

    Returns:
        Name to array, in the file's order. Numbers with a fraction come as float32; whole numbers
        that are not quantised weights keep their type. Aliases name the array that they stand for.

    Raises:
        ModelCorruptError: If the file is not in this format, is cut short or goes on after its
            last alias.
    """
    cursor = _Cursor(path, path.read_bytes())
    version = cursor.number("I")
    if version not in VERSIONS:
        raise cursor.fault(f"not a CTranslate2 model of a known version ({version})")
    cursor.string()
    cursor.number("I")
    count = cursor.number("I")
    if count > _MOST_ARRAYS:
        raise cursor.fault(f"{count:,} arrays are too many to be true")
    arrays = dict(_read_array(cursor) for _ in range(count))
    aliases = [(cursor.string(), cursor.string()) for _ in range(cursor.number("I"))]
    if not cursor.at_end():
        raise cursor.fault("the file goes on after its end")
    _dequantise(cursor, arrays)
    for alias, name in aliases:
        if name not in arrays:
            raise cursor.fault(f"{alias} stands for {name}, which is not here")
        arrays[alias] = arrays[name]
    return arrays


def _read_array(cursor: _Cursor) -> tuple[str, NDArray[Any]]:
    name = cursor.string()
    shape = tuple(cursor.number("I") for _ in range(cursor.number("B")))
    kind = cursor.number("B")
    size = cursor.number("I")
    if kind not in _TYPES:
        raise cursor.fault(f"{name} is of an unknown type ({kind})")
    dtype = np.dtype(_TYPES[kind])
    if math.prod(shape) * dtype.itemsize != size:
        raise cursor.fault(f"{name} of shape {shape} cannot have {size:,} bytes")
    values = np.frombuffer(cursor.take(size), dtype=dtype).reshape(shape)
    if kind == _BFLOAT16:
        # bfloat16 is the upper half of a float32.
        return name, (values.astype(np.uint32) << 16).view(np.float32)
    return name, values.astype(np.float32) if dtype.kind == "f" else values


def _dequantise(cursor: _Cursor, arrays: dict[str, NDArray[Any]]) -> None:
    """Turn int8 and int16 weights into float32, and drop their scales."""
    for scale_name in [name for name in arrays if name.endswith("_scale")]:
        name = scale_name.removesuffix("_scale")
        if name not in arrays or arrays[name].dtype.kind != "i":
            continue
        weight, scale = arrays[name], arrays.pop(scale_name)
        if scale.size not in (1, weight.shape[0]) or not np.all(scale):
            raise cursor.fault(f"{scale_name} does not fit {name}")
        rows = scale.reshape(-1, *([1] * (weight.ndim - 1)))
        arrays[name] = (weight.astype(np.float32) / rows).astype(np.float32)
