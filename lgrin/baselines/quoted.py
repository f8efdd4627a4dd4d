"""The figures that the paper prints, and the competitors that are only quoted from it.

Source: Tables I-VIII of Shirian, Tripathi and Guha, 2021. Accuracies are in percent, parameters as rounded there;
``None`` stands for a dash.
"""

from collections.abc import Hashable, Mapping
from typing import NamedTuple, TypedDict


class Table(TypedDict):
    """A table of the paper: what its columns are, and the numbers of each row by its name or key."""

    columns: tuple[str, ...]
    rows: Mapping[Hashable, tuple[float | None, ...]]


PAPER: dict[str, Table] = {
    "table1": {
        "columns": ("RML", "eNTERFACE", "RAVDESS", "parameters"),
        "rows": {
            "BLSTM": (60.00, 58.67, 56.14, 1_000_000),
            "GCN": (76.57, 69.81, 69.34, 102_000),
            "PATCHY-SAN": (80.00, 67.49, 73.52, 52_000),
            "PATCHY-Diff": (85.59, 76.96, 79.83, 71_000),
            "SENet": (71.20, 79.22, 71.06, 26_000_000),
            "AVEF": (82.48, 85.69, None, None),
            "KCFA": (82.22, 76.00, None, None),
            "OKL": (90.83, 86.67, None, None),
            "TJE": (None, None, 72.30, None),
            "L-GrIN": (94.11, 87.49, 85.65, 120_000),
        },
    },
    "table2": {
        "columns": ("IEMOCAP", "parameters"),
        "rows": {
            "BLSTM": (58.04, 800_000),
            "GCN": (56.14, 78_000),
            "PATCHY-SAN": (60.34, 60_000),
            "PATCHY-Diff": (63.23, 68_000),
            "CNN": (58.52, 450_000),
            "CNN-LSTM": (59.23, 600_000),
            "Representation learning": (50.40, None),
            "LSTM-CTC": (64.20, 400_000),
            "L-GrIN": (65.50, 92_000),
        },
    },
    "table3": {
        "columns": ("MPI", "parameters"),
        "rows": {
            "BLSTM": (45.52, 900_000),
            "GCN": (56.03, 92_000),
            "PATCHY-SAN": (48.42, 80_000),
            "PATCHY-Diff": (55.29, 71_000),
            "Trajectory learning": (50.00, None),
            "L-GrIN": (58.59, 110_000),
        },
    },
    "table4": {  # pooling, on the binary graph
        "columns": ("RML",),
        "rows": {"Maxpool": (89.76,), "Meanpool": (90.23,), "Sortpool": (83.66,), "Learnable pool": (91.50,)},
    },
    "table5": {  # adjacency, with max pooling
        "columns": ("RML", "IEMOCAP", "MPI", "RML parameters", "IEMOCAP parameters", "MPI parameters"),
        "rows": {
            "Binary": (89.5, 61.4, 53.6, 113_000, 78_000, 96_000),
            "Weighted": (62.4, 54.3, 49.0, 113_000, 78_000, 96_000),
            "Learnable": (91.5, 65.5, 58.9, 120_000, 92_000, 110_000),
        },
    },
    "table6": {  # keys: G* convolution, inception, learned A, learned p
        "columns": ("RML",),
        "rows": {
            (False, False, False, False): (76.57,),
            (True, False, False, False): (80.12,),
            (False, True, False, False): (87.58,),
            (False, False, True, False): (79.78,),
            (False, False, False, True): (82.86,),
            (False, False, True, True): (84.21,),
            (True, True, False, False): (90.65,),
            (True, True, True, False): (91.50,),
            (True, True, False, True): (91.50,),
            (True, True, True, True): (94.11,),
        },
    },
    "table7": {  # keys: the two widths eta, or the number of inception layers
        "columns": ("RML",),
        "rows": {
            (16, 32): (90.82,),
            (32, 64): (92.47,),
            (64, 128): (94.11,),
            (128, 256): (93.13,),
            1: (91.77,),
            2: (94.11,),
            3: (90.78,),
        },
    },
    "table8": {  # keys: trained on, evaluated on
        "columns": ("accuracy",),
        "rows": {
            ("RAVDESS", "RML"): (81.94,),
            ("RAVDESS", "eNTERFACE"): (75.80,),
            ("RML", "RAVDESS"): (75.42,),
            ("RML", "eNTERFACE"): (61.71,),
            ("eNTERFACE", "RML"): (79.86,),
            ("eNTERFACE", "RAVDESS"): (77.51,),
        },
    },
}


class Quoted(NamedTuple):
    """A competitor that is not run here, because it uses other signals or its description is incomplete.

    Attributes:
        table: The table of :data:`PAPER` with its row.
        modality: The signals that it uses.
        reference: What the paper cites for it.
        status: Always ``"quoted, not run"``, to be printed beside its numbers.
    """

    table: str
    modality: str
    reference: str
    status: str = "quoted, not run"


QUOTED: dict[str, Quoted] = {
    "AVEF": Quoted("table1", "video and speech", "[6] audio-visual emotion fusion, Information Fusion 2019"),
    "KCFA": Quoted("table1", "video and speech", "[49] Wang, Guan and Venetsanopoulos, 2012"),
    "OKL": Quoted("table1", "video and speech", "[50] Seng, Ang and Ooi, 2016"),
    "TJE": Quoted("table1", "video and speech", "[51] Ghaleb, Popa and Asteriadis, 2019"),
    "Representation learning": Quoted("table2", "speech", "[56] Ghosh, Laksana, Morency and Scherer, 2016"),
    "Trajectory learning": Quoted("table3", "motion capture", "[5], spectral difference from neutral motion"),
}


def quoted_scores(name: str) -> dict[str, float]:
    """Looks up the figures that the paper prints for a competitor that is not run.

    Args:
        name: A key of :data:`QUOTED`.

    Returns:
        Accuracies in percent by corpus, without the dashes.

    Example:
        >>> quoted_scores("OKL"), QUOTED["OKL"].modality, QUOTED["OKL"].status
        ({'RML': 90.83, 'eNTERFACE': 86.67}, 'video and speech', 'quoted, not run')
    """
    table = PAPER[QUOTED[name].table]
    pairs = zip(table["columns"], table["rows"][name], strict=True)
    return {column: value for column, value in pairs if value is not None}
