"""How state becomes bytes: msgpack with an allow-list that errs aloud, and encryption.

LangGraph's own serializer returns what it may not or cannot rebuild as plain dicts, builds models
that no longer validate without validation, and turns tuples into lists, all without an error. The
one here speaks the same format, refuses the first two by name, and keeps tuples.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

import ormsgpack
from langgraph.checkpoint.serde._msgpack import SAFE_MSGPACK_TYPES
from langgraph.checkpoint.serde.base import CipherProtocol, SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import (
    EXT_CONSTRUCTOR_KW_ARGS,
    EXT_CONSTRUCTOR_SINGLE_ARG,
    EXT_DELTA_SNAPSHOT,
    EXT_NUMPY_ARRAY,
    EXT_PYDANTIC_V2,
    JsonPlusSerializer,
    _msgpack_default,
    _option,
)
from pydantic import ValidationError

from affectgraph.perceivers.errors import (
    AffectGraphError,
    BuildError,
    ExtraMissingError,
    SetupError,
)

_TUPLE: Final = ("builtins", "tuple")
_OPTIONS: Final = _option | ormsgpack.OPT_PASSTHROUGH_TUPLE
_MISSING: Final = object()


@dataclasses.dataclass(frozen=True)
class Sealed:
    """A bare value on its way through a saver that would write bare values in the clear."""

    value: object


def make_serializer(
    allowed: Iterable[tuple[str, str]], key: bytes | None = None
) -> SerializerProtocol:
    """A serializer for one state schema.

    Args:
        allowed: Module and name of each type that may be written and read, beside LangGraph's own
            list of harmless ones (see :func:`~affectgraph.orchestrator.threads.allowed_types`).
        key: 16, 24 or 32 bytes to encrypt with (AES in Galois/counter mode); ``None`` for none.
            With a key, what was written before there was one can still be read.

    Raises:
        ExtraMissingError: If there is a key and no AES.
    """
    return _encrypted(StrictSerializer(allowed), key)


def make_outline_reader(key: bytes | None = None) -> SerializerProtocol:
    """Reads the outline of what :func:`make_serializer` wrote: no type is rebuilt, only plain data.

    For upkeep that must not depend on whether old types still fit.
    """
    plain = JsonPlusSerializer(__unpack_ext_hook__=lambda _code, _data: None)
    return _encrypted(plain, key)


class StrictSerializer(JsonPlusSerializer):
    """LangGraph's msgpack format, without pickle, for named types only.

    Raises (from ``dumps_typed`` and ``loads_typed``):
        BuildError: A state holds a type that its schema does not name.
        SetupError: A thread holds a type that this schema does not name, or that changed since.
    """

    def __init__(self, allowed: Iterable[tuple[str, str]]) -> None:
        super().__init__(pickle_fallback=False, allowed_msgpack_modules=(*allowed, _TUPLE))

    def dumps_typed(self, obj: object) -> tuple[str, bytes]:
        """Type and bytes of a value."""
        if isinstance(obj, Sealed):
            obj = obj.value
        if obj is None or isinstance(obj, bytes | bytearray):
            return super().dumps_typed(obj)
        return "msgpack", _Packing(self._may_hold).pack(obj)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """The value of a type and bytes."""
        kind, packed = data
        if "+" in kind:
            raise SetupError("this thread is encrypted: name its key's variable in `key_env`")
        if kind == "msgpack":
            return _Unpacking(self._may_hold, self._unpack_ext_hook).unpack(packed)
        if kind not in ("null", "bytes", "bytearray"):
            raise SetupError(
                f"a thread's checkpoint was written as {kind}, which is not read here: delete the"
                " thread"
            )
        return super().loads_typed(data)

    def _may_hold(self, module: str, name: str) -> bool:
        allowed = self._allowed_msgpack_modules
        return (module, name) in SAFE_MSGPACK_TYPES or (
            isinstance(allowed, set) and (module, name) in allowed
        )


# ormsgpack reports an error of a hook as one of its own and drops the cause, so both directions
# keep the first fault aside. One object a call: savers serialise on several threads.


class _Packing:
    def __init__(self, may_hold: Callable[[str, str], bool]) -> None:
        self._may_hold = may_hold
        self._fault: AffectGraphError | None = None

    def pack(self, value: object) -> bytes:
        try:
            return self._pack(value)
        except ormsgpack.MsgpackEncodeError as error:
            # Its messages name types and limits, no values.
            raise self._fault or BuildError(f"a checkpoint cannot hold this: {error}") from None

    def _pack(self, value: object) -> bytes:
        return ormsgpack.packb(value, default=self._default, option=_OPTIONS)

    def _default(self, value: Any) -> Any:
        try:
            return self._extension(value)
        except AffectGraphError as error:
            self._fault = self._fault or error
            raise

    def _extension(self, value: Any) -> Any:
        kind = type(value)
        if kind is tuple:
            return self._ext(EXT_CONSTRUCTOR_SINGLE_ARG, tuple, list(value))
        if not isinstance(value, BaseException) and not self._may_hold(
            kind.__module__, kind.__name__
        ):
            self._refuse(kind, value)
        # These three are LangGraph's encodings too; written here so that what they hold is
        # looked at, and keeps its tuples.
        if dataclasses.is_dataclass(value):
            fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
            return self._ext(EXT_CONSTRUCTOR_KW_ARGS, kind, fields)
        if isinstance(value, tuple) and hasattr(value, "_asdict"):
            return self._ext(EXT_CONSTRUCTOR_KW_ARGS, kind, value._asdict())
        if isinstance(value, set | frozenset | deque):
            return self._ext(EXT_CONSTRUCTOR_SINGLE_ARG, kind, list(value))
        return _msgpack_default(value)

    def _ext(self, code: int, kind: type, payload: object) -> ormsgpack.Ext:
        return ormsgpack.Ext(code, self._pack([kind.__module__, kind.__name__, payload]))

    @staticmethod
    def _refuse(kind: type, value: object) -> None:
        if kind.__module__ == "numpy" and hasattr(value, "tobytes"):
            raise BuildError(
                "a checkpoint must not hold arrays: keep them in an UntrackedValue channel"
            )
        raise BuildError(
            f"a checkpoint of this state may not hold {kind.__module__}.{kind.__qualname__}: name"
            " the type in the state's annotations and define it at the top level of its module,"
            " or keep the key in an UntrackedValue channel and run with durability='exit'"
        )


class _Unpacking:
    def __init__(
        self, may_hold: Callable[[str, str], bool], rebuild: Callable[[int, bytes], Any]
    ) -> None:
        self._may_hold = may_hold
        self._rebuild = rebuild
        self._fault: AffectGraphError | None = None

    def unpack(self, packed: bytes) -> Any:
        try:
            return self._unpack(packed)
        except ormsgpack.MsgpackDecodeError:
            raise self._fault or SetupError(
                "a thread's checkpoint is damaged: restore it, or delete the thread"
            ) from None

    def _unpack(self, packed: bytes) -> Any:
        return ormsgpack.unpackb(packed, ext_hook=self._hook, option=ormsgpack.OPT_NON_STR_KEYS)

    def _hook(self, code: int, packed: bytes) -> Any:
        try:
            return self._value(code, packed)
        except AffectGraphError as error:
            self._fault = self._fault or error
            raise

    def _value(self, code: int, packed: bytes) -> Any:
        if code == EXT_NUMPY_ARRAY:
            raise SetupError("a thread's checkpoint holds an array: delete the thread")
        parts = self._unpack(packed)
        if code == EXT_DELTA_SNAPSHOT:
            return self._rebuild(code, packed)
        module, name, payload = parts[:3]
        if (module, name) == _TUPLE:
            return tuple(payload)
        if not self._may_hold(module, name):
            raise SetupError(
                f"a thread's checkpoint holds {module}.{name}, which this agent's state does not"
                " name: resume it with the agent that wrote it, or delete the thread"
            )
        if (module, name) in SAFE_MSGPACK_TYPES:
            return self._rebuild(code, packed)
        return self._made(code, packed, f"{module}.{name}", _found(module, name), payload)

    def _made(self, code: int, packed: bytes, name: str, kind: Any, payload: Any) -> Any:
        outdated = SetupError(
            f"a thread's checkpoint holds a {name} as an earlier version wrote it, which the"
            " present one cannot take: resume it with that version, or delete the thread"
        )
        if kind is _MISSING:
            raise outdated
        if code == EXT_PYDANTIC_V2:
            try:
                return kind(**payload)
            except (ValidationError, TypeError):
                # Not chained: a validation error quotes what it refuses.
                raise outdated from None
        value = self._rebuild(code, packed)
        if not isinstance(value, kind):
            raise outdated
        return value


def _found(module: str, name: str) -> Any:
    try:
        return getattr(importlib.import_module(module), name, _MISSING)
    except ImportError:
        return _MISSING


def _encrypted(serializer: JsonPlusSerializer, key: bytes | None) -> SerializerProtocol:
    if key is None:
        return serializer
    try:
        from Crypto.Cipher import AES
    except ImportError:
        raise ExtraMissingError("the encryption of threads", "encryption") from None
    # Half the time of the default mode, EAX; both detect any change.
    aes = EncryptedSerializer.from_pycryptodome_aes(key=key, mode=AES.MODE_GCM)
    return EncryptedSerializer(_Cipher(aes.cipher), serializer)


class _Cipher(CipherProtocol):
    """A cipher whose wrong key is our error."""

    def __init__(self, cipher: CipherProtocol) -> None:
        self._cipher = cipher

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        return self._cipher.encrypt(plaintext)

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        try:
            return self._cipher.decrypt(ciphername, ciphertext)
        except ValueError:
            raise SetupError(
                "a thread cannot be decrypted: the key is not the one that it was written with,"
                " or the file is damaged"
            ) from None
