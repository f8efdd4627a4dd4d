"""Data sets of sequences as data sets of PyG, one corpus per file."""

from lgrin.datasets.emodb import EmoDB
from lgrin.datasets.enterface import ENTERFACE05
from lgrin.datasets.folders import AudioFolder, FolderDataset, MocapFolder, VideoFolder, from_arrays
from lgrin.datasets.iemocap import IEMOCAP
from lgrin.datasets.join import join
from lgrin.datasets.mpi import MPIBodyExpressions
from lgrin.datasets.on_disk import OnDiskSequences
from lgrin.datasets.ravdess import RAVDESS
from lgrin.datasets.recordings import Recording, RecordingDataset
from lgrin.datasets.rml import RML
from lgrin.datasets.sequences import SequenceDataset, Sequences
from lgrin.datasets.tables import TableFolder
from lgrin.datasets.uea import UEA

__all__ = [
    "ENTERFACE05",
    "IEMOCAP",
    "RAVDESS",
    "RML",
    "UEA",
    "AudioFolder",
    "EmoDB",
    "FolderDataset",
    "MPIBodyExpressions",
    "MocapFolder",
    "OnDiskSequences",
    "Recording",
    "RecordingDataset",
    "SequenceDataset",
    "Sequences",
    "TableFolder",
    "VideoFolder",
    "from_arrays",
    "join",
]
