"""Figure 4: is the band of the learned graph learned from the data? Controls beside the learned graph.

Under "recommended" A starts as a band, under "N(0, 1)" as in the paper; nothing else differs. The controls are: no
distance term, shuffled frames, and Eq. (8) without data. Frames are shuffled by one permutation for training,
validation and test sequences: a band that appears with shuffled frames does not come from time.
"""

import functools

import torch
from matplotlib.figure import Figure

from examples.reproduce.fixed_graphs import distances
from examples.reproduce.recipe import BAND, network
from examples.reproduce.single import train_on_first_fold
from lgrin.training import SequenceClassifier, evaluate
from lgrin.visualization import plot_adjacency, save_figure

STARTS = {"recommended": "temporal", "N(0, 1)": "normal"}
PANELS = (
    "as recommended",
    "lambda1 = 0",
    "frames shuffled",
    "the same, in order of time",
    "Eq. (8) without data",
)


class WithoutData(SequenceClassifier):
    """Trains A and p on the penalties of Eq. (8) alone."""

    def loss_of(self, target, *inputs):
        """The penalties without the cross-entropy."""
        return self.loss.penalty(self.model)


def fig4(plan):
    """One row for each graph, and a picture of all of them."""
    setting = plan.setting()
    graphs = {start: learned_graphs(setting, init) for start, init in STARTS.items()}
    save_figure(draw(graphs), plan.out / "figure4.png")
    return [describe(start, panel, *graph) for start, made in graphs.items() for panel, graph in made.items()]


def learned_graphs(setting, init):
    """The graph of every panel with its test accuracy, ``None`` for the graph that is learned without data."""
    build = functools.partial(network, adjacency={**BAND, "init": init})
    shuffled, order = setting.shuffled()

    classifier, epochs, test = train_on_first_fold(build, setting)
    recommended = graph_of(classifier), evaluate(classifier, test).accuracy
    classifier, _, test = train_on_first_fold(build, setting, loss={"lambda_distance": 0.0})
    free = graph_of(classifier), evaluate(classifier, test).accuracy
    classifier, _, test = train_on_first_fold(build, shuffled)
    mixed, accuracy = graph_of(classifier), evaluate(classifier, test).accuracy
    place = order.argsort()
    as_long = setting._replace(training=setting.training._replace(epochs=epochs, patience=epochs))
    classifier, *_ = train_on_first_fold(build, as_long, kind=WithoutData, keep="last")
    made = (recommended, free, (mixed, accuracy), (mixed[place][:, place], accuracy), (graph_of(classifier), None))
    return dict(zip(PANELS, made, strict=True))


def graph_of(classifier):
    """The adjacency of a trained model."""
    return classifier.model.adjacency().detach()


def describe(start, panel, adjacency, accuracy):
    """One row of the table."""
    return {
        "start": start,
        "graph": panel,
        "mean distance": f"{mean_distance(adjacency):.1f}",
        "of a random graph": f"{mean_distance(torch.ones_like(adjacency)):.1f}",
        "density": f"{float((adjacency > 0).float().mean()):.2f}",
        "test accuracy": "-" if accuracy is None else f"{accuracy:.3f}",
    }


def mean_distance(adjacency):
    """The mean of ``|i - j|``, weighted by the edges; NaN without edges."""
    return float((distances(len(adjacency)) * adjacency).sum() / adjacency.sum())


def draw(graphs):
    """Draws a row of panels for each start."""
    size = (3.2 * len(PANELS), 2.8 * len(graphs))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(graphs), len(PANELS))
    for row, (start, panels) in zip(axes, graphs.items(), strict=True):
        for ax, (panel, (adjacency, _)) in zip(row, panels.items(), strict=True):
            plot_adjacency(adjacency, ax).set_title(f"{panel}\n(start {start})", fontsize=10)
            ax.label_outer()
            bar = ax.images[0].colorbar
            bar.set_label(bar.ax.get_ylabel() if ax is row[-1] else "")
    return axes[0, 0]
