"""Trains one model and returns it, for experiments that look inside it."""

from lgrin.training import SequenceClassifier
from lgrin.training.experiment import AVERAGING, draw
from lgrin.training.loop import fit_in_memory


def train(build, training, learn, stop_by, *, seed=0, kind=SequenceClassifier, keep="best", **options):
    """Trains one model as a comparison does.

    Args:
        build: Called with features P, frames M and classes C after the random numbers were seeded.
        training: The length of training, and the classes.
        learn: Sequences to train on.
        stop_by: Validation sequences.
        seed: Draws weights, batches and dropout.
        kind: The classifier's class.
        keep: The epoch to return, ``"best"`` or ``"last"``.
        **options: Further arguments of the classifier.

    Returns:
        The classifier in evaluation mode, and the number of epochs that it was trained for.
    """
    model = draw(build, learn[0].x.size(1), training.num_nodes, len(training.classes), seed=seed)
    options = {"classes": training.classes, **training.recipe, **options}
    how = {name: getattr(training, name) for name in ("epochs", "batch_size", "patience")}
    classifier = kind(model, num_sequences=len(learn), **options)
    held_out = stop_by if keep == "best" else []  # without validation a run keeps its last epoch
    run = fit_in_memory(classifier, learn, held_out, averaging=AVERAGING, seed=seed, **how)
    return classifier.eval(), run.epoch + 1


def train_on_first_fold(build, setting, **options):
    """Trains on the first fold of a setting.

    Returns:
        The classifier, the number of epochs that it was trained for, and the test sequences.
    """
    data = setting.data()
    learn, stop_by, test = ([data[index] for index in part] for part in setting.folds()[0][1:])
    return *train(build, setting.training, learn, stop_by, seed=setting.seeds[0], **options), test
