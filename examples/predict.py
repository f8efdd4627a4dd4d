"""Classifies a recording with a model that examples/train.py has trained.

python examples/predict.py runs/emodb-seed0/checkpoints/best.ckpt clip.wav
"""

import argparse

from lgrin.text import one_line
from lgrin.training import SequenceClassifier, predict


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("checkpoint", help="for example runs/emodb-seed0/checkpoints/best.ckpt")
    parser.add_argument("recording", nargs="+", help="files of the kind that the model was trained on")
    parser.add_argument(
        "--spontaneous", choices=("yes", "no"), help="whether the speech is spontaneous, for models of IEMOCAP"
    )
    options = parser.parse_args(arguments)
    try:
        classifier = SequenceClassifier.load_from_checkpoint(options.checkpoint)
    except (OSError, TypeError, ValueError) as error:
        parser.error(one_line(error, 5_000))
    spontaneous = None if options.spontaneous is None else options.spontaneous == "yes"
    for path in options.recording:
        try:
            prediction = predict(classifier, path, spontaneous)
        except (OSError, ValueError) as error:
            parser.error(one_line(error, 5_000))
        print(one_line(path, 5_000))
        for index in prediction.probabilities.argsort(descending=True).tolist():
            print(f"  {one_line(prediction.classes[index]):<12} {prediction.probabilities[index]:.3f}")
        if prediction.seconds is not None:
            print(f"  most salient frame at {prediction.seconds:.2f} s")


if __name__ == "__main__":
    main()
