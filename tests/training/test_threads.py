"""How many threads fits and predictions take, and what they leave."""

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from lgrin.models import LGrIN
from lgrin.sklearn import LGrINClassifier
from lgrin.training import SequenceClassifier, fit
from lgrin.training.loop import fit_in_memory
from lgrin.training.threads import BY_HAND, WORTH, threads_for


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    monkeypatch.delenv(BY_HAND, raising=False)
    known = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(known)


class Watching(LGrIN):
    """Notes how many threads there are when it is called."""

    def forward(self, *arguments, **keywords):
        vars(self).setdefault("threads", set()).add(torch.get_num_threads())
        return super().forward(*arguments, **keywords)


def data():
    return [Data(x=torch.randn(6, 3) + i % 2, y=torch.tensor([i % 2])) for i in range(8)]


def test_a_small_fit_takes_one_thread_and_gives_the_others_back(tmp_path):
    fits = (
        (lambda one: fit_in_memory(one, data(), [], epochs=1)),
        (lambda one: fit(one, data(), data(), tmp_path, epochs=1)),
    )
    for run in fits:
        classifier = SequenceClassifier(Watching(3, 6, 2), num_sequences=8)
        run(classifier)
        assert classifier.model.threads == {1}
        assert torch.get_num_threads() == 2


def test_a_user_who_sets_the_number_and_large_steps_keep_it(monkeypatch):
    with threads_for(WORTH):
        assert torch.get_num_threads() == 2
    with pytest.raises(RuntimeError, match="shapes"), threads_for(WORTH - 1):
        torch.empty(torch.get_num_threads(), 2) @ torch.empty(1, 1)
    assert torch.get_num_threads() == 2
    monkeypatch.setenv(BY_HAND, "2")
    with threads_for(1):
        assert torch.get_num_threads() == 2


def test_fits_and_predictions_are_the_same_bits_whatever_the_number():
    random, y = np.random.default_rng(0), np.arange(40) % 2
    X = random.normal(size=(40, 12, 30)) + y[:, None, None] * np.linspace(-1, 1, 30)
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(LGrINClassifier(epochs=3, random_state=0).fit(X, y).predict_proba(X))
        assert torch.get_num_threads() == threads
    assert np.array_equal(*found)
