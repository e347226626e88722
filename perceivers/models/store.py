"""Where pulled models lie, and whether they are whole."""

from __future__ import annotations

import os
from pathlib import Path

from affectgraph.perceivers.errors import ModelMissingError, SetupError
from affectgraph.perceivers.models.table import MODELS, PinnedModel

READY = "READY"
"""Name of the file that is written last; a folder without it does not count."""


class ModelStore:
    """The cache folder of pulled models.

    Args:
        root: The folder; by default ``$AFFECTGRAPH_MODELS``, else ``affectgraph/models`` under
            ``$XDG_CACHE_HOME`` or ``~/.cache``.
    """

    def __init__(self, root: Path | None = None) -> None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        chosen = root or os.environ.get("AFFECTGRAPH_MODELS") or cache / "affectgraph" / "models"
        self.root = Path(chosen)

    def pinned(self, name: str) -> PinnedModel:
        """Look a model up in the table.

        Raises:
            SetupError: If the table has no such model.
        """
        try:
            return MODELS[name]
        except KeyError:
            raise SetupError(f"no model {name!r}; there are: {', '.join(MODELS)}") from None

    def folder(self, name: str) -> Path:
        """The folder of a model at its pinned version, whether or not it is there.

        Part of the digest is in the name, so a new pin never meets old files.
        """
        model = self.pinned(name)
        return self.root / f"{model.name}-{model.sha256[:12]}"

    def has(self, name: str) -> bool:
        """Whether the model is pulled and built."""
        return (self.folder(name) / READY).is_file()

    def path(self, name: str, file: str = "") -> Path:
        """A file of a pulled model, or its folder.

        Raises:
            ModelMissingError: If the model is not pulled; the message says how to.
        """
        if not self.has(name):
            raise ModelMissingError(name)
        return self.folder(name) / file
