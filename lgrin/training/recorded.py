"""Training steps on an NVIDIA GPU that are recorded once and replayed.

A step of a small network is some hundred kernels of microseconds each, which take longer to launch than to run. A CUDA
graph launches all of them at once.
"""

import warnings
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import Module

from lgrin.nn.fused import needs_call
from lgrin.warn import warn_user

KNOWN = ("lgrin", "torch", "torch_geometric")
UNRECORDED = 3  # steps of each size before the recording: kernels are compiled, and the last one is watched


def repeats(model: Module) -> bool:
    """Says whether each call of a model launches the same kernels, whatever happened between two calls.

    Modules of lgrin, PyTorch and PyTorch Geometric do, unless somebody watches or patches them. Those of others may
    count calls, say, or hold a number that somebody changes, which a recording would not see.

    Args:
        model: The model.

    Example:
        >>> repeats(torch.nn.Linear(2, 1)), repeats(type("Own", (Module,), {"__module__": "own"})())
        (True, False)
    """
    return all(type(one).__module__.partition(".")[0] in KNOWN and not needs_call(one) for one in model.modules())


class Recording(NamedTuple):
    """A recorded step.

    Attributes:
        graph: The kernels.
        which: Int64 ``[B]``, where a replay reads the sequences of its batch.
        results: Where a replay writes what the step returns.
    """

    graph: torch.cuda.CUDAGraph
    which: Tensor
    results: tuple[Tensor, ...]

    def replay(self, which: Tensor) -> tuple[Tensor, ...]:
        """Takes the step of a batch."""
        self.which.copy_(which)
        self.graph.replay()
        return tuple(one.clone() for one in self.results)


class Recorder:
    """Takes steps, and records them where they can be recorded: one recording for each size of a batch.

    A step is recorded unless the CPU waits for numbers from the GPU in it. Its random numbers are those of the
    generators as they are seeded at the time, recorded or not, and so are its results, to the bit.

    Args:
        step: Takes the step of a batch from the numbers of its sequences, on the device ``[B]`` and as a list, and
            returns tensors.
        may_record: Says whether steps depend on the numbers on the device alone, and all weights move together.

    Example:
        >>> double = Recorder(lambda which, index: (2 * which,), lambda: False)
        >>> double(torch.tensor([3, 1]), [3, 1])[0].tolist()
        [6, 2]
    """

    def __init__(self, step: Callable[[Tensor, list[int]], tuple[Tensor, ...]], may_record: Callable[[], bool]) -> None:
        self.step, self.may_record = step, may_record
        self._taken: Counter[int] = Counter()
        self._recordings: dict[int, Recording] = {}
        self._can_be_recorded = True

    def __call__(self, which: Tensor, index: list[int]) -> tuple[Tensor, ...]:
        """Takes the step of a batch."""
        size = len(which)
        if size in self._recordings:
            return self._recordings[size].replay(which)
        self._taken[size] += 1
        if not which.is_cuda or not self._can_be_recorded or self._taken[size] < UNRECORDED or not self.may_record():
            return self.step(which, index)
        if self._taken[size] == UNRECORDED:
            return self._watch(which, index)
        if (recording := self._record(which, index)) is None:
            return self.step(which, index)
        self._recordings[size] = recording
        return recording.replay(which)

    def _watch(self, which: Tensor, index: list[int]) -> tuple[Tensor, ...]:
        """Takes a step, and sees whether the CPU waits for the GPU in it."""
        before = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            del caught[:]  # PyTorch says that the mode is a prototype
            try:
                results = self.step(which, index)
            finally:
                torch.cuda.set_sync_debug_mode(before)
        waits = [one for one in caught if "synchronizing CUDA operation" in str(one.message)]
        self._can_be_recorded = not waits
        for one in caught:
            if one not in waits:
                warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
        return results

    def _record(self, which: Tensor, index: list[int]) -> Recording | None:
        """Records a step without taking it; ``None`` if it cannot be recorded."""
        graph, place = torch.cuda.CUDAGraph(), which.clone()
        try:
            with torch.cuda.device(which.device), torch.cuda.graph(graph, capture_error_mode="thread_local"):
                results = self.step(place, index)
        except RuntimeError as error:
            self._can_be_recorded = False
            warn_user(f"steps are launched kernel by kernel, since they cannot be recorded: {error}")
            return None
        return Recording(graph, place, results)
