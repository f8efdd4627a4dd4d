"""Your own recordings in tables: a folder of CSV, TSV and Parquet files."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

import torch
from torch_geometric.data import Data

from lgrin.arrays import narrow
from lgrin.datasets.folders import FolderDataset, FolderOptions
from lgrin.datasets.recordings import Recording
from lgrin.features import Extractor, SignalError, Table


class TableFolder(FolderDataset):
    """Your own recordings in tables, a row for each time; see :class:`FolderDataset`.

    ``class/recording.csv`` or ``class/subject/recording.csv``, or any files beside a table of labels. The channels are
    the columns of the first file that can be read, by name; every other file has them, in any order.

    Args:
        root: The folder.
        features: A :class:`lgrin.features.Table`, which says how tables are read; ``None`` takes rows as frames.
        **options: As for :class:`FolderDataset`.

    Raises:
        SignalError: If a file lacks a channel, unless ``on_error="skip"``.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> for name, rows in (("run", "y,x\\n1,2\\n3,4\\n"), ("walk", "x,y\\n5,6\\n")):
        ...     (root / name).mkdir()
        ...     _ = (root / name / "a.csv").write_text(rows)
        >>> dataset = TableFolder(root, progress=False)
        >>> dataset.classes, dataset.features.columns, dataset[1].x.tolist()
        (['run', 'walk'], ('y', 'x'), [[6.0, 5.0]])
    """

    example = "walking/clip.csv"

    def __init__(self, root: str | Path, features: Extractor | None = None, **options: Unpack[FolderOptions]) -> None:
        super().__init__(root, features or Table(), **options)

    def _find(self) -> dict[str, Recording | str]:
        found = super()._find()
        if isinstance(self.features, Table) and self.features.columns is None:
            self.features = dataclasses.replace(self.features, columns=self._channels(self.features, found))
        return found

    def _channels(self, features: Table, found: dict[str, Recording | str]) -> tuple[str, ...] | None:
        """The columns of the first file that can be read."""
        for name in (name for name, one in found.items() if isinstance(one, Recording)):
            try:
                return features.channels_of(self.source / name)
            except SignalError:
                if self._on_error == "raise":
                    raise
        return None

    def write(self, path: str, sequences: Sequence[Data], classes: Sequence[str], **names: object) -> None:
        """Saves sequences, in float32 where that holds the signals of all of them."""
        narrowed = narrow([data.x.numpy() for data in sequences])
        for data, x in zip(sequences, narrowed, strict=True):
            data.x = torch.from_numpy(x)
        super().write(path, sequences, classes, **names)
