"""What has to be set before anything else is imported."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # as many processes as cores: one thread each, theirs included
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

if not torch.cuda.is_available():  # Triton's kernels run all the same
    os.environ["TRITON_INTERPRET"] = "1"


@pytest.fixture(autouse=True)
def _no_warning_was_shown_before(monkeypatch):
    """A warning that is shown once for each line of the user is shown in each test."""
    monkeypatch.setattr("lgrin.warn._shown", set())
