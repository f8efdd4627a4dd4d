"""The UEA and UCR archives of time series classification."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from torch_geometric.data import Data

from lgrin.arrays import narrow
from lgrin.datasets.sequences import SequenceDataset, fill_values, sequence
from lgrin.extras import optional
from lgrin.files import temporary_folder
from lgrin.options import check_option, check_path

SPLITS = ("train", "test")


class UEA(SequenceDataset):
    r"""One set of the UEA multivariate or UCR univariate archive, read through aeon.

    Sets that aeon ships (among them JapaneseVowels and BasicMotions) need no network, the others are downloaded.
    Unequal lengths are kept. Missing values are filled in time; a frame without any value is False in ``data.mask``.

    Args:
        root: Folder for all sets; each has its own folder in it.
        name: The archive's name of the set.
        split: ``"train"`` or ``"test"``, the archive's own.
        transform: Applied at every access.
        pre_transform: Applied before saving.
        pre_filter: Chooses what is saved.
        force_reload: Whether to process again.

    Attributes:
        classes: The names of the classes, in the order of their labels.
        num_frames: The length of the split's longest sequence.

    Shapes:
        - **data.x:** ``[L, P]`` float32, see :func:`lgrin.arrays.narrow`; **data.frame:** ``[L]``; **data.y:** ``[1]``

    Raises:
        ImportError: If aeon is not installed (extra ``train``).
        ValueError: If the archive has no such set, it is no classification set, or the split is unknown.

    Source:
        Bagnall et al., "The UEA multivariate time series classification archive, 2018".

    Example:
        >>> dataset = UEA("/tmp/lgrin-data", "JapaneseVowels")
        >>> len(dataset), dataset[0].x.shape, len(dataset.classes)
        (270, torch.Size([20, 12]), 9)
    """

    def __init__(
        self,
        root: str,
        name: str,
        split: str = "train",
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
        pre_filter: Callable[[Data], bool] | None = None,
        force_reload: bool = False,
    ) -> None:
        check_option("split", split, SPLITS)
        if not name or Path(name).name != name:
            raise ValueError(f"name is {name!r}; it has to be the archive's name of a set, such as 'JapaneseVowels'")
        self.name = name
        super().__init__(
            str(check_path("root", root) / name),
            {"name": name, "gaps": "filled"},
            transform,
            pre_transform,
            pre_filter,
            force_reload=force_reload,
        )
        self.read(self.processed_paths[SPLITS.index(split)])

    @property
    def raw_file_names(self) -> list[str]:
        """The archive's files; none for a set that aeon ships."""
        return [] if self._is_bundled() else [f"{self.name}/{self.name}_{split.upper()}.ts" for split in SPLITS]

    @property
    def processed_file_names(self) -> list[str]:
        """One file a split, named after the settings that made it."""
        return [f"{split}-{self.settings_hash}.pt" for split in SPLITS]

    def download(self) -> None:
        """Fetches the set from the archive, whole or not at all; a set that aeon ships is there already."""
        if self._is_bundled():
            return
        with temporary_folder(Path(self.raw_dir) / self.name) as folder:
            try:
                self._load("train", str(folder))
            except (OSError, ValueError) as error:
                raise ValueError(
                    f"name is {self.name!r}, and the archive could not be read: {error}. Check the name and the "
                    f"network, or put {self.name}_TRAIN.ts and {self.name}_TEST.ts into {self.raw_dir}/{self.name}"
                ) from error
            os.replace(folder / self.name, Path(self.raw_dir) / self.name)

    def process(self) -> None:
        """Turns the series of both splits into sequences of nodes."""
        loaded = {split: self._load(split, None if self._is_bundled() else self.raw_dir) for split in SPLITS}
        classes = sorted({str(label) for _, labels in loaded.values() for label in labels})
        frames = {split: narrow([np.asarray(series).T for series in loaded[split][0]]) for split in SPLITS}
        tensors, masks, missing_values = fill_values([x for split in SPLITS for x in frames[split]])
        filled = zip(tensors, masks, strict=True)
        for split, path in zip(SPLITS, self.processed_paths, strict=True):
            labels = [classes.index(str(label)) for label in loaded[split][1]]
            sequences = [sequence(*next(filled), label) for label in labels]
            self.write(path, sequences, classes, missing_values=missing_values)

    def _load(self, split: str, folder: str | None) -> tuple[Sequence[np.ndarray], np.ndarray]:
        with optional("train"):
            from aeon.datasets import load_classification
        return load_classification(
            self.name, split=split, extract_path=folder, load_equal_length=False, load_no_missing=False
        )

    def _is_bundled(self) -> bool:
        with optional("train"):
            import aeon.datasets
        return (Path(str(aeon.datasets.__file__)).parent / "data" / self.name / f"{self.name}_TRAIN.ts").exists()
