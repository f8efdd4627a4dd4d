import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data

from lgrin import LGrIN
from lgrin.training import SequenceClassifier, evaluate, fit, stratified_split
from lgrin.training.checkpoints import WholeCheckpoints

TOY = """
import os, signal, sys, torch
from lightning.pytorch import Callback
from torch_geometric.data import Batch, Data
from lgrin import LGrIN
from lgrin.training import SequenceClassifier, fit

class Kill(Callback):
    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == (kill_epoch, 1):
            os.kill(os.getpid(), signal.SIGKILL)

def toy(count, seed):
    generator = torch.Generator().manual_seed(seed)
    data = []
    for i in range(count):
        length = 3 + i % 4
        x = torch.randn(length, 2, generator=generator) + i % 2
        data.append(Data(x=x, frame=torch.arange(length), y=torch.tensor([i % 2])))
    return data

def train(out, resume, callbacks=()):
    torch.manual_seed(0)
    model = LGrIN(2, 6, 2, branch_channels=(8, 4))
    classifier = SequenceClassifier(model, num_sequences=20, halve_every=2)
    options = {"epochs": 6, "batch_size": 6, "progress": False, "averaging": 0.9}
    fit(classifier, toy(20, 0), toy(10, 1), out, resume=resume, callbacks=callbacks, **options)
    return classifier
"""


def run(program, *arguments):
    program = TOY + textwrap.dedent(program)
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *map(str, arguments)], capture_output=True, text=True
    )


exec(TOY)


def weights(folder):
    checkpoint = torch.load(Path(folder) / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["epoch"] == 5
    current = {f"current {name}": value for name, value in checkpoint["current_model_state"].items()}
    return {**checkpoint["state_dict"], **current}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    train(out, resume=False)  # noqa: F821
    return out


@pytest.mark.parametrize("kill_epoch", [0, 1, 2, 5])
def test_a_killed_run_resumes_to_the_same_bits(uninterrupted, tmp_path, kill_epoch):
    killed = run(f"kill_epoch = {kill_epoch}\ntrain(sys.argv[1], False, [Kill()])", tmp_path)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    resumed = run("train(sys.argv[1], True)", tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    expected, actual = weights(uninterrupted), weights(tmp_path)
    assert expected.keys() == actual.keys()
    for name in expected:
        assert torch.equal(expected[name], actual[name]), name


def test_two_runs_with_one_seed_agree_bit_for_bit(uninterrupted, tmp_path):
    train(tmp_path, resume=False)  # noqa: F821
    expected, actual = weights(uninterrupted), weights(tmp_path)
    assert all(torch.equal(expected[name], actual[name]) for name in expected)


def test_a_run_killed_while_it_writes_a_checkpoint_leaves_the_one_before(tmp_path):
    program = """
        import lgrin.training.checkpoints as checkpoints
        whole = torch.save
        def half(content, name):
            if checkpoints_written[0] == 6:
                open(name, "wb").write(b"half of a checkpoint")
                os.kill(os.getpid(), signal.SIGKILL)
            checkpoints_written[0] += 1
            whole(content, name)
        checkpoints_written = [0]
        checkpoints.torch.save = half
        train(sys.argv[1], False)
    """
    killed = run(program, tmp_path)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    folder = tmp_path / "checkpoints"
    for path in folder.glob("[!.]*"):
        torch.load(path, weights_only=True)
    resumed = run("train(sys.argv[1], True)", tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert weights(tmp_path)


def test_a_damaged_checkpoint_is_named_and_never_loaded(uninterrupted, tmp_path):
    content = (uninterrupted / "checkpoints" / "last.ckpt").read_bytes()
    broken = tmp_path / "checkpoints" / "last.ckpt"
    broken.parent.mkdir()
    broken.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"last.ckpt is damaged .* give another, or train again"):
        WholeCheckpoints().load_checkpoint(str(broken))
    with pytest.raises(ValueError, match="is damaged"):
        train(tmp_path, resume=True)  # noqa: F821


def test_damage_of_any_kind_is_named(tmp_path):
    (tmp_path / "last.ckpt").write_bytes(b"no checkpoint at all")
    with pytest.raises(ValueError, match="is damaged"):
        WholeCheckpoints().load_checkpoint(str(tmp_path / "last.ckpt"))


def test_what_is_no_checkpoint_of_a_run_is_not_loaded_as_one(uninterrupted, tmp_path):
    best, path = uninterrupted / "checkpoints" / "best.ckpt", tmp_path / "some.ckpt"
    content, graph = best.read_bytes(), torch.load(best, weights_only=True)["state_dict"]["model.adjacency.weight"]
    place = content.index(graph.numpy().tobytes())
    for damaged in (content[:place], content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :], b"text"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"some\.ckpt is damaged"):
            SequenceClassifier.load_from_checkpoint(path)
    for other in ({"weight": torch.ones(2)}, [1]):
        torch.save(other, path)
        with pytest.raises(ValueError, match=r"some\.ckpt is no checkpoint of lgrin\.training\.fit"):
            SequenceClassifier.load_from_checkpoint(path)
    with pytest.raises(FileNotFoundError, match="there is no checkpoint"):
        SequenceClassifier.load_from_checkpoint(tmp_path / "absent.ckpt")


def test_there_are_as_many_names_as_classes():
    with pytest.raises(ValueError, match=r"classes is \['a'\]; the model has num_classes=2: name each"):
        SequenceClassifier(LGrIN(2, 6, 2, branch_channels=(4,)), 20, classes=["a"])


def test_a_run_that_stopped_early_stays_stopped(tmp_path):
    def go(resume):
        torch.manual_seed(0)
        model = LGrIN(2, 6, 2, branch_channels=(4,))
        classifier = SequenceClassifier(model, num_sequences=20)
        options = {"epochs": 60, "patience": 1, "progress": False, "resume": resume}
        fit(classifier, toy(20, 0), toy(10, 1), tmp_path, **options)  # noqa: F821
        return {path.name: path.read_bytes() for path in (tmp_path / "checkpoints").iterdir()}

    first = go(resume=False)
    assert torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] < 59
    assert go(resume=True) == first


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 9}, "seed is 9, but the run to resume was started with 0"),
        ({"batch_size": 7}, "batch_size is 7, but the run to resume was started with 6"),
        ({"averaging": 0.0}, "averaging is 0.0, but the run to resume was started with 0.9"),
        ({"lr": 0.1}, "lr is 0.1, but the run to resume was started with 0.01"),
        ({"data": 4}, "train is '.*', but the run to resume was started with"),
    ],
)
def test_a_run_is_not_resumed_as_another(uninterrupted, changes, message):
    lr, data = changes.pop("lr", 0.01), changes.pop("data", 0)
    classifier = SequenceClassifier(LGrIN(2, 6, 2, branch_channels=(8, 4)), num_sequences=20, halve_every=2, lr=lr)
    options = {"epochs": 6, "batch_size": 6, "averaging": 0.9, "progress": False, "resume": True, **changes}
    with pytest.raises(ValueError, match=message):
        fit(classifier, toy(20, data), toy(10, 1), uninterrupted, **options)  # noqa: F821


