"""The NVIDIA GPU of this host, asked of its driver alone: no torch, no CUDA package."""

import ctypes
from dataclasses import dataclass

DRIVER = "libcuda.so.1"
_NAME_BYTES = 256
_MAJOR, _MINOR = 75, 76
"""`CUdevice_attribute`: the compute capability's two halves (CUDA driver API reference)."""


@dataclass(frozen=True)
class Gpu:
    """The first GPU: its name, its compute capability, and the CUDA version of its driver."""

    name: str
    compute_capability: str
    driver: str

    @property
    def generation(self) -> tuple[int, int]:
        """Return the compute capability as two numbers, which compare."""
        major, minor = self.compute_capability.split(".")
        return int(major), int(minor)


def find_gpu() -> Gpu | None:
    """Return the first NVIDIA GPU, or None without a driver or a GPU; opens no CUDA context."""
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return None
    count, version, device = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return None
    name = ctypes.create_string_buffer(_NAME_BYTES)
    halves = (ctypes.c_int(), ctypes.c_int())
    if driver.cuDeviceGet(ctypes.byref(device), 0):
        return None
    driver.cuDeviceGetName(name, _NAME_BYTES, device)
    driver.cuDriverGetVersion(ctypes.byref(version))
    for half, attribute in zip(halves, (_MAJOR, _MINOR), strict=True):
        driver.cuDeviceGetAttribute(ctypes.byref(half), attribute, device)
    return Gpu(
        name=name.value.decode(errors="replace"),
        compute_capability=f"{halves[0].value}.{halves[1].value}",
        driver=f"{version.value // 1000}.{version.value % 1000 // 10}",
    )
