"""``lgrin predict``: classifies recordings with a trained model."""

import argparse
import json
from pathlib import Path

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
    for path in options.recording:
        if not Path(path).is_file():
            raise FileNotFoundError(f"there is no recording {path}")
    spontaneous = None if options.spontaneous is None else options.spontaneous == "yes"
    show, found = _print_json if options.json else _print_rows, []
    for path in options.recording:
        prediction = predict(classifier, path, spontaneous)
        found.append(prediction)
        show(path, prediction)
    return found


def _print_rows(path: str, prediction: Prediction) -> None:
    print(one_line(path, 5_000))
    for index in prediction.probabilities.argsort(descending=True).tolist():
        print(f"  {one_line(prediction.classes[index]):<12} {prediction.probabilities[index]:.3f}")
    if prediction.seconds is not None:
        print(f"  most salient frame at {prediction.seconds:.2f} s")


def _print_json(path: str, prediction: Prediction) -> None:
    """One line for a program, in full precision, with the names that the script of the device has for them."""
    found = dict(zip(prediction.classes, prediction.probabilities.tolist(), strict=True))
    chosen = prediction.classes[int(prediction.probabilities.argmax())]
    line = {"recording": path, "class": chosen, "probabilities": found, "salient_seconds": prediction.seconds}
    print(json.dumps(line))
