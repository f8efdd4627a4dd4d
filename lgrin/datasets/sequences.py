"""The base classes of data sets: labelled sequences in memory, and in processed files."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data, InMemoryDataset
from torch_geometric.transforms import BaseTransform

from lgrin import validate
from lgrin.checksum import load_tensors, read_kept, save_tensors
from lgrin.gaps import fill_gaps, missing_share
from lgrin.text import one_line

FORMAT = 2


def describe(name: str, setting: object, _enclosing: set[int] | None = None) -> str:
    """Describes a transform or filter by a text that is the same in every process.

    Args:
        name: Name of the argument.
        setting: A PyG transform, a function, or ``None``.

    Returns:
        For a function its code, its defaults, what it closes over and the values that it reads from its module; for
        an object its class and attributes; for anything else its representation.

    Raises:
        ValueError: If its representation is only an address in memory.

    Example:
        >>> describe("pre_filter", lambda data: True) == describe("pre_filter", lambda data: False)
        False
    """
    if id(setting) in (_enclosing := _enclosing or set()):
        return "itself"
    if isinstance(setting, FunctionType | CodeType | list | tuple | set | frozenset | dict) or _is_transform(setting):
        parts = [describe(name, part, {*_enclosing, id(setting)}) for part in _components(setting)]
        kind = type(setting)
        parts = sorted(parts) if isinstance(setting, set | frozenset) else parts
        return f"{kind.__module__}.{kind.__qualname__}({', '.join(parts)})"
    if isinstance(setting, Tensor | np.ndarray):
        array = np.ascontiguousarray(setting.detach().cpu().numpy() if isinstance(setting, Tensor) else setting)
        return f"{array.dtype}{array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}"
    text = repr(setting)
    if " at 0x" in text:
        raise ValueError(
            f"{name} is {text}, which does not say what it does, and processed files are named after that; give it a "
            f"__repr__ with its settings, or pass a function"
        )
    return text


def _is_transform(setting: object) -> bool:
    """Whether an object is a transform of PyG, which its attributes describe."""
    return isinstance(setting, BaseTransform) and not isinstance(setting, torch.nn.Module)


def _components(setting: object) -> list[object]:
    """The parts of a function, its code, a container or a transform, in a fixed order."""
    if isinstance(setting, FunctionType):
        enclosed = [cell.cell_contents for cell in setting.__closure__ or ()]
        read = {name: setting.__globals__[name] for name in setting.__code__.co_names if name in setting.__globals__}
        plain = {name: value for name, value in read.items() if not isinstance(value, ModuleType | type)}
        return [setting.__code__, setting.__defaults__, setting.__kwdefaults__, plain, *enclosed]
    if isinstance(setting, CodeType):
        return [setting.co_code.hex(), setting.co_names, setting.co_consts]
    if isinstance(setting, dict):
        return list(setting.items())
    return list(setting) if isinstance(setting, list | tuple | set | frozenset) else [vars(setting)]


class Sequences(InMemoryDataset):
    """Labelled sequences in memory.

    Attributes:
        classes: The names of the classes, in the order of their labels.
        groups: The names of the groups (speakers, actors, subjects), in the order of their numbers; empty if unknown.
        num_frames: The number of frames of a model for these sequences, M.
        failures: For each file that was left out, the reason.
        missing_values: The share of values that were missing in frames that have others
            (:func:`lgrin.gaps.missing_share`). They are filled in time; a channel that is missing in a whole sequence
            stays NaN for :class:`lgrin.transforms.Standardize`, which every classifier begins with.

    Example:
        >>> from lgrin.datasets import from_arrays
        >>> print(from_arrays([[[1.0], [2.0]], [[3.0]]], labels=["calm", "glad"]))
        Sequences: 2 sequences, 2 classes, 1 feature a frame
          frames   1 to 2, median 1; num_frames 2
          classes  calm 1, glad 1
    """

    classes: list[str]
    groups: list[str]
    num_frames: int
    failures: dict[str, str]
    missing_values: float = 0.0

    @property
    def num_classes(self) -> int:
        """Number of classes, C; a class may have no sequence here."""
        return len(self.classes)

    @property
    def max_num_frames(self) -> int:
        """The length of the longest sequence."""
        return max(data.x.size(0) for data in self)

    def summary(self) -> str:
        """Describes the sequences on one screen."""
        sequences = list(map(self.get, self.indices()))
        lengths = sorted(data.num_nodes for data in sequences)
        width = self._data.x.size(-1)
        shape = "1 feature" if width == 1 else f"{width} features"
        title = f"{type(self).__name__}: {len(lengths)} sequences, {self.num_classes} classes, {shape} a frame"
        span = f"{lengths[0]} to {lengths[-1]}, median {lengths[(len(lengths) - 1) // 2]}" if lengths else "none"
        rows = {"frames": f"{span}; num_frames {self.num_frames}"}
        if lengths and sequences[0].get("mask") is not None:
            here = sum(int(data.mask.sum()) for data in sequences)
            rows["missing"] = f"{sum(lengths) - here} of {sum(lengths)} frames ({1 - here / sum(lengths):.1%})"
        if self.missing_values:
            rows["values"] = f"{self.missing_values:.1%} missing in these frames, filled"
        rows["classes"] = _format_counts(self.classes, [int(data.y) for data in sequences])
        if self.groups:
            rows["groups"] = _format_counts(self.groups, [int(data.group) for data in sequences])
        texts = {data.text for data in sequences if data.get("text") is not None}
        if texts:
            rows["texts"] = str(len(texts))
        if self.failures:
            rows["left out"] = "; ".join(f"{path}: {reason}" for path, reason in list(self.failures.items())[:4])
            rows["left out"] += f"; and {len(self.failures) - 4} more in .failures" if len(self.failures) > 4 else ""
        told = {name: one_line(value, 10_000) for name, value in rows.items()}  # it may hold names of files and folders
        return "\n".join([title, *(f"  {name:<9}{value}".rstrip() for name, value in told.items())])

    def print_summary(self, fmt: str = "psql") -> None:
        """Prints :meth:`summary`; ``fmt`` is PyG's and does nothing here."""
        print(self.summary())

    def __str__(self) -> str:
        return self.summary()


