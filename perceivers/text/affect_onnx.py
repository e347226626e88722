"""Makes the shipped graph of the text encoder (int8), and the float graph that a GPU wants."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from affectgraph.perceivers.device import Device
from affectgraph.perceivers.text.minilm_onnx import TEMPERATURE, Weights, graph, regraph


def quantised(weights: Weights, out: Path) -> None:
    """Write an encoder with heads: matrices in int8 with a scale a channel, activations as it goes.

    Args:
        weights: As :func:`~affectgraph.perceivers.text.minilm_onnx.graph` takes them.
        out: The ONNX file.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / "plain.onnx"
        onnx.save_model(graph(weights, out, heads=True), str(plain))
        quantize_dynamic(
            plain,
            out,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=["MatMul"],
        )


def set_temperature(file: Path, temperature: float) -> None:
    """Write the temperature of the emotion head into a graph.

    Args:
        file: The ONNX file, which is replaced.
        temperature: Divides the logits of ``probs``; above 0.
    """
    import onnx
    from onnx import numpy_helper

    model = onnx.load_model(file)
    (found,) = (t for t in model.graph.initializer if t.name == TEMPERATURE)
    found.CopyFrom(numpy_helper.from_array(np.array(temperature, np.float32), TEMPERATURE))
    onnx.save_model(model, str(file))


def open_quantised(file: Path, device: Device) -> Any:
    """Open what :func:`quantised` wrote: as it is on the processor, in float elsewhere.

    Raises:
        SetupError: If the file cannot be opened, or the device is not there.
    """
    if runs_int8(device) or not file.is_file():
        return device.session(file, shapes_vary=True)
    import onnx

    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / file.name
        onnx.save_model(floated(file), str(plain))
        return device.session(plain, shapes_vary=True)


def runs_int8(device: Device) -> bool:
    """Whether an int8 graph is run as it is: on the processor, unless fp32 is asked for."""
    return not device.on_cuda and device.precision in ("auto", "int8")


def floated(file: Path) -> Any:
    """The same encoder in float32, as an ``onnx.ModelProto``: for devices that have no int8.

    Args:
        file: An ONNX file that :func:`quantised` wrote.
    """
    import onnx
    from onnx import numpy_helper

    model = onnx.load_model(file)
    held = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    constants: Weights = {}
    for name, array in held.items():
        if name.endswith("_quantized"):
            base = name.removesuffix("_quantized")
            whole = array.astype(np.float32) - held[f"{base}_zero_point"]
            constants[base] = whole * held[f"{base}_scale"]
        else:
            constants[name] = array
    return regraph(constants)
