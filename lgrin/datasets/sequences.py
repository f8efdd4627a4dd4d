"""What the datasets of sequences share: where processed files lie and what their names say."""

import hashlib
import json
from collections.abc import Callable, Sequence

import torch
from torch_geometric.data import Data, InMemoryDataset

from lgrin import validate
from lgrin.files import write_atomically

FORMAT = 1


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
            "pre_transform": repr(pre_transform),
            "pre_filter": repr(pre_filter),
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
        longest = max((data.x.size(0) for data in sequences), default=1)
        validate.dataset(sequences, num_nodes=max(longest, 1), num_classes=len(classes))
        kept = [data for data in sequences if self.pre_filter is None or self.pre_filter(data)]
        kept = kept if self.pre_transform is None else [self.pre_transform(data) for data in kept]
        stored, slices = self.collate(kept)
        content = {"data": stored.to_dict(), "slices": dict(slices), "classes": list(classes)}
        write_atomically(path, lambda name: torch.save(content, name))

    def read(self, path: str) -> list[str]:
        """Loads a processed file and returns the names of its classes."""
        content = torch.load(path, weights_only=True)
        self.data, self.slices = Data.from_dict(content["data"]), content["slices"]
        return content["classes"]
