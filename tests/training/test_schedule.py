import copy
import math
import warnings

import numpy as np
import pytest
import torch
from files import make
from torch_geometric.data import Data

from lgrin import LGrIN
from lgrin.hub import PretrainedClassifier
from lgrin.sklearn import LGrINClassifier
from lgrin.training import SequenceClassifier, fit
from lgrin.training.schedule import SCHEDULES, CosineSchedule, StepSchedule, name_schedule, warmup_cosine

KEYWORDS = {"in_channels": 2, "num_nodes": 5, "num_classes": 2, "branch_channels": (4,), "num_layers": 1}


def classifier(**options):
    torch.manual_seed(0)
    return SequenceClassifier(LGrIN(**KEYWORDS), num_sequences=12, **options)


def toy(count=12):
    generator = torch.Generator().manual_seed(0)
    return [Data(x=torch.randn(5, 2, generator=generator) + i % 2, y=torch.tensor([i % 2])) for i in range(count)]


def of(settings):
    return settings["schedule"], settings["halve_every"]


def test_halving_every_50_epochs_is_the_default_and_can_be_said_in_three_ways():
    assert of(classifier().hparams) == ({"name": "step", "halve_every": 50}, 50)
    wanted = ({"name": "step", "halve_every": 7}, 7)
    assert of(classifier(halve_every=7).hparams) == wanted
    assert of(classifier(schedule={"name": "step", "halve_every": 7}).hparams) == wanted
    assert of(classifier(schedule={"name": "step", "halve_every": 7}, halve_every=7).hparams) == wanted


def test_the_cosine_rises_in_a_twentieth_and_ends_at_0():
    rates = [warmup_cosine(step, 200) for step in range(201)]
    assert rates[:10] == pytest.approx(np.arange(1, 11) / 10, abs=0.01)
    assert rates[10:] == pytest.approx([(1 + math.cos(math.pi * step / 200)) / 2 for step in range(10, 201)])
    assert rates[-1] == 0


def test_what_is_no_schedule_is_named():
    with pytest.raises(ValueError, match="schedule is 'linear'; it may be 'step', 'cosine'"):
        classifier(schedule="linear")
    with pytest.raises(ValueError, match="halve_every is 0; it has to be a whole number"):
        classifier(schedule={"name": "step", "halve_every": 0})
    with pytest.raises(TypeError, match="schedule is a list; it may be a name, or a dictionary with one"):
        classifier(schedule=["step"])
    with pytest.raises(TypeError, match="halve_every"):
        classifier(schedule={"name": "cosine", "halve_every": 5})
    for given in (20, 50):
        with pytest.raises(ValueError, match=f"halve_every is {given}, but schedule is 'cosine'"):
            classifier(schedule="cosine", halve_every=given)


def test_what_meant_the_cosine_before_warns_and_says_its_name():
    with pytest.warns(FutureWarning, match="pass schedule='cosine'") as said:
        former = classifier(halve_every=None)
    assert len(said) == 1
    assert said[0].filename == __file__
    assert dict(former.hparams) == dict(classifier(schedule="cosine").hparams)


@pytest.fixture
def no_warning():
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "halve_every")
        yield


def as_before(settings, halve_every):
    """Settings as version 0.1 wrote them."""
    return {name: value for name, value in settings.items() if name != "schedule"} | {"halve_every": halve_every}


@pytest.mark.parametrize(
    ("halve_every", "schedule"), [(None, {"name": "cosine"}), (9, {"name": "step", "halve_every": 9})]
)
def test_files_that_name_no_schedule_load_to_the_same(tmp_path, no_warning, halve_every, schedule):
    best = fit(classifier(schedule=schedule), toy(), [], tmp_path, epochs=2, progress=False)
    checkpoint = torch.load(best, weights_only=True)
    checkpoint["hyper_parameters"] = as_before(checkpoint["hyper_parameters"], halve_every)
    torch.save(checkpoint, best)
    assert SequenceClassifier.load_from_checkpoint(best).hparams["schedule"] == schedule
    X, y = np.random.default_rng(0).normal(size=(8, 2, 5)), np.arange(8) % 2
    estimator = LGrINClassifier(branch_channels=(4,), epochs=1, random_state=0).fit(X, y)
    expected = estimator.predict_proba(X)
    settings = as_before(estimator.classifier_.hparams, halve_every)
    estimator.classifier_.hparams.clear()
    estimator.classifier_.hparams.update(settings)
    estimator.save(tmp_path / "estimator.pt")
    loaded = LGrINClassifier.load(tmp_path / "estimator.pt")
    assert loaded.classifier_.hparams["schedule"] == schedule
    assert np.array_equal(loaded.predict_proba(X), expected)


