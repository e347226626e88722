"""Where a model runs: sessions as they are asked for, or a reason why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from affectgraph.perceivers.device import CPU, Device
from affectgraph.perceivers.errors import SetupError


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A graph that doubles what it is given, in fp32."""
    from onnx import TensorProto, helper, save

    given = helper.make_tensor_value_info("given", TensorProto.FLOAT, ["n", 3])
    doubled = helper.make_tensor_value_info("doubled", TensorProto.FLOAT, ["n", 3])
    two = helper.make_tensor("two", TensorProto.FLOAT, [1], [2.0])
    node = helper.make_node("Mul", ["given", "two"], ["doubled"])
    model = helper.make_model(
        helper.make_graph([node], "double", [given], [doubled], [two]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=10,
    )
    save(model, tmp_path / "double.onnx")
    return tmp_path / "double.onnx"


@pytest.fixture
def int8_graph(tmp_path: Path) -> Path:
    """A graph whose weights are eight-bit."""
    from onnx import TensorProto, helper, save

    given = helper.make_tensor_value_info("given", TensorProto.FLOAT, ["n", 2])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 2])
    initial = [
        helper.make_tensor("weight8", TensorProto.INT8, [2, 2], [1, 0, 0, 1]),
        helper.make_tensor("scale", TensorProto.FLOAT, [], [1.0]),
        helper.make_tensor("zero", TensorProto.INT8, [], [0]),
    ]
    nodes = [
        helper.make_node("DequantizeLinear", ["weight8", "scale", "zero"], ["weight"]),
        helper.make_node("MatMul", ["given", "weight"], ["out"]),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "quantised", [given], [out], initial),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=10,
    )
    save(model, tmp_path / "quantised.onnx")
    return tmp_path / "quantised.onnx"


@pytest.mark.parametrize("vary", [True, False])
def test_a_graph_runs_on_the_processor(graph: Path, vary: bool) -> None:
    session = CPU.session(graph, shapes_vary=vary)
    given = np.ones((4, 3), np.float32)
    (doubled,) = session.run(["doubled"], {"given": given})
    np.testing.assert_array_equal(doubled, 2 * given)
    assert session.get_providers() == ["CPUExecutionProvider"]


def test_the_session_has_the_threads_and_does_not_spin(graph: Path) -> None:
    options = Device(threads=3).session(graph, shapes_vary=True).get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 1)
    assert not options.enable_mem_pattern
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_a_gpu_that_is_not_there_is_told_with_what_to_do(graph: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime knows CUDA")
    with pytest.raises(SetupError, match=r"cuda:1 needs onnxruntime-gpu .* pip install"):
        Device(device="cuda:1").session(graph)


@pytest.mark.parametrize("providers", [["CPUExecutionProvider"], []])
def test_a_gpu_that_onnxruntime_gave_up_on_in_silence_is_told(
    graph: Path, monkeypatch: pytest.MonkeyPatch, providers: list[str]
) -> None:
    """Where CUDA's libraries are missing, the session opens all the same, on the processor."""
    import onnxruntime

    class Session:
        def __init__(self, *args: object, **options: object) -> None:
            assert options["providers"] == [
                ("CUDAExecutionProvider", {"device_id": 2}),
                "CPUExecutionProvider",
            ]

        def get_providers(self) -> list[str]:
            return providers

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    with pytest.raises(SetupError, match="could not start CUDA on cuda:2"):
        Device(device="cuda:2").session(graph)


def test_precision_is_held_to_what_the_graph_is(graph: Path, int8_graph: Path) -> None:
    assert Device(precision="fp32").session(graph)
    assert Device(precision="int8").session(int8_graph)
    with pytest.raises(SetupError, match=r"double.onnx is an fp32 graph, not int8: take auto"):
        Device(precision="int8").session(graph)
    with pytest.raises(SetupError, match=r"quantised.onnx is an int8 graph, not fp32"):
        Device(precision="fp32").session(int8_graph)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precision_is_not_for_graphs_on_the_processor(graph: Path, precision: str) -> None:
    with pytest.raises(SetupError, match=f"does not run in {precision} on cpu"):
        Device.model_validate({"precision": precision}).session(graph)


def test_on_a_gpu_an_fp32_graph_is_opened_in_half_precision(
    graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The graph that CUDA would be given, run here: fp32 outside, fp16 inside."""
    import onnx
    import onnxruntime

    opened: list[bytes] = []

    class Session:
        def __init__(self, model: bytes, *args: object, **options: object) -> None:
            opened.append(model)

        def get_providers(self) -> list[str]:
            return ["CUDAExecutionProvider"]

    real = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    Device(device="cuda", precision="fp16").session(graph)
    inside = {weight.data_type for weight in onnx.load_from_string(opened[0]).graph.initializer}
    assert inside == {onnx.TensorProto.FLOAT16}
    session = real(opened[0], providers=["CPUExecutionProvider"])
    (doubled,) = session.run(None, {"given": np.full((1, 3), 1.5, np.float32)})
    assert doubled.dtype == np.float32
    np.testing.assert_array_equal(doubled, [[3, 3, 3]])


def test_what_is_no_graph_is_told(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"gone.onnx is absent"):
        CPU.session(tmp_path / "gone.onnx")
    (tmp_path / "odd.onnx").write_bytes(b"no graph")
    with pytest.raises(SetupError, match=r"odd.onnx: not a graph that opens"):
        CPU.session(tmp_path / "odd.onnx")


def test_torch_gets_its_device_and_numbers() -> None:
    torch = pytest.importorskip("torch")
    assert CPU.torch_device() == torch.device("cpu")
    assert CPU.torch_dtype() is torch.float32
    assert Device(precision="bf16").torch_dtype() is torch.bfloat16
    assert Device(device="cuda", precision="fp16").torch_dtype() is torch.float16
    with pytest.raises(SetupError, match=r"torch sees .* no cuda:63"):
        Device(device="cuda:63").torch_device()


@pytest.mark.parametrize(("precision", "reason"), [("int8", "ONNX"), ("fp16", "overflows")])
def test_torch_refuses_numbers_that_do_not_suit(precision: str, reason: str) -> None:
    pytest.importorskip("torch")
    with pytest.raises(SetupError, match=reason):
        Device.model_validate({"precision": precision}).torch_dtype()


def test_a_word_is_enough_in_a_file() -> None:
    read = TypeAdapter(Device).validate_python
    assert read("cuda:1") == Device(device="cuda:1")
    assert read({"device": "cuda", "precision": "fp16"}).index == 0


@pytest.mark.parametrize(
    "wrong", ["gpu", "cuda:", "cuda:x", {"precision": "fp8"}, {"threads": 0}, {"cores": 2}]
)
def test_other_devices_are_refused(wrong: object) -> None:
    with pytest.raises(ValidationError):
        Device.model_validate(wrong)
