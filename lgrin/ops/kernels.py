"""The one place where a device gets its kernels."""

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

FASTEST = {"cpu": ("numba", "lgrin.ops.numba_kernels"), "cuda": ("triton", "lgrin.ops.triton_kernels")}


@cache
def kernels_for(device_type: str) -> ModuleType:
    """Picks the kernels of a device: numba's on a CPU, Triton's on a GPU, PyTorch's own where those are not installed.

    Args:
        device_type: ``"cpu"``, ``"cuda"`` or another.

    Returns:
        A module with ``window_max``, ``edge_max``, ``gather_back`` and ``first_of_maxima``.

    Example:
        >>> kernels_for("mps").__name__
        'lgrin.ops.torch_kernels'
    """
    library, kernels = FASTEST.get(device_type, ("", ""))
    return import_module(kernels if library and find_spec(library) else "lgrin.ops.torch_kernels")
