"""Tables I to VII: the candidates of each table, and the figures that the paper prints."""

import functools

import torch

from examples.reproduce.fixed_graphs import fixed, line
from examples.reproduce.recipe import WIDTHS, network
from examples.reproduce.table6 import Ablation
from lgrin import LGrIN
from lgrin.baselines import (
    BLSTM,
    CNN,
    CNNLSTM,
    GCN,
    LSTMCTC,
    PAPER,
    QUOTED,
    PatchyDiff,
    PatchySAN,
    SENet,
    SortReadout,
)
from lgrin.training import Candidate

SPACE = {"lr": (0.01, 0.003, 0.001), "weight_decay": (0.0, 0.05)}
LOSSES = {"loss": [{"lambda_distance": value, "lambda_frobenius": value} for value in (0.0, 0.01, 0.1)]}
COMPETITORS = {
    "BLSTM": BLSTM,
    "GCN": GCN,
    "PATCHY-SAN": PatchySAN,
    "PATCHY-Diff": PatchyDiff,
    "SENet": SENet,
    "CNN": CNN,
    "CNN-LSTM": CNNLSTM,
    "LSTM-CTC": LSTMCTC,
}
TABLE_VI = (  # G*, inception, learned A, learned p
    (0, 0, 0, 0),
    (1, 0, 0, 0),
    (0, 1, 0, 0),
    (0, 0, 1, 0),
    (0, 0, 0, 1),
    (0, 0, 1, 1),
    (1, 1, 0, 0),
    (1, 1, 1, 0),
    (1, 1, 0, 1),
    (1, 1, 1, 1),
)


def lgrin(name="L-GrIN", **keywords):
    """L-GrIN with these arguments."""
    return Candidate(name, functools.partial(network, **keywords), space={**SPACE, **LOSSES})


def presets():
    """L-GrIN with the recipe of this package, as printed and as released."""
    summed = {"loss": {"reduction": "sum"}, "lr": 0.01, "weight_decay": 0.0}
    return [
        lgrin(),
        Candidate("L-GrIN (paper)", LGrIN.paper, options=summed, space={"lr": SPACE["lr"]}),
        Candidate("L-GrIN (released)", LGrIN.released, options={"lr": 0.01, "weight_decay": 0.0}, space=SPACE),
    ]


def baselines(*names):
    """Competitors by name."""
    return [Candidate(name, COMPETITORS[name], space=SPACE) for name in names]


class DistanceGraph(LGrIN):
    """L-GrIN on a graph for each sequence, whose weights grow with the distance between features, as printed."""

    def embed(self, x, edge_index=None, edge_weight=None, *, frame=None, batch=None, mask=None, batch_size=None):
        dense = x if batch is None else x.view(batch_size, self.num_nodes, -1)
        mask = None if mask is None else mask.view(dense.shape[:-1])
        shown = dense if mask is None else dense.masked_fill(~mask.unsqueeze(-1), 0)
        return super().embed(dense, torch.cdist(shown, shown).square(), mask=mask)


def on_line(name, readout):
    """L-GrIN on the line graph with another readout."""

    def build(num_features, num_nodes, num_classes):
        pool = SortReadout(num_nodes) if readout == "sort" else {"parts": readout}
        return network(num_features, num_nodes, num_classes, adjacency=fixed(line(num_nodes)), readout=pool)

    return Candidate(name, build, space=SPACE)


def on_graph(name, graph):
    """L-GrIN with the maximum readout on a fixed or the learned graph."""

    def build(num_features, num_nodes, num_classes):
        kind = functools.partial(DistanceGraph, **WIDTHS) if graph == "distance" else network
        adjacency = None if graph == "learned" else fixed(line(num_nodes))
        return kind(num_features, num_nodes, num_classes, adjacency=adjacency, readout={"parts": ("max",)})

    return Candidate(name, build, space=SPACE)


def ablation(row):
    """One row of Table VI."""
    names = ("G*", "inception", "learned A", "learned p")
    flags = dict(zip(("gstar", "inception", "learned_graph", "learned_pool"), map(bool, row), strict=True))
    title = ", ".join(name for name, used in zip(names, row, strict=True) if used) or "GCN"
    return Candidate(title, functools.partial(Ablation, **flags), space=SPACE)


def candidates(experiment):
    """The candidates of a table; the others are tested against the first."""
    graphs = ("GCN", "PATCHY-SAN", "PATCHY-Diff")
    return {
        "table1": lambda: [*presets(), *baselines("BLSTM", *graphs)],
        "table2": lambda: [*presets(), *baselines("BLSTM", *graphs, "CNN", "CNN-LSTM", "LSTM-CTC")],
        "table3": lambda: [*presets(), *baselines("BLSTM", *graphs)],
        "table4": lambda: [
            on_line("Learnable pool", ("max", "learned", "mean")),
            on_line("Maxpool", ("max",)),
            on_line("Meanpool", ("mean",)),
            on_line("Sumpool", ("sum",)),
            on_line("Sortpool", "sort"),
        ],
        "table5": lambda: [
            on_graph("Learnable", "learned"),
            on_graph("Binary", "line"),
            on_graph("Weighted", "distance"),
        ],
        "table6": lambda: [ablation(row) for row in reversed(TABLE_VI)],
        "table7": lambda: [
            lgrin("(64, 128), 2 layers", branch_channels=(64, 128)),
            *(lgrin(f"{sizes}, 2 layers", branch_channels=sizes) for sizes in ((16, 32), (32, 64), (128, 256))),
            *(
                lgrin(f"(64, 128), {layers} layer{'s' * (layers > 1)}", branch_channels=(64, 128), num_layers=layers)
                for layers in (1, 3)
            ),
        ],
    }[experiment]()


def quoted(experiment):
    """The paper's figures for each candidate, in the order of its columns: corpora and parameter counts."""
    return {_title(experiment, key): _figures(row) for key, row in PAPER[experiment]["rows"].items()}


def only_quoted(experiment):
    """The paper's figures for competitors that are not run, with the modality that they use."""
    rows = PAPER[experiment]["rows"]
    return {
        f"{name} ({one.modality}; {one.status})": _figures(rows[name])
        for name, one in QUOTED.items()
        if one.table == experiment
    }


def _title(experiment, key):
    if experiment == "table6":
        return ablation(key).name
    if experiment == "table7":
        return f"{key}, 2 layers" if isinstance(key, tuple) else f"(64, 128), {key} layer{'s' * (key > 1)}"
    return key


def _figures(row):
    shown = [f"{value:,}" if isinstance(value, int) else str(value) for value in row if value is not None]
    return " / ".join(shown)
