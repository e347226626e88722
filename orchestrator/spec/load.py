"""From a file, or a text, to a spec."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from affectgraph.orchestrator.registry import Registries, default_registries
from affectgraph.orchestrator.spec.document import MAX_BYTES, parse
from affectgraph.orchestrator.spec.environment import Environment
from affectgraph.orchestrator.spec.faults import Place, SpecError, SpecFault
from affectgraph.orchestrator.spec.model import AgentSpec
from affectgraph.orchestrator.spec.reader import Reader


def load_spec(
    path: str | Path,
    registries: Registries | None = None,
    *,
    environ: Mapping[str, str] | None = None,
) -> AgentSpec:
    """Read and check a spec; nothing of it is made yet.

    What it does not say is as in the default agent.

    Args:
        path: The YAML file; relative paths in it are relative to its folder.
        registries: Where names are looked up; by default what the package brings and what is
            installed.
        environ: Environment variables; by default this process's.

    Raises:
        SpecError: With every fault, each with its line.
    """
    path = Path(path)
    try:
        # One byte more than is taken: what is longer is refused, however long.
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1).decode("utf-8")
    except OSError as error:
        fault = (error.strerror or "cannot be read").lower()
        raise SpecError([SpecFault(Place(str(path)), fault)]) from error
    except UnicodeDecodeError as error:
        fault = f"not valid UTF-8 at byte {error.start}"
        raise SpecError([SpecFault(Place(str(path)), fault)]) from None
    return parse_spec(
        text, registries, source=str(path), folder=path.absolute().parent, environ=environ
    )


def parse_spec(
    text: str,
    registries: Registries | None = None,
    *,
    source: str = "spec",
    folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> AgentSpec:
    """Read and check a spec that is no file.

    Args:
        text: YAML.
        registries: As :func:`load_spec` takes them.
        source: Its name in faults.
        folder: What relative paths in it are relative to; by default the working folder.
        environ: Environment variables; by default this process's.

    Raises:
        SpecError: With every fault, each with its line.
    """
    registries = registries or default_registries()
    base = default_spec(registries, environ=environ)
    return _parse(text, registries, source, folder or Path.cwd(), base, Environment(environ))


def default_spec(
    registries: Registries | None = None, *, environ: Mapping[str, str] | None = None
) -> AgentSpec:
    """The default agent, as ``data/default.yaml`` in the package describes it."""
    text = (files("affectgraph.orchestrator") / "data" / "default.yaml").read_text("utf-8")
    registries = registries or default_registries()
    return _parse(text, registries, "default.yaml", Path.cwd(), None, Environment(environ))


def _parse(
    text: str,
    registries: Registries,
    source: str,
    folder: Path,
    base: AgentSpec | None,
    environment: Environment,
) -> AgentSpec:
    document, faults = parse(text, source)
    reader = Reader(registries, environment, folder, base, faults)
    spec = reader.read(document, source) if document is not None else None
    if spec is None:
        raise SpecError(reader.faults)
    return spec
