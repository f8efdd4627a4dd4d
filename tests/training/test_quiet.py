"""fit says nothing of other libraries, and what others say stays."""

import subprocess
import sys

PROGRAM = """
import logging, tempfile, warnings
import torch
from lightning.pytorch.callbacks import Callback
from torch_geometric.data import Data
from lgrin import LGrIN
from lgrin.training import SequenceClassifier, train_and_test

class Mine(Callback):
    def on_train_start(self, trainer, module):
        warnings.warn("a warning of mine")

data = [Data(x=torch.randn(5, 3) + i % 2, y=torch.tensor([i % 2])) for i in range(24)]
if {level!r} is not None:
    import lightning
    logging.getLogger("lightning.pytorch").setLevel({level!r})
train_and_test(LGrIN(3, 5, 2), data[:16], data[16:], tempfile.mkdtemp(), epochs=1, progress=False, callbacks=[Mine()])
assert logging.getLogger("lightning.pytorch").level == logging.getLevelName({level!r} or "INFO")
"""


def said(level):
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(level=level)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_training_says_nothing_of_other_libraries():
    (line,) = said(None)
    assert "UserWarning: a warning of mine" in line


def test_who_asks_for_debugging_hears_lightning():
    assert any("GPU available" in line for line in said("DEBUG"))
