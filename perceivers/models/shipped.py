"""The change that makes one model of another: a file of this distribution, checked like a wheel."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

from affectgraph.perceivers.errors import ModelCorruptError, SetupError
from affectgraph.perceivers.models.table import PinnedModel
from affectgraph.perceivers.models.wheel import sha256_of


def copy(model: PinnedModel, folder: Path) -> None:
    """Copy a model's member out of the package that holds it, once its digest is the pinned one.

    The package is found, not imported: it may stand above this one.

    Raises:
        SetupError: If the file is not there, as in a distribution that left the weights out.
        ModelCorruptError: If it is not what is pinned.
    """
    for member, name in model.members.items():
        spec = find_spec(model.package)
        places = [] if spec is None else list(spec.submodule_search_locations or ())
        file = next((f for f in (Path(place) / member for place in places) if f.is_file()), None)
        if file is None:
            raise SetupError(
                f"model {model.name!r}: {model.package} holds no {member}; model {model.base!r} can"
                " be used in its place"
            )
        found = sha256_of(file)
        if found != model.sha256:
            raise ModelCorruptError(
                f"model {model.name!r}: {member} has SHA-256 {found}, pinned is {model.sha256};"
                " it is refused"
            )
        shutil.copyfile(file, folder / name)