def test_numpy_settings_leave_a_checkpoint_that_can_be_read(tmp_path):
    classifier = SequenceClassifier(
        LGrIN(np.int64(2), 6, 2, branch_channels=(4,)), np.int64(20), lr=np.float64(0.01), classes=np.array(["a", "b"])
    )
    best = fit(classifier, toy(20, 0), toy(10, 1), tmp_path, epochs=1, progress=False)  # noqa: F821
    assert torch.load(best, weights_only=True)["hyper_parameters"]["classes"] == ["a", "b"]


def test_a_second_run_does_not_write_over_the_first(uninterrupted):
    with pytest.raises(FileExistsError, match="pass resume=True to go on with it, or another folder"):
        train(uninterrupted, resume=False)  # noqa: F821


def test_the_checkpoint_rebuilds_model_and_normalisation(uninterrupted):
    classifier = SequenceClassifier.load_from_checkpoint(uninterrupted / "checkpoints" / "best.ckpt", weights_only=True)
    data = toy(20, 0)  # noqa: F821
    x = torch.cat([sequence.x for sequence in data])
    assert torch.allclose(classifier.normalize.mean, x.mean(0), atol=1e-6)
    assert torch.allclose(classifier.normalize.std, x.std(0, correction=0), atol=1e-6)
    assert evaluate(classifier, data).accuracy > 0.8


def test_logs_stand_as_csv_and_for_tensorboard(uninterrupted):
    header, *rows = (uninterrupted / "logs" / "version_0" / "metrics.csv").read_text().splitlines()
    assert {"epoch", "train_loss", "val_loss", "val_accuracy", "val_uar"} <= set(header.split(","))
    assert len(rows) >= 6
    assert list((uninterrupted / "logs" / "version_0").glob("events.out.tfevents*"))


