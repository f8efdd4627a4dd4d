"""Lets Triton's kernels run where there is no GPU; it reads this before it is imported."""

import os

import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
