"""Where a model runs and in which numbers: one place that opens networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from affectgraph.perceivers.errors import ExtraMissingError, SetupError

if TYPE_CHECKING:
    import onnx
    import torch

Precision = Literal["auto", "int8", "fp32", "fp16", "bf16"]

_QUANTISED: Final = frozenset(
    {
        "DequantizeLinear", "DynamicQuantizeLinear", "DynamicQuantizeMatMul", "MatMulInteger",
        "MatMulIntegerToFloat", "MatMulNBits", "QAttention", "QGemm", "QLinearConv",
        "QLinearMatMul", "QuantizeLinear", "ConvInteger",
    }
)  # fmt: skip
"""Operators that only a quantised graph has."""


class Device(BaseModel):
    """Where a part runs its model, and in which numbers; in YAML ``cuda`` or the fields.

    Attributes:
        device: ``cpu``, ``cuda``, or ``cuda:N``.
        precision: ``auto`` runs an ONNX graph as it is and a torch model in fp32. ``int8`` and
            ``fp32`` ask that a graph be of that kind. ``fp16`` makes one of an fp32 graph when it
            is opened, on CUDA only. ``bf16`` is for torch models.
        threads: Processor threads of one call of an ONNX graph, 1 by default: perceivers run side
            by side, so one each is quickest where cores are few. Torch's threads are those of the
            whole process and are not touched.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str = Field(default="cpu", pattern=r"^(cpu|cuda(:\d+)?)$")
    precision: Precision = "auto"
    threads: int = Field(default=1, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: object) -> object:
        return {"device": data} if isinstance(data, str) else data

    @property
    def on_cuda(self) -> bool:
        """Whether this is an NVIDIA GPU."""
        return self.device != "cpu"

    @property
    def index(self) -> int:
        """Number of the GPU; 0 where none is named."""
        return int(self.device.partition(":")[2] or 0)

    def session(self, graph: Path, *, shapes_vary: bool = False) -> Any:
        """Open an ONNX graph; blocking.

        Args:
            graph: The file.
            shapes_vary: Whether calls differ in shape: memory laid out for one is then wrong for
                the next, so none is laid out ahead.

        Returns:
            An ``onnxruntime.InferenceSession``.

        Raises:
            SetupError: If the file is absent or no graph, the GPU or its runtime is not there, or
                the graph cannot run in this precision.
        """
        import onnxruntime

        if not graph.is_file():
            raise SetupError(f"{graph.name} is absent: the installation is incomplete")
        providers = self._providers(onnxruntime.get_available_providers())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.enable_mem_pattern = not shapes_vary
        # Idle threads that spin would take the processor from the other perceivers.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            model = self._in_precision(graph)
            session = onnxruntime.InferenceSession(model, options, providers=providers)
        except SetupError:
            raise
        except Exception as error:  # onnxruntime's own classes have no common root
            raise SetupError(
                f"{graph.name}: not a graph that opens ({type(error).__name__})"
            ) from error
        # Where CUDA's libraries are missing onnxruntime goes on without it, and only logs so.
        if self.on_cuda and "CUDAExecutionProvider" not in session.get_providers():
            raise SetupError(
                f"{graph.name}: onnxruntime could not start CUDA on {self.device}; its CUDA and"
                " cuDNN libraries are missing or of another version"
            )
        return session

    def torch_device(self) -> torch.device:
        """The device for torch; blocking, imports torch.

        Raises:
            SetupError: If torch is not installed, or sees no such GPU.
        """
        library = _torch()
        if self.on_cuda:
            count = library.cuda.device_count() if library.cuda.is_available() else 0
            if self.index >= count:
                raise SetupError(
                    f"torch sees {count} GPUs and no {self.device}: install a CUDA build of torch"
                    " and the driver, or set device to cpu"
                )
        found: torch.device = library.device(self.device)
        return found

    def torch_dtype(self) -> torch.dtype:
        """The number format for torch; imports torch.

        Raises:
            SetupError: For ``int8``, and for ``fp16`` on the processor.
        """
        library = _torch()
        if self.precision == "int8":
            raise SetupError("int8 is for ONNX graphs: a torch model takes fp32, bf16 or fp16")
        if self.precision == "fp16" and not self.on_cuda:
            raise SetupError("fp16 on the processor is slow and overflows: take fp32 or bf16")
        formats = {"fp16": library.float16, "bf16": library.bfloat16}
        chosen: torch.dtype = formats.get(self.precision, library.float32)
        return chosen

    def _providers(self, available: list[str]) -> list[Any]:
        if not self.on_cuda:
            return ["CPUExecutionProvider"]
        if "CUDAExecutionProvider" not in available:
            raise SetupError(
                f"device {self.device} needs onnxruntime-gpu in the place of onnxruntime: pip"
                " uninstall onnxruntime, then pip install onnxruntime-gpu"
            )
        return [("CUDAExecutionProvider", {"device_id": self.index}), "CPUExecutionProvider"]

    def _in_precision(self, graph: Path) -> str | bytes:
        """What to open: the file, or its bytes in another number format."""
        if self.precision == "auto":
            return str(graph)
        if self.precision == "bf16" or (self.precision == "fp16" and not self.on_cuda):
            raise SetupError(
                f"{graph.name}: an ONNX graph does not run in {self.precision} on {self.device};"
                " take auto"
            )
        import onnx

        model = onnx.load(graph)
        quantised = _is_quantised(model)
        if quantised != (self.precision == "int8"):
            held = "int8" if quantised else "fp32"
            raise SetupError(f"{graph.name} is an {held} graph, not {self.precision}: take auto")
        return _half(model) if self.precision == "fp16" else str(graph)


CPU: Final = Device()
"""The processor, one thread a call."""


def _is_quantised(model: onnx.ModelProto) -> bool:
    return any(node.op_type in _QUANTISED for node in model.graph.node)


def _half(model: onnx.ModelProto) -> bytes:
    """The graph with half-precision numbers inside; what goes in and comes out stays fp32."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    converted: onnx.ModelProto = convert_float_to_float16(model, keep_io_types=True)
    return bytes(converted.SerializeToString())


def _torch() -> Any:
    import importlib.util

    if importlib.util.find_spec("torch") is None:
        raise ExtraMissingError("a torch model", "gpu")
    import torch

    return torch
