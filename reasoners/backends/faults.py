"""How a language model fails: one class of error for each thing that can be done about it.

All are ``BackendError``, so whoever asks a backend catches one kind; the class is what a span
tells (``error.type``) and what decides whether another try, or another server, may help. No
message quotes what a server said: servers repeat the prompt in their errors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time

from pydantic import ValidationError

from affectgraph.perceivers.errors import BackendError


class UnreachableError(BackendError):
    """Nothing listens at the address, or the connection could not be made."""


class SilentError(BackendError):
    """Nothing came within the time that was given."""


class BusyError(BackendError):
    """The server has too much to do (HTTP 429).

    Attributes:
        retry_after: Seconds after which it wants to be asked again; ``None`` if it did not say.
    """

    retry_after: float | None = None


class ServerFailedError(BackendError):
    """The server failed by itself (HTTP 5xx)."""


class RefusedError(BackendError):
    """The server refuses the request (HTTP 4xx): asking again gives the same."""


class StreamCutError(BackendError):
    """A stream ended before its end was told."""


class OutOfFormError(BackendError):
    """What came is not in the form that was asked for: broken JSON, no label, no words."""


_TRANSIENT = frozenset({408, 409, 425})


def fault_of(name: str, error: Exception, address: str, timeout: float) -> BackendError:
    """What an error of the openai client or of reading its answer means.

    Args:
        name: Name of the backend.
        error: What was raised.
        address: Of the server, for the message.
        timeout: Seconds that were given.
    """
    from openai import APIConnectionError, APIStatusError, APITimeoutError

    if isinstance(error, BackendError):
        return error
    if isinstance(error, APITimeoutError):
        return SilentError(name, f"no answer from {address} within {timeout:g} s")
    if isinstance(error, APIConnectionError):
        return UnreachableError(name, f"cannot reach {address}")
    if isinstance(error, APIStatusError):
        return _of_status(name, error.status_code, error.response.headers, address)
    return _of_reading(name, error, address)


def kind_of(error: BaseException) -> str:
    """What kind of error, and of pydantic's the fields and what is wrong with them.

    Never its text, which may quote a prompt or a key: pydantic's quotes what it was given.
    """
    kind = type(error).__name__
    if not isinstance(error, ValidationError):
        return kind
    told = error.errors(include_url=False, include_context=False, include_input=False)
    # Of a place in a union only the first part is a name.
    wrong = dict.fromkeys(f"{(*each['loc'], 'options')[0]} ({each['type']})" for each in told)
    return f"{kind} of {', '.join(wrong)}"


def _of_status(name: str, status: int, headers: Mapping[str, str], address: str) -> BackendError:
    told = f"HTTP {status} from {address}"
    if status == 429:
        busy = BusyError(name, told)
        busy.retry_after = retry_after(headers)
        return busy
    if status >= 500 or status in _TRANSIENT:
        return ServerFailedError(name, told)
    return RefusedError(name, told, permanent=True)


def _of_reading(name: str, error: Exception, address: str) -> BackendError:
    """An error of the transport under the client, or of what the server sent."""
    module = type(error).__module__.partition(".")[0]
    kind = type(error).__name__
    if module in {"httpx", "httpx2", "httpcore", "httpcore2"}:
        if "Timeout" in kind:
            return SilentError(name, f"{address} fell silent")
        return StreamCutError(name, f"the stream from {address} broke off")
    if isinstance(error, ConnectionError):
        return StreamCutError(name, f"the stream from {address} broke off")
    # An answer that is no JSON, or lacks what the form of the API promises.
    return OutOfFormError(name, f"an answer of {address} cannot be read ({kind})")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to be left alone (RFC 9110, 10.2.3); ``None`` if it does not."""
    told = headers.get("retry-after")
    if told is None:
        return None
    try:
        seconds = float(told)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(told).timestamp() - time()
        except ValueError:
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
