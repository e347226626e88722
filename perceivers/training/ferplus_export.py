"""The trained networks as one ONNX file, checked against torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from affectgraph.perceivers.errors import SetupError

if TYPE_CHECKING:
    from affectgraph.perceivers.training.ferplus_net import ExpressionNet


def export(nets: Sequence[ExpressionNet], temperature: float, path: Path) -> float:
    """Write the reader as one ONNX file and check it against torch.

    Args:
        nets: Networks whose logits are averaged.
        temperature: Divides the mean logits.
        path: The file.

    Returns:
        The largest difference of a probability between the two, on random pictures.

    Raises:
        SetupError: If the difference is above 1e-4.
    """
    import onnxruntime
    import torch

    from affectgraph.perceivers.training.ferplus_net import ExpressionReader

    reader = ExpressionReader(nets, temperature).eval()
    faces = torch.rand(3, 1, 48, 48, generator=torch.Generator().manual_seed(1)) * 255
    torch.onnx.export(
        reader,
        (faces,),
        path,
        input_names=["faces"],
        output_names=["probs"],
        dynamo=True,
        dynamic_shapes={"faces": {0: torch.export.Dim("n", min=1, max=1024)}},
        external_data=False,
        verbose=False,
    )
    strip(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    other = torch.rand(5, 1, 48, 48, generator=torch.Generator().manual_seed(2)) * 255
    with torch.inference_mode():
        expected = reader(other).numpy()
    (got,) = session.run(None, {"faces": other.numpy()})
    gap = float(np.abs(got - expected).max())
    if gap > 1e-4:
        raise SetupError(f"{path.name}: ONNX and torch differ by {gap:.1e}")
    return gap


def strip(path: Path) -> None:
    """Drop what the exporter notes of its own run: stack traces with paths of this machine."""
    import onnx

    model = onnx.load_model(path)
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        value.ClearField("metadata_props")
        value.ClearField("doc_string")
    onnx.save_model(model, path)