def test_the_weights_that_are_kept_are_the_moving_average(tmp_path):
    class Watch(Callback):  # noqa: F821
        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            seen.append(module.model.head[1].weight.detach().clone())

    seen = []
    torch.manual_seed(0)
    classifier = SequenceClassifier(LGrIN(2, 6, 2, branch_channels=(4,)), num_sequences=20)
    options = {"epochs": 8, "batch_size": 5, "averaging": 0.75, "progress": False, "callbacks": [Watch()]}
    fit(classifier, toy(20, 0), toy(10, 1), tmp_path, **options)  # noqa: F821
    average = seen[0]
    for step, weight in enumerate(seen[1:], start=1):
        decay = min(0.75, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * weight
    kept = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert torch.allclose(kept["model.head.1.weight"], average, atol=1e-6)
    with pytest.raises(ValueError, match="averaging is 1; a decay lies between 0"):
        fit(classifier, toy(20, 0), toy(10, 1), tmp_path / "other", averaging=1)  # noqa: F821


@pytest.mark.parametrize("held_out", [0, 10])
def test_a_run_that_need_not_resume_writes_once_and_keeps_the_same_weights(tmp_path, held_out):
    class Watch(Callback):  # noqa: F821
        def on_train_epoch_start(self, trainer, module):
            there.append((folder / "checkpoints" / "last.ckpt").exists())

    kept, seen = [], []
    for resumable in (True, False):
        folder, there = tmp_path / str(resumable), []
        torch.manual_seed(0)
        classifier = SequenceClassifier(LGrIN(2, 6, 2, branch_channels=(4,)), num_sequences=20)
        options = {"epochs": 4, "averaging": 0.9, "progress": False, "callbacks": [Watch()], "resumable": resumable}
        best = fit(classifier, toy(20, 0), toy(held_out, 1), folder, **options)  # noqa: F821
        kept.append(torch.load(best, weights_only=True)["state_dict"])
        seen.append(there)
    assert seen == [[False, True, True, True], [False] * 4]
    assert all(torch.equal(weight, kept[1][name]) for name, weight in kept[0].items())


def test_the_learning_rate_halves_as_often_as_asked():
    classifier = SequenceClassifier(LGrIN(2, 6, 2), num_sequences=20)
    configured = classifier.configure_optimizers()
    optimizer, schedule = configured["optimizer"], configured["lr_scheduler"]
    rates = []
    for _ in range(101):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert (rates[0], rates[49], rates[50], rates[100]) == (0.01, 0.01, 0.005, 0.0025)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_the_loss_scaling_is_chosen_by_its_keywords(reduction):
    classifier = SequenceClassifier(LGrIN.paper(2, 6, 2), num_sequences=20, loss={"reduction": reduction})
    A, p = classifier.model.adjacency().double(), classifier.model.readout.learned.weight.double()
    index = torch.arange(6)
    terms = [((index - index[:, None]) ** 2 * A).sum(), (A**2).sum(), (p**2).sum()]
    scale = [36, 36, 6] if reduction == "mean" else [20, 20, 20]
    expected = sum(weight * term / n for weight, term, n in zip((0.1, 0.1, 1e-4), terms, scale, strict=True))
    assert float(classifier.loss.penalty(classifier.model)) == pytest.approx(float(expected), rel=1e-5)


def test_validation_sequences_come_from_every_class_and_from_the_training_set_alone():
    data = [Data(x=torch.full((1, 1), float(i)), y=torch.tensor([i % 3])) for i in range(30)]
    train, held_out = stratified_split(data, 0.2, seed=1)
    assert sorted(float(d.x) for d in train + held_out) == list(range(30))
    assert sorted(int(d.y) for d in held_out) == [0, 0, 1, 1, 2, 2]
    with pytest.raises(ValueError, match="class 7 has a single sequence"):
        stratified_split([*data, Data(x=torch.zeros(1, 1), y=torch.tensor([7]))])


def test_bad_sequences_are_named_before_training_starts(tmp_path):
    data = toy(20, 0)  # noqa: F821
    data[3].x[1, 0] = torch.nan
    classifier = SequenceClassifier(LGrIN(2, 6, 2), num_sequences=20)
    before = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    with pytest.raises(ValueError, match=r"dataset\[3\]: x\[1, 0\] is nan"):
        fit(classifier, data, toy(4, 1), tmp_path, progress=False)  # noqa: F821
    assert all(torch.equal(before[name], tensor) for name, tensor in classifier.state_dict().items())
    assert not any(tmp_path.iterdir())


def test_evaluation_equals_scikit_learn():
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix

    torch.manual_seed(0)
    data = toy(30, 2)[:25]  # noqa: F821
    classifier = SequenceClassifier(LGrIN(2, 6, 3, branch_channels=(4,)), num_sequences=20).eval()
    evaluation = evaluate(classifier, data, batch_size=7)
    truth, guess = [int(d.y) for d in data], evaluation.probabilities.argmax(1)
    assert evaluation.accuracy == pytest.approx(accuracy_score(truth, guess))
    assert evaluation.uar == pytest.approx(balanced_accuracy_score(truth, guess))
    assert evaluation.confusion.tolist() == confusion_matrix(truth, guess, labels=[0, 1, 2]).tolist()


def test_training_on_a_single_frame_is_refused():
    from torch_geometric.data import Batch

    classifier = SequenceClassifier(LGrIN(2, 6, 2), num_sequences=1)
    batch = Batch.from_data_list([Data(x=torch.zeros(1, 2), frame=torch.zeros(1).long(), y=torch.tensor([0]))])
    with pytest.raises(ValueError, match="batch norm cannot learn from one"):
        classifier.training_step(batch, 0)


def test_results_are_plain_json(tmp_path):
    from lgrin.training import write_results

    write_results(tmp_path / "metrics.json", accuracy=0.5)
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert content["accuracy"] == 0.5
    assert set(content["versions"]) == {"lgrin", "python", "torch", "torch_geometric"}
    assert os.listdir(tmp_path) == ["metrics.json"]


def largest_difference(one, other):
    """Leaves out biases before a batch norm, whose gradient is 0 but for rounding, and the means that follow them."""
    names = [name for name in one if not name.endswith("running_mean") and not (".lins." in name and "bias" in name)]
    return max(float((one[name] - other[name]).abs().max()) for name in names)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_run_learns_what_a_plain_one_does(tmp_path):
    options = {"epochs": 6, "batch_size": 6, "progress": False, "averaging": 0.9, "device": "cpu"}
    found = []
    torch._dynamo.utils.counters.clear()
    for compiled in (False, True):
        torch.manual_seed(0)
        model = LGrIN(2, 6, 2, branch_channels=(8, 4), dropout=0.0)
        classifier = SequenceClassifier(model, num_sequences=20)
        fit(classifier, toy(20, 0), toy(10, 1), tmp_path / str(compiled), compile=compiled, **options)  # noqa: F821
        assert "loss_of" not in classifier.__dict__
        found.append(weights(tmp_path / str(compiled)))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    assert not torch._dynamo.utils.counters["graph_break"]
    assert largest_difference(*found) < 1e-4


def test_a_run_in_bfloat16_learns(tmp_path):
    torch.manual_seed(0)
    classifier = SequenceClassifier(LGrIN(2, 6, 2, branch_channels=(8, 4)), num_sequences=20)
    options = {
        "epochs": 8,
        "batch_size": 10,
        "progress": False,
        "averaging": 0.9,
        "device": "cpu",
        "precision": "bf16-mixed",
    }
    fit(classifier, toy(20, 0), toy(10, 1), tmp_path, **options)  # noqa: F821
    assert all(value.isfinite().all() for value in classifier.state_dict().values())
    assert evaluate(classifier, toy(20, 0)).accuracy > 0.8  # noqa: F821


def test_a_run_with_buckets_gives_the_same_batches_again(tmp_path):
    found = []
    for name in ("one", "two"):
        torch.manual_seed(0)
        classifier = SequenceClassifier(LGrIN(2, 6, 2, branch_channels=(4,)), num_sequences=20)
        options = {"epochs": 6, "batch_size": 6, "progress": False, "averaging": 0.9, "device": "cpu", "buckets": True}
        fit(classifier, toy(20, 0), toy(10, 1), tmp_path / name, **options)  # noqa: F821
        found.append(weights(tmp_path / name))
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


def test_a_batch_that_processes_cannot_share_is_refused(tmp_path):
    classifier = SequenceClassifier(LGrIN(2, 6, 2, branch_channels=(4,)), num_sequences=20)
    with pytest.raises(ValueError, match="batch_size is 5, which 2 processes cannot share"):
        fit(classifier, toy(20, 0), toy(10, 1), tmp_path, batch_size=5, devices=2)  # noqa: F821


TWO = """
from lightning.pytorch import Callback
torch.set_num_threads(1)
torch.manual_seed(0)
model = LGrIN(2, 6, 2, branch_channels=(8, 4), dropout=0.0).double()
data = toy(24, 0)
for one in data:
    one.x = one.x.double()
options = {"epochs": 6, "batch_size": 6, "progress": False, "averaging": 0.9, "device": "cpu", "precision": "64-true"}
fit(SequenceClassifier(model, num_sequences=24), data, data[:6], sys.argv[1], devices=int(sys.argv[2]), **options)
"""


def test_two_processes_learn_what_one_does(tmp_path):
    (tmp_path / "program.py").write_text(TOY + TWO)
    found = []
    for processes in (1, 2):
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"] if processes > 1 else []
        command = [sys.executable, "-W", "ignore", *launcher, str(tmp_path / "program.py")]
        command += [str(tmp_path / str(processes)), str(processes)]
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        found.append(weights(tmp_path / str(processes)))
    assert largest_difference(*found) < 1e-9


def test_pure_16_bit_training_is_refused(tmp_path):
    classifier = SequenceClassifier(LGrIN(2, 6, 2, branch_channels=(4,)), num_sequences=20)
    with pytest.raises(ValueError, match="precision is 'bf16-true'"):
        fit(classifier, toy(20, 0), toy(10, 1), tmp_path, precision="bf16-true")  # noqa: F821


def steady(count=20, **options):
    torch.manual_seed(0)
    settings = {"schedule": "cosine", "augment": {"crop": 0.3, "shift": 0.2}, **options}
    return SequenceClassifier(LGrIN(2, 6, 2, branch_channels=(8, 4)), num_sequences=count, **settings)


def test_without_validation_all_epochs_are_gone_through_and_the_last_is_kept(tmp_path):
    fit(steady(), toy(20, 0), [], tmp_path, epochs=4, patience=1, batch_size=6, progress=False)  # noqa: F821
    best, last = (torch.load(tmp_path / "checkpoints" / f"{name}.ckpt", weights_only=True) for name in ("best", "last"))
    assert best["epoch"] == last["epoch"] == 3
    for name, value in last["state_dict"].items():
        assert torch.equal(best["state_dict"][name], value)


def test_a_falling_rate_reaches_0_and_resumes_to_the_same_bits(tmp_path):
    class Rates(Callback):  # noqa: F821
        seen = ()

        def on_train_batch_end(self, trainer, *others):
            self.seen = (*self.seen, trainer.optimizers[0].param_groups[0]["lr"])

    class Stop(Callback):  # noqa: F821
        def on_train_epoch_end(self, trainer, module):
            trainer.should_stop = trainer.current_epoch == 2

    def go(name, resume=False, callbacks=()):
        options = {"epochs": 6, "batch_size": 6, "progress": False, "averaging": 0.9, "resume": resume}
        fit(steady(), toy(20, 0), [], tmp_path / name, callbacks=callbacks, **options)  # noqa: F821
        return torch.load(tmp_path / name / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]

    rates = Rates()
    whole = go("whole", callbacks=[rates])
    assert len(rates.seen) == 24
    assert max(rates.seen) == rates.seen[0] == 0.01 * (1 + np.cos(np.pi / 24)) / 2
    assert (np.diff(rates.seen) < 0).all()
    assert rates.seen[-1] == 0
    go("cut", callbacks=[Stop()])
    for name, value in go("cut", resume=True).items():
        assert torch.equal(whole[name], value), name


def test_a_falling_rate_is_not_resumed_with_other_epochs(tmp_path):
    fit(steady(), toy(20, 0), [], tmp_path, epochs=1, progress=False)  # noqa: F821
    with pytest.raises(ValueError, match="epochs is 2, but the run to resume was started with 1"):
        fit(steady(), toy(20, 0), [], tmp_path, epochs=2, resume=True, progress=False)  # noqa: F821


def test_sequences_change_in_training_alone(tmp_path):
    classifier = steady()
    data = toy(20, 0)  # noqa: F821
    fit(classifier, data, [], tmp_path, epochs=1, progress=False)
    assert evaluate(classifier, data).probabilities.equal(evaluate(classifier, data).probabilities)
    classifier.train()
    batch = Batch.from_data_list(data)
    classifier.model.eval()
    assert not torch.equal(classifier(batch), classifier(batch))
