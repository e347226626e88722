"""The key of encrypted threads: read from the environment, never shown."""

from __future__ import annotations

import base64
import binascii
import os
from typing import Final

from affectgraph.perceivers.errors import SetupError

_LENGTHS: Final = (16, 24, 32)


def read_key(name: str | None) -> bytes | None:
    """The key in an environment variable; ``None`` where no variable is named.

    Args:
        name: The variable. It holds 16, 24 or 32 bytes as hexadecimal digits or base64 (either
            alphabet).

    Raises:
        SetupError: If the variable is not set or holds anything else. Its value is not told.
    """
    if name is None:
        return None
    value = os.environ.get(name, "").strip()
    if not value:
        raise SetupError(f"threads are to be encrypted, but {name} is not set: {_advice(name)}")
    for decode in (bytes.fromhex, _from_base64):
        try:
            key = decode(value)
        except (ValueError, binascii.Error):
            continue
        if len(key) in _LENGTHS:
            return key
    raise SetupError(
        f"{name} must hold a key of 16, 24 or 32 bytes as hexadecimal digits or base64:"
        f" {_advice(name)}"
    )


def _from_base64(value: str) -> bytes:
    return base64.b64decode(value.replace("-", "+").replace("_", "/"), validate=True)


def _advice(name: str) -> str:
    return f"{name}=$(python -c 'import secrets; print(secrets.token_hex(32))') makes one"
