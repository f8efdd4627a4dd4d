"""What has to be set before anything else is imported."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # as many processes as cores: one thread each, theirs included
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

if not torch.cuda.is_available():  # Triton's kernels run all the same
    os.environ["TRITON_INTERPRET"] = "1"
