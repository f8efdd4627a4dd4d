"""Limits on what a file may allocate, which follow from its size."""

import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import torch
from torch import Tensor
from torch.nn import Module

from lgrin.text import one_line

BYTEARRAY = re.compile(rb"c(builtins|__builtin__)\nbytearray\n")  # a call that torch.load allows
SPARE = 1 << 20  # bytes that even the smallest file may allocate
SPARE_LAYERS = 16  # beyond one for each weight
MAX_SETTINGS = 1_000  # beyond one for each weight


def check_parts(path: str | Path) -> None:
    """Raises unless the parts of a file of ``torch.save`` are stored uncompressed, each of them once.

    Args:
        path: The file.

    Raises:
        BadZipFile: If it is no such file, or its parts would take more memory than the file is long.

    Example:
        >>> import tempfile, torch
        >>> path = f"{tempfile.mkdtemp()}/a.pt"
        >>> torch.save(torch.zeros(3), path)
        >>> check_parts(path)
    """
    with ZipFile(path) as archive:
        parts, size = archive.infolist(), Path(path).stat().st_size
        if any(part.compress_type != ZIP_STORED for part in parts) or sum(part.file_size for part in parts) > size:
            raise BadZipFile(f"its parts take more memory than its {size:,} bytes; torch.save writes them as they are")
        if any(BYTEARRAY.search(archive.read(part)) for part in parts if part.filename.endswith(".pkl")):
            raise BadZipFile("it makes an array of bytes, which could have any length")


def check_tensors(content: object, size: int) -> None:
    """Raises if the tensors that a file holds claim more bytes than the file has.

    Args:
        content: What was read: tensors in dictionaries, lists and tuples.
        size: Bytes of the file.

    Raises:
        ValueError: If they do.

    Example:
        >>> import torch
        >>> check_tensors({"weight": torch.zeros(1).expand(10**9)}, size=600)
        Traceback (most recent call last):
        ...
        ValueError: its tensors claim 4,000,000,000 bytes, and it has 600
    """
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in _tensors(content))
    if claimed > size + SPARE:
        raise ValueError(f"its tensors claim {claimed:,} bytes, and it has {size:,}")


def check_build(build: Callable[[], Module], settings: object, weights: Mapping[str, Tensor]) -> None:
    """Raises unless the module that settings describe is as large as the weights that come with them.

    The module is built without memory for its weights. Before that, no setting may ask for more layers, or name more
    branches, than there are weights.

    Args:
        build: Builds the module of the settings.
        settings: Plain values that came from a file.
        weights: The ``state_dict`` that came with them.

    Raises:
        ValueError: If a size differs, with its name.

    Example:
        >>> import torch
        >>> check_build(lambda: torch.nn.Linear(2, 10**9), {"out": 10**9}, {"weight": torch.zeros(3, 2)})
        Traceback (most recent call last):
        ...
        ValueError: its settings ask for weight [1000000000, 2], and its weights hold [3, 2]: one of them is ...
    """
    if not isinstance(weights, Mapping) or not all(isinstance(one, Tensor) for one in weights.values()):
        raise ValueError("its weights are no tensors by name")
    check_counts(settings, len(weights))
    try:
        with torch.random.fork_rng([]), torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that initialising a weight without memory does nothing
            wanted = {name: list(tensor.shape) for name, tensor in build().state_dict().items()}
    except (RuntimeError, OverflowError, RecursionError) as error:
        raise ValueError(f"its settings describe no module ({one_line(error)})") from error
    held = {name: list(tensor.shape) for name, tensor in weights.items()}
    for name in [*wanted, *held]:
        if wanted.get(name) != held.get(name):
            asked, given = (one_line(sizes.get(name, "nothing")) for sizes in (wanted, held))
            found = f"its settings ask for {one_line(name)} {asked}, and its weights hold {given}"
            missing = "" if name in held else "Missing key: "
            raise ValueError(f"{missing}{found}: one of them is damaged or of another model")


def check_counts(settings: object, most: int) -> None:
    """Raises if settings ask for many parts of a module, each of which takes memory even without weights.

    Args:
        settings: Plain values that came from a file.
        most: The number of weights that came with them.

    Raises:
        ValueError: If they do.

    Example:
        >>> check_counts({"num_layers": 100_000}, most=63)
        Traceback (most recent call last):
        ...
        ValueError: its settings ask for 100000 layers, and it holds 63 weights
    """
    waiting, seen = [settings], 0
    while waiting:
        one, seen = waiting.pop(), seen + 1
        if isinstance(one, Mapping):
            layers = one.get("num_layers")
            if isinstance(layers, int) and layers > SPARE_LAYERS + most:
                raise ValueError(f"its settings ask for {one_line(layers, 40)} layers, and it holds {most} weights")
            waiting.extend(one.values())
        elif isinstance(one, list | tuple):
            waiting.extend(one)
        if seen + len(waiting) > MAX_SETTINGS + most:
            raise ValueError(f"its settings are more than its {most} weights call for")


def _tensors(content: object) -> Iterable[Tensor]:
    waiting, seen = [content], set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:  # lists that contain each other can have any number of entries
            continue
        seen.add(id(one))
        if isinstance(one, Tensor):
            yield one
        elif isinstance(one, Mapping):
            waiting.extend(one.values())
        elif isinstance(one, list | tuple):
            waiting.extend(one)
