import sys

import pytest
import torch
from torch_geometric.data import Data

from lgrin import LGrIN
from lgrin.training import SequenceClassifier, fit
from lgrin.training.checkpoints import restore
from lgrin.training.experiment import RECIPE
from lgrin.training.loop import fit_in_memory

SMALL = {"branch_channels": (4, 3), "input_norm": "both"}


def toy(count, seed=0, unequal=False, lacks_frames=False, uneven=False):
    generator = torch.Generator().manual_seed(seed)
    sequences = []
    for index in range(count):
        index = index if index < 6 or not uneven else 0
        length = int(torch.randint(2, 7, (1,), generator=generator)) if unequal else 6
        data = Data(x=torch.randn(length, 2, generator=generator) + index % 3, y=torch.tensor([index % 3]))
        if unequal:
            data.frame = torch.randperm(6, generator=generator)[:length]
        if lacks_frames:
            data.mask = torch.arange(length) != index % length
            data.mask[0] = True
        sequences.append(data)
    return sequences


def classifier(num_sequences, **options):
    torch.manual_seed(0)
    return SequenceClassifier(LGrIN(2, 6, 3, **SMALL), num_sequences=num_sequences, **options)


CASES = {
    "recommended": ({}, RECIPE, {"averaging": 0.98}),
    "no average": ({}, RECIPE, {}),
    "halved": ({}, {"lr": 0.01, "schedule": {"name": "step", "halve_every": 2}}, {"averaging": 0.9}),
    "unequal": ({"unequal": True}, RECIPE, {"averaging": 0.98}),
    "lacks frames": ({"lacks_frames": True}, RECIPE, {"averaging": 0.98}),
    "balanced": ({"uneven": True}, RECIPE, {"sampling": "balanced"}),
    "all of it": ({"unequal": True, "lacks_frames": True}, RECIPE, {"averaging": 0.5}),
}


@pytest.mark.parametrize("held_out", [0, 11])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_it_takes_the_steps_of_fit_to_the_bit(tmp_path, case, held_out):
    kind, options, more = case
    train, validation = toy(21, **kind), toy(held_out, seed=1, **kind)
    how = {"epochs": 5, "batch_size": 8, "patience": 2, "seed": 3, **more}
    theirs, ours = (classifier(21, **options) for _ in range(2))
    best = fit(theirs, train, validation, tmp_path, progress=False, device="cpu", **how)
    checkpoint = restore(theirs, best)
    run = fit_in_memory(ours, train, validation, device="cpu", **how)
    weights = ours.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in theirs.state_dict().items())
    assert run.epoch == checkpoint["epoch"]
    states = [state for state in checkpoint["callbacks"].values() if state.get("monitor") == "val_loss"]
    scores = [float(state["best_model_score"]) for state in states if "best_model_score" in state]
    assert [run.validation_loss] == (scores if held_out else [None])


def test_it_stops_early_and_leaves_the_best_epoch():
    train, validation = toy(21), toy(12, seed=1)
    for data in validation:
        data.y = (data.y + 1) % 3  # what is learned makes it worse
    run = fit_in_memory(ours := classifier(21, lr=0.1), train, validation, epochs=30, batch_size=8, patience=3)
    assert len(run.losses) == run.epoch + 1 + 3 < 30
    again = fit_in_memory(other := classifier(21, lr=0.1), train, validation, epochs=run.epoch + 1, batch_size=8)
    assert again.validation_loss == run.validation_loss
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), other.parameters(), strict=True))


def test_losses_are_means_over_the_sequences_of_an_epoch():
    model = classifier(21, lr=0.0)
    model.model.eval()  # no dropout, no statistics of a batch
    run = fit_in_memory(model, data := toy(21), [], epochs=2, batch_size=8)
    inputs = {"x": torch.cat([one.x for one in data]), "frame": None, "mask": None, "batch_size": 21}
    inputs["batch"] = torch.arange(21).repeat_interleave(6)
    expected = model.loss_of(torch.cat([one.y for one in data]), inputs).item()
    assert run.losses == pytest.approx([expected, expected], rel=1e-5)


def test_the_mode_of_every_module_is_left_as_it_was():
    model = classifier(21)
    model.model.layers[1].eval()
    before = [module.training for module in model.modules()]
    fit_in_memory(model, toy(21), toy(6, seed=1), epochs=1)
    assert [module.training for module in model.modules()] == before


class Named(list):
    """Sequences of a data set that names its classes."""

    def __init__(self, classes, sequences):
        super().__init__(data.clone() for data in sequences)
        self.classes = list(classes)
        for data in self:
            data.y = torch.tensor([classes.index("abc"[int(data.y)])])


def test_labels_go_by_the_names_of_the_classes():
    runs = [
        fit_in_memory(classifier(21), Named("abc", toy(21)), Named(order, toy(12, 1)), epochs=2, batch_size=8)
        for order in ("abc", "cab")
    ]
    assert runs[0].validation_loss == runs[1].validation_loss


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": 2.5}, "batch_size is 2.5"),
        ({"patience": -1}, "patience is -1"),
        ({"averaging": 1}, "averaging is 1"),
        ({"seed": -1}, "seed is -1"),
        ({"device": "abacus"}, "device is 'abacus'"),
    ],
)
def test_options_out_of_range_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        fit_in_memory(classifier(21), toy(21), [], **options)


def test_a_lone_frame_and_a_wrong_label_are_named():
    lone = [*toy(8), Data(x=torch.ones(1, 2), frame=torch.tensor([0]), y=torch.tensor([0]))]
    for data in lone:
        data.frame = torch.arange(data.num_nodes)
    with pytest.raises(ValueError, match="single"):
        fit_in_memory(classifier(9), lone, [], epochs=1, batch_size=1)
    with pytest.raises(ValueError, match=r"\[3\].*is 7"):
        fit_in_memory(classifier(9), [*toy(3), Data(x=torch.ones(6, 2), y=torch.tensor([7]))], [], epochs=1)


@pytest.mark.parametrize("name", ["adjacency.weight", "input_norm.running_mean"])
def test_a_value_that_is_not_finite_ends_the_run_with_its_step(name, monkeypatch):
    model, original = classifier(21), SequenceClassifier.loss_of
    steps = []

    def spoil(self, *given):
        steps.append(original(self, *given))
        if len(steps) == 5:
            dict([*model.model.named_parameters(), *model.model.named_buffers()])[name].data.view(-1)[0] = -torch.inf
        return steps[-1]

    monkeypatch.setattr(SequenceClassifier, "loss_of", spoil)
    with pytest.raises(FloatingPointError, match=rf"model\.{name} is not finite after step 5 \(epoch 1\)"):
        fit_in_memory(model, toy(21), [], epochs=3, batch_size=8)


def test_a_line_shows_the_time_left_on_a_terminal_and_nothing_elsewhere(capfd, monkeypatch):
    fit_in_memory(classifier(21), toy(21), [], epochs=2, progress=True)
    assert capfd.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    fit_in_memory(classifier(21), toy(21), [], epochs=2, progress=False)
    assert capfd.readouterr() == ("", "")
    fit_in_memory(classifier(21), toy(21), [], epochs=2, progress=True)
    shown = capfd.readouterr().err
    assert "Epoch 1" in shown
    assert "2/2 [" in shown
    assert shown.strip("\n").count("\n") == 0
