"""Fits in threads of one process use PyTorch's generators in turn."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
import torch
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from lgrin.sklearn import LGrINClassifier
from lgrin.training.generators import own_random_numbers

OPTIONS = {"epochs": 4, "branch_channels": (8, 4), "random_state": 0}


def data():
    X, y = np.random.default_rng(0).normal(size=(24, 3, 20)), np.arange(24) % 2
    X[y == 1, 0] += np.linspace(-3, 3, 20)
    return X, y


def predict(n_jobs):
    options = {"cv": StratifiedKFold(3), "method": "predict_proba", "n_jobs": n_jobs}
    return cross_val_predict(LGrINClassifier(**OPTIONS), *data(), **options)


def test_fits_in_threads_repeat():
    expected = predict(1)
    with joblib.parallel_backend("threading"):
        for _ in range(2):
            np.testing.assert_allclose(predict(3), expected, atol=1e-6)


def test_numbers_of_one_thread_are_its_own():
    def draw(seed):
        drawn = []
        with own_random_numbers():
            torch.manual_seed(seed)
            for _ in range(200):
                drawn.append(torch.rand(1).item())
        return drawn

    before = torch.get_rng_state()
    expected = [draw(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(draw, range(4))) == expected
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_forked_process_waits_for_no_thread_of_its_parent():
    held, done = threading.Event(), threading.Event()

    def hold():
        with own_random_numbers():
            held.set()
            done.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # ends a child that waits in vain
        with own_random_numbers():
            os._exit(0)
    status = os.waitpid(child, 0)[1]
    done.set()
    holder.join()
    assert status == 0
