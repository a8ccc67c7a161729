"""What trains: the card of this machine, cards of the usual sizes, or a CPU. Asks the driver, not CUDA."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from engine.cpus import available_cpus

_MIB_IN_GIB = 1024
_GB_IN_GIB = 0.93  # a card of 24 GB has about so much less in GiB
_SECONDS = 10  # for the driver's answer

# Dense bfloat16 products with float32 sums, TFLOP/s by data sheet; of the H100 and H200 as measured.
_TFLOPS = {
    **{"H100": 790.0, "H200": 790.0, "B200": 2250.0, "A100": 312.0, "L40S": 362.0, "L40": 181.0, "L4": 121.0},
    **{"A10": 125.0, "A40": 150.0, "A6000": 155.0, "RTX 6000 Ada": 364.0, "A4000": 77.0, "A5000": 111.0},
    **{"4090": 165.0, "4080": 97.0, "4070": 58.0, "4060": 44.0, "3090": 71.0, "3080": 60.0, "3060": 25.0},
}
_TFLOPS_BY_GB = {12: 25.0, 16: 77.0, 24: 71.0, 40: 312.0, 80: 312.0}  # a slow one of each size

SIZES = tuple(_TFLOPS_BY_GB)
"""GB of the usual cards."""


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU, or a CPU: that has no memory of its own that limits anything here."""

    name: str
    memory_gib: float | None = None
    tflops: float = 0.0
    cores: int = 1

    @property
    def is_gpu(self) -> bool:
        """Whether it is a GPU."""
        return self.memory_gib is not None


def usual_card(gigabytes: int) -> Card:
    """Return a card of one of SIZES, one of the slower ones."""
    return Card(f"{gigabytes} GB", gigabytes * _GB_IN_GIB, _TFLOPS_BY_GB[gigabytes])


def cpu() -> Card:
    """Return this machine's CPU."""
    return Card("CPU", cores=available_cpus())


def card_here() -> Card:
    """Return the GPU that PyTorch would use; the CPU where there is none or PyTorch has no CUDA."""
    try:
        without_cuda = version("torch").endswith("+cpu")
    except PackageNotFoundError:
        without_cuda = False
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if (
        without_cuda
        or visible in ("", "-1")
        or (found := _ask_driver((visible or "0").split(",")[0])) is None
    ):
        return cpu()
    name, mebibytes = found
    return Card(name, mebibytes / _MIB_IN_GIB, _tflops(name, mebibytes))


def _ask_driver(device: str) -> tuple[str, float] | None:
    """Return name and MiB of a card."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, f"--id={device}", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_SECONDS).stdout
        name, _, mebibytes = told.strip().splitlines()[0].rpartition(",")
        return name.strip(), float(mebibytes)
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def _tflops(name: str, mebibytes: float) -> float:
    known = [key for key in _TFLOPS if key in name]
    if known:
        return _TFLOPS[max(known, key=len)]
    size = max((size for size in SIZES if size * 1000 <= mebibytes * 1.1), default=SIZES[0])
    return _TFLOPS_BY_GB[size]
