"""``lgrin predict``: classifies recordings with a trained model."""

import argparse

from lgrin.command.checkpoint import load
from lgrin.text import one_line
from lgrin.training import Prediction, predict


def run(options: argparse.Namespace) -> list[Prediction]:
    """Classifies recordings, and prints the classes of each, the most probable first.

    Args:
        options: The options of ``lgrin predict``.

    Returns:
        The predictions.

    Raises:
        OSError: If a file cannot be read.
        ValueError: If it does not fit the model.
    """
    classifier = load(options.checkpoint)
    spontaneous = None if options.spontaneous is None else options.spontaneous == "yes"
    found = []
    for path in options.recording:
        prediction = predict(classifier, path, spontaneous)
        found.append(prediction)
        print(one_line(path, 5_000))
        for index in prediction.probabilities.argsort(descending=True).tolist():
            print(f"  {one_line(prediction.classes[index]):<12} {prediction.probabilities[index]:.3f}")
        if prediction.seconds is not None:
            print(f"  most salient frame at {prediction.seconds:.2f} s")
    return found