def _format_counts(names: Sequence[str], members: Sequence[int]) -> str:
    counts = [members.count(number) for number in range(len(names))]
    listed = [f"{name} {count}" for name, count in zip(names, counts, strict=True)]
    return ", ".join(listed if len(listed) <= 24 else [*listed[:23], f"and {len(listed) - 23} more"])


class SequenceDataset(Sequences):
    """Sequences on disk, in processed files whose names hold a hash of the settings that made them.

    Each ``Data`` has ``x [L, P]`` float32, ``frame [L]`` (0..L-1), ``y [1]`` and, where frames are missing anywhere in
    the corpus, ``mask [L]``.

    Args:
        root: Folder of the corpus.
        settings: Everything beside the transforms that the processed files depend on.
        transform: Applied at every access.
        pre_transform: Applied before saving.
        pre_filter: Chooses what is saved.
        force_reload: Whether to process again.

    Example:
        >>> import tempfile
        >>> class Two(SequenceDataset):
        ...     processed_file_names = ["two.pt"]
        ...     def process(self):
        ...         sequences = [sequence(torch.rand(5, 3), None, label) for label in (0, 1)]
        ...         self.write(self.processed_paths[0], sequences, ["calm", "glad"])
        >>> dataset = Two(tempfile.mkdtemp(), settings={})
        >>> dataset.read(dataset.processed_paths[0])
        >>> dataset.classes, dataset.num_frames
        (['calm', 'glad'], 5)
    """

    def __init__(
        self,
        root: str,
        settings: Mapping[str, object],
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
        pre_filter: Callable[[Data], bool] | None = None,
        force_reload: bool = False,
    ) -> None:
        described = {
            **settings,
            "format": FORMAT,
            "pre_transform": describe("pre_transform", pre_transform),
            "pre_filter": describe("pre_filter", pre_filter),
        }
        self.settings_hash = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:12]
        super().__init__(root, transform, pre_transform, pre_filter, force_reload=force_reload)

    @property
    def processed_dir(self) -> str:
        """The folder of the files that these settings made."""
        return f"{self.root}/processed/{self.settings_hash}"

    def write(self, path: str, sequences: Sequence[Data], classes: Sequence[str], **names: object) -> None:
        """Checks, filters, transforms and saves sequences.

        Args:
            path: The processed file.
            sequences: The sequences.
            classes: The names of the classes, in the order of their labels.
            **names: Further attributes of the dataset, as plain values.

        Raises:
            TypeError: If a label is no whole number.
            ValueError: If a sequence is empty, not finite where it is present, or its label is no class.
        """
        sequences = [data for data in sequences if self.pre_filter is None or self.pre_filter(data)]
        if not sequences:
            raise ValueError("pre_filter leaves no sequence; let it return True for some")
        longest = max(data.x.size(0) for data in sequences)
        validate.dataset(sequences, num_nodes=max(longest, 1), num_classes=len(classes), may_lack=True)
        if self.pre_transform is not None:
            sequences = [self.pre_transform(data) for data in sequences]
        stored, slices = self.collate(sequences)
        longest = max(data.x.size(0) for data in sequences)
        attributes = {"classes": list(classes), "groups": [], "failures": {}, "num_frames": longest, **names}
        content = {"data": stored.to_dict(), "slices": slices and dict(slices), "attributes": attributes}
        save_tensors(content, path)

    def read(self, path: str) -> None:
        """Loads a processed file: the sequences, and the attributes of the dataset; made again if it is damaged."""
        kept = read_kept([Path(path)], _load_processed, "processed files")
        if not kept:
            self.process()
            kept = {Path(path): _load_processed(Path(path))}
        content = kept[Path(path)]
        self.data, self.slices = Data.from_dict(content["data"]), content["slices"]
        for name, value in content["attributes"].items():
            setattr(self, name, value)

    def _process(self) -> None:
        """Makes missing files; PyG's own method also unpickles its descriptions of the transforms."""
        if self.force_reload or not all(map(os.path.exists, self.processed_paths)):
            os.makedirs(self.processed_dir, exist_ok=True)
            self.process()


