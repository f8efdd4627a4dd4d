"""Figure 7: the salient frame of a test recording of each class: the maximum of most channels in the readout."""

import math
from pathlib import Path

from matplotlib.figure import Figure

from examples.reproduce.recipe import network
from examples.reproduce.salient import Moment, draw
from examples.reproduce.single import train_on_first_fold
from lgrin.training import evaluate
from lgrin.transforms.resample import evenly_spread
from lgrin.visualization import save_figure

COLUMNS = ("class", "recording", "frame", "seconds", "probability", "recognised")
ABREAST = 4


def fig7(plan):
    """One row for each class, and a picture of all salient frames."""
    setting, recordings = plan.setting(), plan.recordings()
    classifier, _, test = train_on_first_fold(network, setting)
    probabilities = evaluate(classifier, test).probabilities
    tested, rows, moments = setting.folds()[0].test, [], {}
    for label, name in enumerate(setting.training.classes):
        chosen = best_recognised(probabilities, test, label)
        if chosen is None:
            rows.append(dict(zip(COLUMNS, (name, *["-"] * 5), strict=True)))
            continue
        index = tested[chosen]
        moment = salient_moment(classifier, test[chosen], recordings[index], plan.dataset)
        rows.append(describe(name, index, recordings[index], moment.frame, probabilities[chosen], label))
        moments["{class}: {recording}\nframe {frame}, probability {probability}".format(**rows[-1])] = moment
    save_figure(draw_all(moments, getattr(plan.dataset, "features", None)), plan.out / "figure7.png")
    return rows


def best_recognised(probabilities, sequences, label):
    """The recording of a class with the highest probability of it, preferably one that is classified correctly."""
    members = [index for index, data in enumerate(sequences) if int(data.y) == label]
    return max(
        members,
        key=lambda index: (int(probabilities[index].argmax()) == label, float(probabilities[index, label])),
        default=None,
    )


def salient_moment(classifier, stretched, recording, dataset):
    """The salient frame, as a frame of the recording before it was stretched."""
    salient = classifier.model.salient_frames(classifier.normalize(stretched.x), mask=stretched.get("mask"))
    frame = int(evenly_spread(recording.num_nodes, stretched.num_nodes)[salient])
    source = getattr(dataset, "source", None)
    return Moment(recording.x, frame, None if source is None else Path(source) / recording.name)


def describe(name, index, recording, frame, probabilities, label):
    """One row of the table."""
    rate = recording.get("frame_rate")
    seconds = "-" if rate is None else f"{frame / float(rate):.2f}"
    recognised = "yes" if int(probabilities.argmax()) == label else "no"
    title = recording.get("name") or f"number {index}"
    values = (name, title, frame, seconds, f"{float(probabilities[label]):.2f}", recognised)
    return dict(zip(COLUMNS, values, strict=True))


def draw_all(moments, features):
    """Draws a panel for each moment."""
    columns = min(ABREAST, len(moments))
    shape = math.ceil(len(moments) / columns), columns
    size = (3.4 * shape[1], 2.9 * shape[0])
    figure = Figure(figsize=size, layout="constrained")
    for place, (title, moment) in zip(figure.add_gridspec(*shape), moments.items(), strict=False):
        ax = draw(moment, features, figure, place, title)
    return ax
