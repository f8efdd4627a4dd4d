"""A run goes on as the run that it was, in a folder that is its own."""

import os
import signal
import subprocess
import sys
import threading

import pytest
import torch
from torch.nn import Module
from torch_geometric.data import Data

from lgrin import LGrIN
from lgrin.nn import GraphReadout
from lgrin.training import SequenceClassifier, fit
from lgrin.training.owner import sole_owner
from lgrin.training.reading import digest

KEYWORDS = {"in_channels": 2, "num_nodes": 6, "num_classes": 2, "branch_channels": (4,), "num_layers": 1}


def toy(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [Data(x=torch.randn(6, 2, generator=generator) + i % 2, y=torch.tensor([i % 2])) for i in range(count)]


def go(out, model=None, kind=SequenceClassifier, resume=True, seed=0, classes=None, callbacks=(), **changes):
    torch.manual_seed(0)
    settings = {name: changes.pop(name) for name in ("lr", "weight_decay", "loss", "augment") if name in changes}
    classifier = kind(LGrIN(**KEYWORDS) if model is None else model, num_sequences=12, classes=classes, **settings)
    options = {"epochs": 1, "progress": False, "resume": resume, "seed": seed, "callbacks": callbacks, **changes}
    return fit(classifier, toy(12), toy(4, 1), out, **options)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    go(out, resume=False)
    return out


def other(**keywords):
    return LGrIN(**{**KEYWORDS, **keywords})


def changed(change):
    model = LGrIN(**KEYWORDS)
    change(model)
    return model


class Scaled(Module):
    """A part whose setting its ``repr`` does not show."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x * self.factor


def encoder(factor):
    return other(encoder=Scaled(factor))


class Other(LGrIN):
    pass


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: other(dropout=0.1), r"model.config\['dropout'\] is 0.1, but the run to resume was started with 0.5"),
        (lambda: other(neighborhood="line"), r"model.config\['neighborhood'\] is 'line'"),
        (lambda: other(readout={"parts": ("learned", "max", "mean")}), r"model.config\['readout'\] is"),
        (lambda: other(branch_channels=(5,)), r"model.config\['branch_channels'\] is \[5\]"),
        (lambda: changed(lambda model: setattr(model.head[0], "p", 0.2)), "model.head.0.p is 0.2"),
        (
            lambda: changed(lambda model: setattr(model, "readout", GraphReadout(6, ("mean", "max", "learned")))),
            "parts",
        ),
        (lambda: changed(lambda model: model.adjacency.requires_grad_(False)), "model.adjacency.weight, kind"),
        (lambda: changed(lambda model: model.double()), "model.adjacency.weight, kind is .*float64"),
        (lambda: Other(**KEYWORDS), "model is '.*Other', but .* 'lgrin.models.lgrin.LGrIN'"),
    ],
)
def test_another_network_is_not_gone_on_with(begun, model, message):
    with pytest.raises(ValueError, match=message):
        go(begun, model())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight_decay": 0.1}, "weight_decay is 0.1"),
        ({"loss": {"lambda_pool": 1.0}}, "loss is"),
        ({"augment": {"crop": 0.2}}, "augment is"),
        ({"sampling": "balanced"}, "sampling is 'balanced'"),
        ({"classes": ["a", "b"]}, r"classes is \['a', 'b'\]"),
        ({"kind": type("Kind", (SequenceClassifier,), {})}, "classifier is '.*Kind'"),
    ],
)
def test_another_recipe_is_not_gone_on_with(begun, changes, message):
    with pytest.raises(ValueError, match=message):
        go(begun, **changes)


def test_a_run_with_balanced_batches_ends_with_the_same_bits_where_it_was_stopped_between(tmp_path):
    options = {"sampling": "balanced", "batch_size": 4, "averaging": 0.9, "device": "cpu"}
    whole = go(tmp_path / "whole", epochs=4, **options)
    go(tmp_path / "stopped", epochs=2, **options)
    stopped = go(tmp_path / "stopped", epochs=4, **options)
    one, other = (torch.load(path, weights_only=True)["state_dict"] for path in (whole, stopped))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_what_no_repr_shows_counts_and_the_same_again_does_not(tmp_path):
    go(tmp_path, encoder(2.0), resume=False)
    with pytest.raises(ValueError, match=r"model\.encoder\.factor is 3\.0, but .* started with 2\.0"):
        go(tmp_path, encoder(3.0), epochs=2)
    go(tmp_path, encoder(2.0), epochs=2)
    assert torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 1


def test_a_given_graph_that_is_not_trained_counts_by_its_weights(tmp_path):
    def on(matrix):
        model = other()
        model.adjacency.requires_grad_(False).weight.copy_(matrix)
        return model

    go(tmp_path, on(torch.eye(6)), resume=False)
    with pytest.raises(ValueError, match=r"model\.adjacency\.weight, kind is"):
        go(tmp_path, on(torch.ones(6, 6)), epochs=2)


def test_a_run_of_an_older_version_is_refused_in_words(begun, tmp_path):
    go(tmp_path, resume=False)
    path = tmp_path / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    del checkpoint["callbacks"]["SameRun"]["network"]
    torch.save(checkpoint, path)
    with pytest.raises(ValueError, match="started by an older lgrin, which did not keep what its network is made of"):
        go(tmp_path)


def test_the_digest_of_sequences_knows_shapes_dtypes_and_what_is_missing():
    x, y = torch.arange(12.0), torch.tensor([0])
    frames = torch.arange(6)
    alike = [
        Data(x=x.view(6, 2), y=y),
        Data(x=x.view(4, 3), y=y),
        Data(x=x.view(6, 2).view(torch.int32), y=y),
        Data(x=x.view(6, 2), y=y, frame=frames),
        Data(x=x.view(6, 2), y=y, mask=torch.ones(6, dtype=torch.bool)),
    ]
    assert len({digest([one]) for one in alike}) == len(alike)
    assert digest(alike[:1]) == digest([alike[0].clone()])


def test_a_run_that_kept_its_best_epoch_alone_is_not_written_over(tmp_path):
    go(tmp_path, resume=False, epochs=60, patience=1, lr=0.3, resumable=False)
    assert not (tmp_path / "checkpoints" / "last.ckpt").exists()
    with pytest.raises(FileExistsError, match="holds a run already"):
        go(tmp_path, resume=False, seed=5, resumable=False)
    with pytest.raises(ValueError, match="seed is 5, but the run to resume was started with 0"):
        go(tmp_path, seed=5, lr=0.3, epochs=60, patience=1, resumable=False)


@pytest.mark.parametrize("resume", [False, True])
def test_of_threads_in_one_folder_one_trains_and_the_others_are_told(tmp_path, resume):
    found = {}

    def work(seed):
        try:
            found[seed] = go(tmp_path, resume=resume, seed=seed, epochs=8)
        except (FileExistsError, ValueError) as error:  # the latter where the first has ended already
            found[seed] = error

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [seed for seed, one in found.items() if not isinstance(one, Exception)]
    kept = torch.load(found[winner], weights_only=True)
    assert kept["callbacks"]["SameRun"]["seed"] == winner


HOLD = """
import os, signal, sys, time
from lgrin.training.owner import sole_owner
with sole_owner(sys.argv[1]):
    if os.fork() == 0:
        os.close(1)
        time.sleep(30)
        os._exit(0)
    print("held", flush=True)
    sys.stdin.readline()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the child is forked")
def test_another_process_is_kept_out_until_the_first_is_killed_though_it_leaves_a_child(tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(FileExistsError, match="another run is going on in"), sole_owner(tmp_path):
            pass
        holder.stdin.write("\n")
        holder.stdin.flush()
        assert holder.wait() == -signal.SIGKILL
        with sole_owner(tmp_path):
            pass


def test_a_folder_is_free_after_an_error_and_the_lock_is_no_run(tmp_path):
    with pytest.raises(RuntimeError), sole_owner(tmp_path):
        raise RuntimeError
    go(tmp_path, resume=False)