def _load_processed(path: Path) -> dict[str, Any]:
    content = load_tensors(path, "file", "delete it")
    if not isinstance(content, dict) or content.keys() != {"data", "slices", "attributes"}:
        raise ValueError("it holds something else")
    return content


def fill_values(frames: Sequence[np.ndarray]) -> tuple[list[Tensor], list[Tensor | None], float]:
    """Fills what is missing in frames that have other values; see :func:`lgrin.gaps.fill_gaps`.

    Args:
        frames: ``[L, P]`` each, NaN where a value is missing.

    Returns:
        The filled frames, and which are present, ``[L]`` each, ``None`` if no sequence lacks a frame; and the share of
        values that were missing.

    Example:
        >>> fill_values([np.array([[1.0, 5.0], [np.nan, 6.0], [3.0, 7.0]])])[0][0][:, 0].tolist()
        [1.0, 2.0, 3.0]
    """
    present = [torch.from_numpy(~np.isnan(x).all(1)) for x in frames]
    missing = not all(bool(one.all()) for one in present)
    filled = [torch.from_numpy(fill_gaps(x).copy()) for x in frames]
    return filled, [one if missing else None for one in present], missing_share(frames)


def sequence(
    x: Tensor, mask: Tensor | None, label: int, group: int | None = None, **attributes: str | Tensor | None
) -> Data:
    """Makes the ``Data`` of one sequence.

    Args:
        x: ``[L, P]``.
        mask: Bool ``[L]``, or ``None`` where the corpus lacks no frame.
        label: Number of its class.
        group: Number of its speaker, actor or subject; ``None`` leaves it out.
        **attributes: Further attributes; ``None`` leaves one out.

    Returns:
        ``x``, ``frame [L]``, ``y [1]`` and the other attributes.

    Example:
        >>> sequence(torch.zeros(3, 2), None, 1, group=0, name="clip")
        Data(x=[3, 2], y=[1], frame=[3], group=[1], name='clip')
    """
    data = Data(x=x, frame=torch.arange(len(x)), y=torch.tensor([label]))
    if mask is not None:
        data.mask = mask
    if group is not None:
        data.group = torch.tensor([group])
    for key, value in attributes.items():
        if value is not None:
            data[key] = value
    return data