def test_a_hub_folder_that_names_no_schedule_loads_to_the_same(tmp_path, no_warning):
    before = PretrainedClassifier.of(classifier(schedule="cosine"))
    settings = as_before(before.hparams, None)
    before.hparams.clear()
    before.hparams.update(settings)
    before.save_pretrained(tmp_path)
    assert PretrainedClassifier.from_pretrained(tmp_path).hparams["schedule"] == {"name": "cosine"}


@pytest.mark.parametrize("name", [name for name in make.BUILD if name not in make.COMPETITORS])
def test_checkpoints_of_0_1_0_load_without_a_warning(name, no_warning):
    loaded = make.open_checkpoint(next(make.Path(make.__file__).parent.glob(f"0.1.0/{name}.ckpt")))
    assert of(loaded.hparams) == ({"name": "step", "halve_every": 50}, 50)


def test_a_run_that_names_no_schedule_is_gone_on_with(tmp_path):
    fit(classifier(), toy(), [], tmp_path, epochs=1, progress=False)
    last = tmp_path / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(last, weights_only=True)
    for settings in (checkpoint["hyper_parameters"], checkpoint["callbacks"]["SameRun"]):
        del settings["schedule"]
    torch.save(checkpoint, last)
    fit(classifier(), toy(), [], tmp_path, epochs=2, resume=True, progress=False)
    assert torch.load(last, weights_only=True)["epoch"] == 1
    with pytest.raises(ValueError, match="halve_every is 9, but the run to resume was started with 50"):
        fit(classifier(schedule={"name": "step", "halve_every": 9}), toy(), [], tmp_path, resume=True, progress=False)


def test_settings_that_name_a_schedule_stay_as_they_are():
    settings = dict(classifier(schedule="cosine").hparams)
    assert name_schedule(copy.deepcopy(settings)) == settings
    assert name_schedule({"lr": 1.0}) == {"lr": 1.0}


OWN = """
from dataclasses import dataclass
from typing import ClassVar

from torch.optim.lr_scheduler import ExponentialLR


@dataclass(frozen=True)
class Shrinking:
    factor: float = 0.5
    depends_on_epochs: ClassVar[bool] = False

    def configure(self, optimizer, count_steps):
        return ExponentialLR(optimizer, self.factor)
"""


def test_a_new_schedule_is_one_file_and_one_line_in_the_table(tmp_path, monkeypatch):
    (tmp_path / "shrinking_schedule.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    from shrinking_schedule import Shrinking

    monkeypatch.setitem(SCHEDULES, "shrinking", Shrinking)
    rates = classifier(schedule={"name": "shrinking", "factor": 0.1}, lr=1.0)
    best = fit(rates, toy(), [], tmp_path / "run", epochs=3, progress=False)
    checkpoint = torch.load(best, weights_only=True)
    assert checkpoint["lr_schedulers"][0]["_last_lr"][0] == pytest.approx(1e-3)
    again = SequenceClassifier.load_from_checkpoint(best)
    assert again.schedule == Shrinking(0.1)


def test_a_schedule_may_be_an_object_and_is_stored_by_its_name():
    for given, stored in (
        (StepSchedule(7), {"name": "step", "halve_every": 7}),
        (CosineSchedule(), {"name": "cosine"}),
    ):
        made = classifier(schedule=given)
        assert made.hparams["schedule"] == stored
        assert SequenceClassifier(**made.hparams).schedule == given
