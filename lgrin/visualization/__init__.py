"""Pictures and tables of what was learned. Every function that takes ``ax`` draws into it and returns it."""

from lgrin.visualization.figure import save_animation, save_figure
from lgrin.visualization.graphs import (
    animate_adjacency,
    plot_adjacency,
    plot_change,
    plot_edge_distance,
    plot_heads,
    plot_kernel,
    plot_timeline,
)
from lgrin.visualization.importance import plot_channel_importance
from lgrin.visualization.network import plot_network
from lgrin.visualization.results import plot_confusion, plot_learning_curves, plot_sweep
from lgrin.visualization.sequences import plot_salient_frames
from lgrin.visualization.tables import Edge, Pair, pairs_heard_together, strongest_edges

__all__ = [
    "Edge",
    "Pair",
    "animate_adjacency",
    "pairs_heard_together",
    "plot_adjacency",
    "plot_change",
    "plot_channel_importance",
    "plot_confusion",
    "plot_edge_distance",
    "plot_heads",
    "plot_kernel",
    "plot_learning_curves",
    "plot_network",
    "plot_salient_frames",
    "plot_sweep",
    "plot_timeline",
    "save_animation",
    "save_figure",
    "strongest_edges",
]
