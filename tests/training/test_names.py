"""Classes of several data sets are compared by their names."""

import numpy as np
import pytest
import torch
from torch.utils.data import ConcatDataset, Subset

from lgrin import LGrIN
from lgrin.datasets import from_arrays
from lgrin.training import Candidate, Fold, SequenceClassifier, Training, cross_validate, evaluate, fit, train_and_test
from lgrin.training.names import class_names

LEVELS = {"a": -3.0, "b": 0.0, "c": 3.0, "d": 6.0}


def corpus(names, count=6, seed=0, order=None):
    """A data set whose classes stand apart; ``order`` numbers them otherwise than by the alphabet."""
    generator = np.random.default_rng(seed)
    labels = [name for name in names for _ in range(count)]
    dataset = from_arrays([generator.normal(LEVELS[name], 1, (5, 2)) for name in labels], labels)
    if order is not None:
        dataset._data.y = torch.tensor([order.index(name) for name in labels])
        dataset.classes = list(order)
    return dataset


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    torch.manual_seed(0)
    model = LGrIN(2, 5, 3, branch_channels=(8, 4), num_layers=1)
    out, train = tmp_path_factory.mktemp("run"), corpus("abc", 12)
    options = {"classes": train.classes, "epochs": 40, "progress": False}
    return train_and_test(model, train, corpus("ac", seed=1), out, **options)


@pytest.mark.parametrize(
    "test",
    [
        lambda: corpus("ac", seed=1),
        lambda: corpus("c", seed=1),
        lambda: corpus("abc", seed=1, order="cab"),
        lambda: Subset(corpus("bc", seed=1), range(0, 12, 2)),
        lambda: ConcatDataset([corpus("bc", seed=1), corpus("bc", seed=2)]),
    ],
    ids=["without b", "c alone", "in another order", "a part", "joined"],
)
def test_a_test_set_is_scored_by_names(trained, test):
    classifier, found = trained
    assert found.accuracy > 0.9
    assert found.confusion[1].sum() == 0
    assert found.confusion[2, 2] > 4
    assert evaluate(classifier, test()).accuracy > 0.9


def test_the_names_in_a_checkpoint_are_compared_too(trained, tmp_path):
    train = corpus("abc")
    classifier = SequenceClassifier(trained[0].model, len(train), classes=train.classes)
    best = fit(classifier, train, corpus("ac", seed=1), tmp_path, epochs=1, progress=False)
    again = SequenceClassifier.load_from_checkpoint(best)
    assert evaluate(again, corpus("c", seed=1)).confusion[:2].sum() == 0


def test_a_class_that_training_did_not_have_is_refused_by_name(trained):
    with pytest.raises(
        ValueError, match=r"sequences\[6\] is of class 'd', which is none of the classes \['a', 'b', 'c'\]"
    ):
        evaluate(trained[0], corpus("ad", seed=1))
    without = corpus("ad", seed=1)[:6]
    assert evaluate(trained[0], without).confusion.sum() == 6, "a class that no sequence has does not matter"


def test_training_and_validation_are_numbered_alike_and_as_the_classifier_names_them(tmp_path):
    def losses(name, train, validation, classes):
        torch.manual_seed(0)
        classifier = SequenceClassifier(LGrIN(2, 5, 3, branch_channels=(4,)), len(train), classes=classes)
        best = fit(classifier, train, validation, tmp_path / name, epochs=2, progress=False)
        checkpoint = torch.load(best, weights_only=True)
        run = checkpoint["callbacks"]["SameRun"]
        return run["train"], run["validation"], checkpoint["state_dict"]["model.head.1.weight"]

    one = losses("one", corpus("abc"), corpus("abc", seed=1), ["a", "b", "c"])
    other = losses("other", corpus("abc", order="cab"), corpus("abc", seed=1, order="bca"), ["a", "b", "c"])
    assert one[:2] == other[:2]
    assert torch.equal(one[2], other[2])
    short = losses("short", corpus("ac"), corpus("c", seed=1), ["a", "b", "c"])
    by_hand = losses(
        "by hand", list(corpus("ac", order="abc")), list(corpus("c", seed=1, order="abc")), ["a", "b", "c"]
    )
    assert short[:2] == by_hand[:2]


def test_other_words_for_the_classes_of_the_training_set_are_taken_in_its_order(tmp_path):
    train, test = corpus("abc", 12), corpus("ac", seed=1)
    torch.manual_seed(0)
    model = LGrIN(2, 5, 3, branch_channels=(8, 4), num_layers=1)
    names = ["low", "middle", "high"]
    classifier, found = train_and_test(model, train, test, tmp_path, classes=names, epochs=40, progress=False)
    assert found.accuracy > 0.9
    assert classifier.hparams["classes"] == names


def test_without_names_for_the_classifier_those_of_the_training_set_hold(tmp_path):
    torch.manual_seed(0)
    model = LGrIN(2, 5, 3, branch_channels=(8, 4), num_layers=1)
    _, found = train_and_test(model, corpus("abc", 12), corpus("ac", seed=1), tmp_path, epochs=40, progress=False)
    assert found.accuracy > 0.9


def test_joined_sets_that_number_their_classes_differently_are_refused():
    with pytest.raises(ValueError, match=r"the classes \['a', 'c'\] and \['a', 'b', 'c'\], so that a label means two"):
        class_names(ConcatDataset([corpus("ac"), corpus("abc")]))


def test_folds_are_numbered_as_the_comparison_names_the_classes(tmp_path):
    training = Training(5, ["a", "b", "c"], epochs=1, refit=True)
    made = [Fold("one", list(range(0, 12, 2)), [], list(range(1, 12, 2)))]
    options = {"workers": 1, "progress": False}
    (run,) = cross_validate(Candidate("any", LGrIN), corpus("ac"), made, training, tmp_path, **options)
    assert set(run["target"]) == {0, 2}
