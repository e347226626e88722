"""The checks of what nodes read and write, over every run that a graph can take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args, get_origin

from langgraph.graph import START
from typing_extensions import is_typeddict

from affectgraph.orchestrator.compiler.checks import named
from affectgraph.orchestrator.compiler.faults import Fault
from affectgraph.orchestrator.compiler.fits import fits, parts_of, shown
from affectgraph.orchestrator.compiler.keys import Key
from affectgraph.orchestrator.compiler.shape import Branch, Run, Shape
from affectgraph.orchestrator.node import Node
from affectgraph.orchestrator.signature import Signature, signature_of
from affectgraph.perceivers.errors import BuildError

_CHANGEABLE = (list, dict, set, bytearray)


@dataclass(frozen=True)
class Use:
    """What one node, or the choice after one, does to the state.

    Attributes:
        name: The node.
        reads: Key to type.
        optional: Reads that may be absent.
        writes: Key to type.
        sure: Writes that are made even if the body fails.
        what: How to call it in a message.
        choice: Whether it is the choice after the node, which sees what the node wrote.
    """

    name: str
    reads: Mapping[str, Any]
    optional: frozenset[str]
    writes: Mapping[str, Any]
    sure: frozenset[str]
    what: str
    choice: bool = False


def uses_of(nodes: Sequence[Node], branches: Sequence[Branch]) -> tuple[list[Use], list[Fault]]:
    """What each node and each choice reads and writes, with the faults of their declarations."""
    uses: list[Use] = []
    faults: list[Fault] = []
    for node in nodes:
        try:
            uses += _uses(node)
            faults += _node_faults(node)
        except BuildError as error:
            faults.append(_undeclared(node.name, f"node '{node.name}'", error))
    for branch in branches:
        what = f"the branch after '{branch.source}'"
        try:
            signature = signature_of(branch.choose)
        except BuildError as error:
            faults.append(_undeclared(branch.source, what, error))
            continue
        nothing: frozenset[str] = frozenset()
        reads, optional = signature.reads, signature.optional
        uses.append(Use(branch.source, reads, optional, {}, nothing, what, choice=True))
        faults += _branch_faults(branch, signature)
    return uses, faults


def _uses(node: Node) -> Iterator[Use]:
    body, degraded, what = node.signature, node.degraded, f"node '{node.name}'"
    yield Use(node.name, body.reads, body.optional, body.writes, node.sure, what)
    if degraded.reads or degraded.writes:
        what = f"the degrade of {what}"
        nothing: frozenset[str] = frozenset()
        yield Use(node.name, degraded.reads, degraded.optional, degraded.writes, nothing, what)


def _undeclared(name: str, what: str, error: BuildError) -> Fault:
    return Fault(
        "signature",
        (name,),
        f"{what} does not say what it reads and writes: {error}",
        "annotate every parameter, and the result with a TypedDict or None",
    )


def _node_faults(node: Node) -> Iterator[Fault]:
    for part, signature in (("", node.signature), ("the degrade of ", node.degraded)):
        if signature.returns is None or is_typeddict(signature.returns):
            continue
        if signature.returns is not type(None):
            yield Fault(
                "signature",
                (node.name,),
                f"{part}node '{node.name}' returns {shown(signature.returns)}, which does not say"
                " which keys it writes",
                "annotate it with a TypedDict of them, or with None",
            )
    if node.signature.asynchronous:
        return
    if node.timeout is not None and node.pool is None:
        yield Fault(
            "blocking",
            (node.name,),
            f"node '{node.name}' is a plain function, which its time limit of {node.timeout:g} s"
            " cannot stop",
            "make it async, or give it a BlockingPool, or timeout=None if it is quick",
        )


def _branch_faults(branch: Branch, signature: Signature) -> Iterator[Fault]:
    if signature.asynchronous:
        yield Fault(
            "branch",
            (branch.source,),
            f"the choice after '{branch.source}' is a coroutine",
            "decide in the node, and choose by what it wrote",
        )
    labels = get_args(signature.returns)
    if str(get_origin(signature.returns)) != "typing.Literal":
        return
    missing = [label for label in labels if label not in branch.targets]
    unused = [label for label in branch.targets if label not in labels]
    if missing:
        yield Fault(
            "branch",
            (branch.source,),
            f"the branch after '{branch.source}' may choose {named(missing)}, which leads nowhere",
            "name its target",
        )
    if unused:
        yield Fault(
            "branch",
            (branch.source,),
            f"the branch after '{branch.source}' never chooses {named(unused)}",
            "drop its target, or widen the Literal",
        )


def declaration_faults(uses: Sequence[Use], keys: Mapping[str, Key]) -> Iterator[Fault]:
    """Keys that are not of the state, and types that do not fit."""
    for use in uses:
        yield from _against_state(use, keys)
    for reader in uses:
        for key, hint in reader.reads.items():
            if key not in keys or keys[key].shared:
                continue
            # Of a body and its degrade, which write the same key, the one that is told first.
            writers = {use.name: use for use in reversed(uses) if key in use.writes}
            for writer in writers.values():
                given = writer.writes[key]
                if not fits(given, hint) and fits(given, keys[key].accepts):
                    yield _misfit(reader, key, hint, given, f"{writer.what} writes", writer.name)


def _against_state(use: Use, keys: Mapping[str, Key]) -> Iterator[Fault]:
    for key, hint in use.reads.items():
        if key not in keys:
            yield _no_key("unwritten-read", use, "reads", key, keys)
        elif keys[key].shared and not fits(keys[key].type, hint):
            yield _misfit(use, key, hint, keys[key].type, "the state keeps")
    for key, hint in use.writes.items():
        if key not in keys:
            yield _no_key("undeclared-write", use, "writes", key, keys)
        elif not fits(hint, keys[key].accepts):
            said = f"{use.what} writes '{key}' as {shown(hint)}"
            yield Fault(
                "type",
                (use.name,),
                f"{said}, but the state takes {shown(keys[key].accepts)}",
                "change one of the two",
            )


def _no_key(kind: Any, use: Use, verb: str, key: str, keys: Mapping[str, Key]) -> Fault:
    near = get_close_matches(key, keys, n=1)
    return Fault(
        kind,
        (use.name,),
        f"{use.what} {verb} '{key}', which is no key of the state",
        f"did you mean '{near[0]}'?" if near else f"add '{key}' to the state",
    )


def _misfit(use: Use, key: str, hint: Any, given: Any, who: str, *others: str) -> Fault:
    return Fault(
        "type",
        (use.name, *others),
        f"{use.what} reads '{key}' as {shown(hint)}, but {who} {shown(given)}",
        "change one of the two",
    )


def unwritten_faults(
    shape: Shape, uses: Sequence[Use], keys: Mapping[str, Key], inputs: frozenset[str]
) -> Iterator[Fault]:
    """Reads that nobody writes, or not on every way, or not when the writer fails."""
    told: set[tuple[str, str]] = set()
    for run in shape.runs:
        for use in uses:
            if use.name not in run.into:
                continue
            before = run.before[use.name]
            if use.choice:
                before |= {use.name}
            for key in use.reads:
                known = key in keys and key not in inputs and key not in use.optional
                if known and (use.what, key) not in told:
                    fault = _unwritten(run, use, key, before, uses)
                    if fault:
                        told.add((use.what, key))
                        yield fault


def _unwritten(
    run: Run, use: Use, key: str, before: frozenset[str], uses: Sequence[Use]
) -> Fault | None:
    writers = [other for other in uses if key in other.writes and other.name != use.name]
    earlier = [other for other in writers if other.name in before]
    if any(key in other.sure for other in uses if other.name in before):
        return None
    said = f"{use.what} reads '{key}'"
    if not writers:
        return Fault(
            "unwritten-read",
            (use.name,),
            f"{said}, which nobody writes",
            f"add a node that writes it, name it in inputs, or give the parameter '{key}' a"
            " default",
        )
    names = tuple(dict.fromkeys(writer.name for writer in earlier or writers))
    if not earlier:
        where = "beside or after it" if all(n in run.into for n in names) else "on other ways"
        return Fault(
            "unwritten-read",
            (use.name, *names),
            f"{said}, which {named(names)} writes only {where}",
            f"lead through {named(names)} first, or give the parameter a default",
        )
    return Fault(
        "unwritten-read",
        (use.name, *names),
        f"{said}, which is unwritten when {named(names)} fails",
        f"give {named(names)} a degrade that writes '{key}', or the parameter a default",
    )


def sharing_faults(shape: Shape, uses: Sequence[Use], keys: Mapping[str, Key]) -> Iterator[Fault]:
    """Keys that nodes running side by side write over, or could change in each other's hands."""
    told: set[str] = set()
    for run in shape.runs:
        ran = [use for use in uses if use.name in run.into and use.name != START]
        for at, one in enumerate(ran):
            for other in ran[at + 1 :]:
                if not run.side_by_side(one.name, other.name):
                    continue
                for fault in _sharing(one, other, keys):
                    if fault.message not in told:
                        told.add(fault.message)
                        yield fault


def _sharing(one: Use, other: Use, keys: Mapping[str, Key]) -> Iterator[Fault]:
    pair = (one.name, other.name)
    for key in one.writes:
        if key in other.writes and key in keys and not keys[key].shared:
            yield Fault(
                "parallel-writes",
                pair,
                f"{named(pair)} run side by side and both write '{key}'",
                f"give '{key}' a reducer (Annotated[..., function]), or a key to each",
            )
    for key in one.reads:
        if key in other.reads and key in keys:
            parts = [get_origin(part) or part for part in parts_of(keys[key].type)]
            base = next((part for part in parts if part in _CHANGEABLE), None)
            if base is not None:
                yield Fault(
                    "mutable",
                    pair,
                    f"{named(pair)} run side by side and both hold '{key}', a"
                    f" {base.__name__} that one could change under the other",
                    "keep a tuple, a Mapping or a frozen class in the state",
                )
