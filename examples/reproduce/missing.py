"""How does accuracy change as frames go missing? The paper lacks this, though its faces are not found in every frame.

Frames are lost before a sequence is stretched to the common length, scattered or in one block. The lost frames are
masked, or the others are repeated cyclically over the old length (the paper's padding), or interpolated linearly. A
sequence loses the same frames whatever is trained, and keeps at least one.
"""

import functools
import itertools

from matplotlib.figure import Figure

from examples.reproduce.compare import of_variant, run, show, summarize
from examples.reproduce.losses import FILLS, PATTERNS, Damage
from examples.reproduce.tables import baselines, lgrin
from lgrin.training import normalize_groups
from lgrin.transforms import Resample
from lgrin.visualization import save_figure

FRACTIONS = (0.2, 0.4, 0.6)
PLACES = ("test", "training and test")


def missing(plan):
    """One row a model, place, pattern and fill; a picture with a panel for each place and pattern."""
    recordings, resample = numbered(plan), Resample(plan.dataset.num_frames)
    setting = plan.setting([resample(data.clone()) for data in recordings])._replace(normalize="train")
    patterns, fractions = (PATTERNS, FRACTIONS) if plan.options.epochs > 1 else (["scattered"], FRACTIONS[-1:])
    damages = [Damage(*one) for one in itertools.product(patterns, FILLS, fractions)]
    lines = {}
    for candidate in (lgrin(), *baselines("BLSTM")):
        lines |= accuracies(candidate, setting, recordings, damages)
    save_figure(draw(lines), plan.out / "missing.png")
    return [row(key, line) for key, line in lines.items()]


def numbered(plan):
    """The recordings at their own lengths, each with its number."""
    recordings = plan.recordings()
    recordings = normalize_groups(recordings) if plan.options.normalize == "group" else recordings
    for number, data in enumerate(recordings):
        data.number = number
    return recordings


def change(recordings, damage, num_nodes, data):
    """A sequence whose recording is damaged before it is stretched."""
    return Resample(num_nodes)(damage(recordings[data.number]))


def accuracies(candidate, setting, recordings, damages):
    """Accuracy by fraction of lost frames, for each model, place, pattern and fill."""
    num_nodes = setting.training.num_nodes
    changes = {damage: functools.partial(change, recordings, damage, num_nodes) for damage in damages}
    whole = run(candidate, setting, variants={str(damage): function for damage, function in changes.items()})
    found = {}
    for damage, function in changes.items():
        tested = of_variant(whole, str(damage))
        trained = run(candidate, setting._replace(sequences=[function(data) for data in setting.sequences]))
        for place, runs in zip(PLACES, (tested, trained), strict=True):
            key = candidate.name, place, damage.pattern, damage.fill
            line = found.setdefault(key, {0.0: summarize(whole, setting)["accuracy"]})
            line[damage.fraction] = summarize(runs, setting)["accuracy"]
    return dict(sorted(found.items(), key=lambda item: PLACES.index(item[0][1])))


def row(key, line):
    """One row of the table: the accuracies, the first and the last with their intervals."""
    ends = min(line), max(line)
    shown = {
        f"{part:.0%}": show(interval) if part in ends else f"{interval.estimate:.3f}" for part, interval in line.items()
    }
    return {**dict(zip(("model", "missing in", "pattern", "filled by"), key, strict=True)), **shown}


def draw(lines):
    """Plots accuracy against the part of the frames that is missing: a color a fill, a line style a model."""
    models, places, patterns, fills = (list(dict.fromkeys(column)) for column in zip(*lines, strict=True))
    size = 4.5 * len(patterns), 3 * len(places) + 0.8
    figure = Figure(size, layout="constrained")
    panels = figure.subplots(len(places), len(patterns), sharex=True, sharey=True, squeeze=False)
    for (model, place, pattern, fill), line in lines.items():
        style = {"color": f"C{fills.index(fill)}", "linestyle": ("-", "--")[models.index(model)]}
        ax = panels[places.index(place), patterns.index(pattern)]
        accuracy = [interval.estimate for interval in line.values()]
        ax.plot([100 * part for part in line], accuracy, marker="o", label=f"{model}, {fill}", **style)
        ax.set_title(f"{pattern}, in {place}", fontsize=10)
    for ax in panels[:, 0]:
        ax.set_ylabel("accuracy")
    for ax in panels[-1]:
        ax.set_xlabel("frames missing (%)")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=9)
    return panels[0, 0]
