"""The one tree of errors, split by the phase in which they happen.

Every message names the part at fault and says what to do. ``SetupError`` is raised before a
graph exists, ``BuildError`` while one is put together, ``InputError`` when a turn is handed in,
``NodeError`` while a turn runs.
"""


class AffectGraphError(Exception):
    """Root of everything that affectgraph raises on purpose.

    Attributes:
        permanent: Whether trying again is pointless.
    """

    permanent: bool = True


class SetupError(AffectGraphError):
    """Something the machine must have is absent or wrong: a model, an extra, a setting."""


class ModelMissingError(SetupError):
    """A pinned model is not in the cache folder."""

    def __init__(self, name: str) -> None:
        super().__init__(f"model {name!r} is not here: run `affectgraph models pull {name}`")
        self.name = name


class ModelCorruptError(SetupError):
    """A file of a model does not have its pinned SHA-256; it is refused."""


class ExtraMissingError(SetupError):
    """A part needs an optional dependency that is not installed."""

    def __init__(self, part: str, extra: str) -> None:
        super().__init__(f"{part} needs the extra {extra!r}: pip install 'affectgraph[{extra}]'")
        self.extra = extra


class BuildError(AffectGraphError):
    """The parts of an agent do not fit together."""


class InputError(AffectGraphError):
    """A turn cannot be taken as it is; nothing of it was processed or stored."""


class MediaError(InputError):
    """A media file cannot be used.

    Args:
        path: The file as the caller named it.
        fault: What is wrong with it and, where it helps, what would be right.
    """

    def __init__(self, path: object, fault: str) -> None:
        super().__init__(f"{path}: {fault}")
        self.path = path
        self.fault = fault


class NodeError(AffectGraphError):
    """A node failed while a turn ran.

    Args:
        node: Name of the node.
        fault: What happened, without any user content.
        permanent: Whether trying again is pointless.
    """

    def __init__(self, node: str, fault: str, *, permanent: bool = True) -> None:
        super().__init__(f"node {node!r}: {fault}")
        self.node = node
        self.fault = fault
        self.permanent = permanent


class BackendError(AffectGraphError):
    """A language model backend could not answer.

    Args:
        backend: Name of the backend.
        fault: What happened, without any user content.
        permanent: Whether trying again is pointless (a bad request, a wrong key).
    """

    def __init__(self, backend: str, fault: str, *, permanent: bool = False) -> None:
        super().__init__(f"backend {backend!r}: {fault}")
        self.backend = backend
        self.permanent = permanent


def is_permanent(error: BaseException) -> bool:
    """Whether trying again is pointless.

    Errors of ours say so themselves. Of others, only those of the machine and the network
    (``OSError``, which timeouts belong to) may pass; a wrong type or value stays wrong.
    """
    if isinstance(error, AffectGraphError):
        return error.permanent
    return not isinstance(error, OSError)
