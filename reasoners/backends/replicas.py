"""Which of several servers is asked.

A prefix cache lives in one server, so a conversation is best answered where its last turn was:
that server has its prompt already. A new conversation goes where least is going on, and a server
that fails is left alone for a while.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from affectgraph.reasoners.contracts import Message

_KEPT: Final = 8192


@dataclass(eq=False)
class Replica:
    """One server.

    Attributes:
        address: With the version, such as ``http://127.0.0.1:8000/v1``.
        busy: Requests that it is working on.
        asked: Requests that it was ever given, those that cost nothing left out.
        failures: Failures in a row.
        until: When it may be asked again, on the clock of its :class:`Replicas`.
    """

    address: str
    busy: int = 0
    asked: int = 0
    failures: int = 0
    until: float = 0.0


class Replicas:
    """Servers of the same models, and which conversation is at home on which.

    A prompt belongs to a conversation if an earlier prompt, up to its user's last message, is
    how it begins; so no name of a thread is needed, and only digests are kept.

    Args:
        addresses: Of the servers, each once.
        cool_down: Seconds that a server is left alone after it has failed; doubled with each
            further failure in a row.
        longest: Seconds of the longest such pause.
        slack: Requests that a conversation's server may have more than the least busy one before
            the conversation moves.
        clock: Tells the time in seconds.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        cool_down: float = 5.0,
        longest: float = 60.0,
        slack: int = 4,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.all = tuple(Replica(address) for address in dict.fromkeys(addresses))
        self._cool_down, self._longest = cool_down, longest
        self._slack, self._clock = slack, clock
        self._homes: OrderedDict[bytes, Replica] = OrderedDict()

    def pick(self, messages: Sequence[Message] = (), tried: Collection[str] = ()) -> Replica | None:
        """The server to ask next.

        Args:
            messages: The prompt, as far as it is one of a conversation.
            tried: Addresses that have just failed with it.

        Returns:
            ``None`` if all were tried. Servers that are left alone are still asked if there is
            no other: the one whose pause ends first.
        """
        left = [replica for replica in self.all if replica.address not in tried]
        if not left:
            return None
        now = self._clock()
        well = [replica for replica in left if replica.until <= now]
        if not well:
            return min(left, key=lambda replica: replica.until)
        idle = min(well, key=lambda replica: (replica.busy, replica.asked))
        home = self._home(messages)
        if home is not None and any(home is one for one in well):
            return home if home.busy <= idle.busy + self._slack else idle
        return idle

    def begin(
        self, replica: Replica, messages: Sequence[Message] = (), *, light: bool = False
    ) -> None:
        """A server is asked; the conversation is at home there from now on.

        Args:
            replica: The server.
            messages: The prompt.
            light: Whether the request costs nothing, such as tokenizing.
        """
        replica.busy += 1
        replica.asked += not light
        if len(self.all) == 1:
            return
        for key in list(_digests(messages))[-1:]:
            self._homes[key] = replica
            self._homes.move_to_end(key)
        while len(self._homes) > _KEPT:
            self._homes.popitem(last=False)

    def end(self, replica: Replica, *, failed: bool = False, pause: float | None = None) -> None:
        """It has answered, or failed in a way that says something of the server.

        Args:
            replica: The server.
            failed: Whether it failed.
            pause: Seconds that it asks to be left alone; by default they grow with its failures.
        """
        replica.busy -= 1
        if not failed:
            replica.failures, replica.until = 0, 0.0
            return
        if pause is None:
            pause = min(self._longest, self._cool_down * 2.0**replica.failures)
        replica.failures += 1
        replica.until = self._clock() + pause

    def _home(self, messages: Sequence[Message]) -> Replica | None:
        for key in reversed(list(_digests(messages))):
            if key in self._homes:
                return self._homes[key]
        return None


def _digests(messages: Sequence[Message]) -> Iterator[bytes]:
    """A digest of every beginning of a prompt that ends with words of the user."""
    digest = blake2b(digest_size=16)
    for message in messages:
        digest.update(f"{message.role}\0{len(message.content)}\0{message.content}".encode())
        if message.role == "user":
            yield digest.digest()
