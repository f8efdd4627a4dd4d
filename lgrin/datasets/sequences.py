"""What the datasets of sequences share: where processed files lie and what their names say."""

import hashlib
import json
from collections.abc import Callable, Sequence
from types import CodeType, FunctionType
from typing import Any

import torch
from torch_geometric.data import Data, InMemoryDataset

from lgrin import validate
from lgrin.files import write_atomically

FORMAT = 1


def describe(name: str, setting: Any) -> str:
    """Puts into words what a transform or filter does, the same words in every process.

    Args:
        name: Name of the argument.
        setting: A PyG transform, a function, or ``None``.

    Returns:
        Its representation; for a function its code, its defaults and what it closes over.

    Raises:
        ValueError: If it only says where in memory it is.

    Example:
        >>> describe("pre_filter", lambda data: True) == describe("pre_filter", lambda data: False)
        False
    """
    if isinstance(setting, FunctionType):
        enclosed = [cell.cell_contents for cell in setting.__closure__ or ()]
        parts = [setting.__code__, setting.__defaults__, setting.__kwdefaults__, *enclosed]
        return " ".join(describe(name, part) for part in parts)
    if isinstance(setting, CodeType):
        constants = " ".join(describe(name, constant) for constant in setting.co_consts)
        return f"{setting.co_code.hex()} {setting.co_names} {constants}"
    text = repr(setting)
    if " at 0x" in text:
        raise ValueError(
            f"{name} is {text}, which does not say what it does, and processed files are named after that; give it a "
            f"__repr__ with its settings, or pass a function"
        )
    return text


class SequenceDataset(InMemoryDataset):
    """A dataset whose processed files carry a hash of the settings that made them.

    Each ``Data`` has ``x [L, P]`` float32, ``frame [L]`` (0..L-1), ``y [1]`` and, where frames are missing anywhere in
    the corpus, ``mask [L]``.

    Args:
        root: Folder of the corpus.
        settings: Whatever, beside the transforms, the processed files depend on.
        transform: Applied at every access.
        pre_transform: Applied before saving.
        pre_filter: Chooses what is saved.
        force_reload: Whether to process again.
    """

    def __init__(
        self,
        root: str,
        settings: dict,
        transform: Callable | None = None,
        pre_transform: Callable | None = None,
        pre_filter: Callable | None = None,
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

    @property
    def max_num_frames(self) -> int:
        """The length of the longest sequence."""
        return max(data.x.size(0) for data in self)

    def write(self, sequences: Sequence[Data], classes: Sequence[str], path: str) -> None:
        """Checks, filters, transforms and saves sequences.

        Args:
            sequences: The sequences.
            classes: The names of the classes, in the order of their labels.
            path: The processed file.

        Raises:
            TypeError: If a label is no whole number.
            ValueError: If a sequence is empty, not finite where it is present, or its label is no class.
        """
        sequences = [data for data in sequences if self.pre_filter is None or self.pre_filter(data)]
        if not sequences:
            raise ValueError("pre_filter leaves no sequence; let it return True for some")
        longest = max((data.x.size(0) for data in sequences), default=1)
        validate.dataset(sequences, num_nodes=max(longest, 1), num_classes=len(classes))
        if self.pre_transform is not None:
            sequences = [self.pre_transform(data) for data in sequences]
        stored, slices = self.collate(sequences)
        content = {"data": stored.to_dict(), "slices": slices and dict(slices), "classes": list(classes)}
        write_atomically(path, lambda name: torch.save(content, name))

    def read(self, path: str) -> list[str]:
        """Loads a processed file and returns the names of its classes."""
        content = torch.load(path, weights_only=True)
        self.data, self.slices = Data.from_dict(content["data"]), content["slices"]
        return content["classes"]
