"""A real vLLM server for tests and benchmarks, started and ended with a ``with`` statement.

vLLM lives in an environment of its own, as it pins much: ``$AFFECTGRAPH_VLLM_PYTHON`` names its
python. ``.ci/vllm FOLDER`` makes one that runs without a GPU. A server that runs already is used
where ``$AFFECTGRAPH_VLLM_URL`` names it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

import httpx

from affectgraph.perceivers.errors import SetupError

PYTHON: Final = "AFFECTGRAPH_VLLM_PYTHON"
ADDRESS: Final = "AFFECTGRAPH_VLLM_URL"

_ENVIRONMENT: Final = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    # On a CPU: a gigabyte of keys and values. More threads wait for each other beside other work.
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
}


def vllm_python() -> Path | None:
    """The python that has vLLM; ``None`` where nobody named one."""
    named = os.environ.get(PYTHON)
    return Path(named) if named else None


class VllmAt:
    """A server that runs.

    Attributes:
        address: Without the version, such as ``http://127.0.0.1:41234``.
        name: Name of the model that it serves.
    """

    def __init__(self, address: str, name: str) -> None:
        self.address, self.name = address, name

    @classmethod
    def named(cls) -> Self | None:
        """The one that ``$AFFECTGRAPH_VLLM_URL`` names (without ``/v1``), with its first model."""
        address = os.environ.get(ADDRESS, "").rstrip("/").removesuffix("/v1")
        if not address:
            return None
        told = httpx.get(f"{address}/v1/models", timeout=60).raise_for_status().json()
        return cls(address, told["data"][0]["id"])

    @property
    def base_url(self) -> str:
        """Address to give to a client."""
        return f"{self.address}/v1"

    def metric(self, name: str) -> float:
        """The sum of a counter of the server's, such as ``vllm:prefix_cache_hits_total``."""
        told = httpx.get(f"{self.address}/metrics", timeout=30).text
        lines = [line for line in told.splitlines() if line.startswith(name)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


class VllmProcess(VllmAt):
    """A server of one model, as ``with VllmProcess(python, folder) as server``.

    Args:
        python: Of the environment with vLLM.
        folder: The model: ``config.json``, safetensors, tokenizer.
        name: Name that it is served under.
        adapters: Name -> folder of each LoRA adapter that is served besides.
        flags: Further flags of the server.
        patience: Seconds that it may take to answer for the first time.

    Raises:
        SetupError: When entered, if the server does not start.
    """

    def __init__(
        self,
        python: Path,
        folder: Path,
        *,
        name: str = "smollm2-135m",
        adapters: Mapping[str, Path] | None = None,
        flags: Sequence[str] = ("--dtype", "bfloat16", "--enforce-eager", "--block-size", "32"),
        patience: float = 600.0,
    ) -> None:
        super().__init__("", name)
        self._python, self._folder = python, folder
        self._adapters, self._flags = dict(adapters or {}), tuple(flags)
        self._patience = patience
        self._process: subprocess.Popen[bytes] | None = None
        self._scratch = tempfile.TemporaryDirectory(prefix="vllm-")

    def __enter__(self) -> Self:
        port = _free_port()
        self.address = f"http://127.0.0.1:{port}"
        log = Path(self._scratch.name) / "log"
        with log.open("wb") as out:
            # A group of its own, so that its workers can be ended with it.
            self._process = subprocess.Popen(  # noqa: S603 - the caller names the python
                self._command(port),
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **_ENVIRONMENT},
                cwd=self._scratch.name,
                start_new_session=True,
            )
        try:
            self._await_health(log)
            self._first_words()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._scratch.cleanup()

    def _command(self, port: int) -> list[str]:
        command = [
            str(self._python), "-m", "vllm.entrypoints.openai.api_server",
            "--host", "127.0.0.1", "--port", str(port),
            "--model", str(self._folder), "--served-model-name", self.name,
            "--max-model-len", "4096", "--enable-prompt-tokens-details", *self._flags,
        ]  # fmt: skip
        if self._adapters:
            command += ["--enable-lora", "--lora-modules"]
            command += [f"{name}={folder}" for name, folder in self._adapters.items()]
        return command

    def _await_health(self, log: Path) -> None:
        assert self._process is not None
        deadline = time.monotonic() + self._patience
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise SetupError(f"vLLM ended while it was starting:\n{_end_of(log)}")
            with suppress(httpx.TransportError):
                if httpx.get(f"{self.address}/health", timeout=5).is_success:
                    return
            time.sleep(0.5)
        raise SetupError(f"vLLM did not start within {self._patience:g} s:\n{_end_of(log)}")

    def _first_words(self) -> None:
        """The first request compiles kernels and takes seconds: not one of a test's."""
        body = {"model": self.name, "prompt": "Hello", "max_tokens": 4}
        httpx.post(f"{self.base_url}/completions", json=body, timeout=300).raise_for_status()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])
