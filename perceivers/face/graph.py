"""The networks that read framed faces, as ONNX graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.device import Device
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.models import ModelUse


class FaceGraph:
    """A graph from ``faces`` to one output; blocking, safe to share between threads once loaded.

    Args:
        weights: The ONNX file.
        output: What its output is called.
        name: What the shipped weights are called in readings; of other weights the file's name.
        shipped: The weights of the package.
        licence: Of those.
        device: Where it runs.
    """

    def __init__(
        self, weights: Path, output: str, *, name: str, shipped: Path, licence: str, device: Device
    ) -> None:
        own = weights != shipped
        self._use = ModelUse(weights.name) if own else ModelUse(name, licence)
        self._weights = weights
        self._output = output
        self._device = device
        self._session: Any = None

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """Its weights."""
        return (self._use,)

    def load(self) -> None:
        """Open the network; blocking, and done by the first reading otherwise.

        Raises:
            SetupError: If the file is absent or is not such a network, or the device is not there.
        """
        if self._session is not None:
            return
        session = self._device.session(self._weights, shapes_vary=True)
        names = [value.name for value in (*session.get_inputs(), *session.get_outputs())]
        if names != ["faces", self._output]:
            raise SetupError(
                f"{self._weights.name}: not a network from faces to {self._output}, but {names}"
            )
        self._session = session

    def _run(self, faces: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Read grey faces, uint8, shape (n, 48, 48); the output's shape begins with n."""
        self.load()
        (told,) = self._session.run([self._output], {"faces": faces[:, None].astype(np.float32)})
        return np.asarray(told, dtype=np.float64)
