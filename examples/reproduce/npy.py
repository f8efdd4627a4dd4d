"""Reads NumPy's files of pickled objects without running anything that they name."""

import pickle

import numpy as np

PARTS = {  # what a pickle of arrays may call
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("_codecs", "encode"): str.encode,  # bytes, as old pickles write them
}


class ArrayUnpickler(pickle.Unpickler):
    """Rebuilds arrays, numbers, texts, lists and dictionaries, and refuses everything else."""

    def find_class(self, module, name):
        """The class or function of this name, if arrays are made of it."""
        if (module, name) not in PARTS:
            raise pickle.UnpicklingError(
                f"the file names {module}.{name}, which no array is made of; it may be harmful and was not run"
            )
        return PARTS[module, name]


def read_object(path):
    """Reads the one object that ``numpy.save`` has pickled into a file.

    Args:
        path: The file.

    Returns:
        The object, made of arrays, numbers, texts, lists and dictionaries.

    Raises:
        ValueError: If the file does not hold one object.
        pickle.UnpicklingError: If the object needs anything that is no part of an array.
    """
    with open(path, "rb") as file:
        content = None
        if np.lib.format.read_magic(file) == (1, 0) and np.lib.format.read_array_header_1_0(file)[2].hasobject:
            content = ArrayUnpickler(file).load()
    if not isinstance(content, np.ndarray) or content.shape != ():
        raise ValueError(f"{path} does not hold one pickled object; save it with numpy.save(path, object)")
    return content.item()
