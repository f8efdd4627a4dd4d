"""Figure 6: a sweep of each of the three weights of Eq. (8) around the paper's choice."""

from matplotlib.figure import Figure

from examples.reproduce.compare import run, show, summarize
from examples.reproduce.recipe import network
from examples.reproduce.tables import SPACE
from lgrin.training import Candidate
from lgrin.visualization import plot_sweep, save_figure

CHOICE = {"lambda_distance": 0.1, "lambda_frobenius": 0.1, "lambda_pool": 1e-4}
SYMBOLS = {"lambda_distance": "lambda1", "lambda_frobenius": "lambda2", "lambda_pool": "lambda3"}
VALUES = {
    "lambda_distance": (0.0, 1e-4, 1e-3, 1e-2, 1e-1, 1.0),
    "lambda_frobenius": (0.0, 1e-4, 1e-3, 1e-2, 1e-1, 1.0),
    "lambda_pool": (0.0, 1e-5, 1e-4, 1e-3, 1e-2),
}


def fig6(plan):
    """One row for each value of a weight, and a picture with a panel for each weight."""
    setting = plan.setting()
    sweeps = {name: (0.0, CHOICE[name]) if plan.options.epochs == 1 else VALUES[name] for name in CHOICE}
    found = {
        name: {value: summarize(run(candidate({**CHOICE, name: value}), setting), setting) for value in values}
        for name, values in sweeps.items()
    }
    save_figure(draw(found), plan.out / "figure6.png")
    return [
        {
            "weight": SYMBOLS[name],
            "value": f"{value:g}",
            "accuracy": show(summary["accuracy"]),
            "UAR": show(summary["uar"]),
            "paper's choice": "yes" if value == CHOICE[name] else "",
        }
        for name, summaries in found.items()
        for value, summary in summaries.items()
    ]


def candidate(weights):
    """L-GrIN with these weights; its name holds all three, so that the paper's choice is trained only once."""
    name = "L-GrIN, lambda " + ", ".join(f"{value:g}" for value in weights.values())
    return Candidate(name, network, options={"loss": weights}, space=SPACE)


def draw(found):
    """Plots accuracy and its interval against every weight and marks the paper's choice."""
    figure = Figure(figsize=(3.6 * len(found), 3.2), layout="constrained")
    panels = figure.subplots(1, len(found), sharey=True)
    for ax, (name, summaries) in zip(panels, found.items(), strict=True):
        intervals = {value: summary["accuracy"] for value, summary in summaries.items()}
        plot_sweep(intervals, CHOICE[name], ax).set_xlabel(rf"$\lambda_{SYMBOLS[name][-1]}$")
        ax.label_outer()
    figure.suptitle("diamonds: the paper's choice", fontsize=10)
    return panels[0]
