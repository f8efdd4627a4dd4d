"""Training that diverges ends with an error, not with a classifier of one class."""

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from torch_geometric.data import Data

from lgrin import LGrIN
from lgrin.sklearn import LGrINClassifier
from lgrin.training import Candidate, Fold, SequenceClassifier, Training, cross_validate, fit, train_and_test
from lgrin.training.experiment import RECIPE


def toy(count=20):
    generator = torch.Generator().manual_seed(0)
    return [Data(x=torch.randn(6, 2, generator=generator) + i % 2, y=torch.tensor([i % 2])) for i in range(count)]


def network(**options):
    torch.manual_seed(0)
    return LGrIN(2, 6, 2, branch_channels=(8, 4), **options)


class At(Callback):
    """Changes something in the module after a step."""

    def __init__(self, step, change):
        self.step, self.change = step, change

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if trainer.global_step + 1 == self.step:
            self.change(trainer, module)


def go(out, callbacks=(), model=None, held_out=0, **settings):
    classifier = SequenceClassifier(model or network(), num_sequences=20, **settings)
    options = {"epochs": 2, "batch_size": 5, "averaging": 0.9, "progress": False, "callbacks": callbacks}
    fit(classifier, toy(), toy(held_out), out, **options)
    return classifier


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": 1e6}, r"step \d+ \(epoch \d+\).*lower lr, which is 1e\+06 \(0\.003 is recommended\)"),
        ({"lr": 1e20}, r"the loss of step 2 \(epoch \d\) is not finite; lower lr, which is 1e\+20"),
        ({"weight_decay": 1e30}, r"lower weight_decay, which is 1e\+30 \(0\.05 is recommended\)"),
        ({"shift": 1e20}, r"running_var is not finite after step 1 \(epoch 0\); lower shift, which is 1e\+20"),
    ],
)
def test_the_estimator_raises_and_says_what_to_lower(settings, message):
    X, y = np.random.default_rng(0).normal(size=(20, 3, 15)), np.arange(20) % 2
    with pytest.raises(FloatingPointError, match=message):
        LGrINClassifier(epochs=8, batch_size=10, random_state=0, **settings).fit(X, y)


def test_every_way_to_train_raises(tmp_path):
    wild = {**RECIPE, "lr": 1e20}
    with pytest.raises(FloatingPointError, match="training diverged"):
        train_and_test(network(), toy(), toy(4), tmp_path / "a", options=wild, epochs=3, progress=False)
    training = Training(6, ["a", "b"], epochs=3, refit=True, recipe=wild)
    made = [Fold("first", list(range(12)), [], list(range(12, 20)))]
    with pytest.raises(FloatingPointError, match="L-GrIN, first, seed 0: training diverged"):
        cross_validate(Candidate("L-GrIN", LGrIN), toy(), made, training, tmp_path / "b", workers=1, progress=False)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [("adjacency.weight", -torch.inf), ("head.1.bias", torch.nan), ("input_norm.running_mean", torch.inf)],
)
@pytest.mark.parametrize("step", [3, 8])
def test_the_step_is_named_though_the_loss_may_stay_finite_and_though_it_is_the_last(tmp_path, name, value, step):
    def spoil(trainer, module):
        module.model.get_buffer(name) if "running" in name else module.model.get_parameter(name)
        dict([*module.model.named_parameters(), *module.model.named_buffers()])[name].data.view(-1)[0] = value

    message = rf"(model\.{name} is not finite after|the loss of) step {step} \(epoch {(step - 1) // 4}\)"
    with pytest.raises(FloatingPointError, match=message):
        go(tmp_path, [At(step, spoil)])
    assert not (tmp_path / "checkpoints" / "best.ckpt").exists()


def test_averaged_weights_are_checked_before_they_are_returned(tmp_path):
    def spoil(trainer, module):
        (average,) = [one for one in trainer.callbacks if hasattr(one, "_average_model")]
        average._average_model.module.model.adjacency.weight.data[0, 0] = -torch.inf

    message = r"model\.adjacency\.weight is not finite in what is kept after step 8"
    with pytest.raises(FloatingPointError, match=message):
        go(tmp_path, [At(8, spoil)])


def test_a_validation_loss_that_is_not_finite_stops_the_run_aloud(tmp_path):
    def spoil(trainer, module):
        (average,) = [one for one in trainer.callbacks if hasattr(one, "_average_model")]
        average._average_model.module.model.head[1].bias.data[0] = torch.nan

    with pytest.raises(FloatingPointError, match="the validation loss is nan after step 4"):
        go(tmp_path, [At(3, spoil)], held_out=8)


def test_what_is_infinite_by_intention_is_left_alone(tmp_path):
    model = network()
    model.register_buffer("bars", torch.tensor([0.0, -torch.inf]))
    go(tmp_path, model=model)


def test_large_but_finite_weights_are_no_divergence(tmp_path):
    def enlarge(trainer, module):
        module.unused.data.fill_(torch.finfo(torch.float32).max / 4)

    model = network()
    classifier = SequenceClassifier(model, num_sequences=20)
    classifier.unused = torch.nn.Parameter(torch.zeros(16))
    options = {"epochs": 1, "batch_size": 5, "progress": False, "callbacks": [At(2, enlarge)]}
    fit(classifier, toy(), [], tmp_path, **options)
    assert torch.isinf(classifier.unused.detach().sum())
