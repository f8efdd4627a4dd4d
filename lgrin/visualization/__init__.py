"""Pictures of what was learned. Every function draws into ``ax`` and returns it."""

from lgrin.visualization.figure import save_animation, save_figure
from lgrin.visualization.graphs import animate_adjacency, plot_adjacency, plot_edge_distance, plot_timeline
from lgrin.visualization.results import plot_confusion, plot_learning_curves, plot_sweep
from lgrin.visualization.sequences import plot_salient_frames

__all__ = [
    "animate_adjacency",
    "plot_adjacency",
    "plot_confusion",
    "plot_edge_distance",
    "plot_learning_curves",
    "plot_salient_frames",
    "plot_sweep",
    "plot_timeline",
    "save_animation",
    "save_figure",
]
