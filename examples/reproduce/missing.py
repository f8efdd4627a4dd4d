"""What becomes of accuracy as frames go missing. The paper lacks this, though its faces are not found in every frame.

Frames are lost before a recording is stretched to the length of the others: anywhere, or a block of them. Then the lost
ones are masked, or the others repeated cyclically over the old length (the paper's padding), or interpolated linearly.
Each recording loses the same frames whatever is trained, and keeps one at the least.
"""

import functools
import itertools
from typing import NamedTuple

import numpy as np
import torch

from examples.reproduce.compare import run, show, summarize
from examples.reproduce.tables import baselines, lgrin
from lgrin.extras import optional
from lgrin.training import normalize_groups
from lgrin.transforms import Resample
from lgrin.visualization import save_figure

FRACTIONS = (0.2, 0.4, 0.6)
PLACES = ("test", "training and test")


def scatter(length, fraction, seed):
    """Which frames are left if some are lost anywhere; those of a smaller fraction are lost in a larger one too."""
    order = torch.randperm(length, generator=torch.Generator().manual_seed(seed))
    return order.argsort() >= count_lost(length, fraction)


def block(length, fraction, seed):
    """Which frames are left if some are lost in one piece."""
    lost = count_lost(length, fraction)
    start = torch.randint(length - lost + 1, (), generator=torch.Generator().manual_seed(seed))
    index = torch.arange(length)
    return (index < start) | (index >= start + lost)


def count_lost(length, fraction):
    """Frames that are lost, never all."""
    return min(round(fraction * length), length - 1)


def there(data):
    """The frames that a recording has."""
    return torch.ones(len(data.x), dtype=torch.bool) if data.get("mask") is None else data.mask


def by_mask(data, left):
    """Marks the lost frames as missing."""
    data = data.clone()
    data.x, data.mask = data.x.masked_fill(~left.unsqueeze(-1), 0), left
    return data


def by_cycle(data, left):
    """Repeats the frames that are left from the first of them on."""
    places = there(data)
    return put(data, places, data.x[left][torch.arange(int(places.sum())) % int(left.sum())])


def by_interpolation(data, left):
    """Draws a line over the lost frames; before the first and after the last that are left it is flat."""
    places = there(data)
    lines = [np.interp(places.nonzero()[:, 0], left.nonzero()[:, 0], feature) for feature in data.x[left].T.numpy()]
    return put(data, places, torch.from_numpy(np.stack(lines, axis=-1)).to(data.x.dtype))


def put(data, places, frames):
    """A copy of a recording with other features in these frames."""
    data = data.clone()
    data.x = data.x.clone()
    data.x[places] = frames
    return data


PATTERNS = {"scattered": scatter, "in a block": block}
FILLS = {"masks": by_mask, "cyclic refill": by_cycle, "interpolation": by_interpolation}


class Damage(NamedTuple):
    """How frames are lost and filled."""

    pattern: str
    fill: str
    fraction: float

    def __str__(self):
        return f"{self.fraction:.0%} {self.pattern}, {self.fill}"

    def __call__(self, data):
        """A copy of a numbered recording after that."""
        places = there(data)
        left = places.clone()
        left[places] = PATTERNS[self.pattern](int(places.sum()), self.fraction, seed=data.number)
        return FILLS[self.fill](data, left)


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
    """Recordings at their own lengths, each with its place among them."""
    recordings = plan.recordings()
    recordings = normalize_groups(recordings) if plan.options.normalize == "group" else recordings
    for number, data in enumerate(recordings):
        data.number = number
    return recordings


def change(recordings, damage, num_nodes, data):
    """What becomes of a sequence if its recording is damaged before it is stretched."""
    return Resample(num_nodes)(damage(recordings[data.number]))


def accuracies(candidate, setting, recordings, damages):
    """Accuracy by fraction, for each model, place, pattern and fill."""
    num_nodes = setting.training.num_nodes
    changes = {damage: functools.partial(change, recordings, damage, num_nodes) for damage in damages}
    whole = run(candidate, setting, variants={str(damage): function for damage, function in changes.items()})
    found = {}
    for damage, function in changes.items():
        tested = [{**one, "predicted": one["variants"][str(damage)]} for one in whole]
        trained = run(candidate, setting._replace(sequences=[function(data) for data in setting.sequences]))
        for place, runs in zip(PLACES, (tested, trained), strict=True):
            key = candidate.name, place, damage.pattern, damage.fill
            line = found.setdefault(key, {0.0: summarize(whole, setting)["accuracy"]})
            line[damage.fraction] = summarize(runs, setting)["accuracy"]
    return dict(sorted(found.items(), key=lambda item: PLACES.index(item[0][1])))


def row(key, line):
    """The accuracies of one line, the first and the last with their intervals."""
    ends = min(line), max(line)
    shown = {
        f"{part:.0%}": show(interval) if part in ends else f"{interval.estimate:.3f}" for part, interval in line.items()
    }
    return {**dict(zip(("model", "missing in", "pattern", "filled by"), key, strict=True)), **shown}


def draw(lines):
    """Accuracy against the part of the frames that is missing: a colour for each fill, a dash for each model."""
    models, places, patterns, fills = (list(dict.fromkeys(column)) for column in zip(*lines, strict=True))
    size = 4.5 * len(patterns), 3 * len(places) + 0.8
    with optional("train"):
        from matplotlib.figure import Figure
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
