"""A whole fit of the estimator on JapaneseVowels, compared with its steps alone, in time of the processor.

Steps that wait for other processes would move the sum and the median differently.
"""

import statistics
import time

import torch
from aeon.datasets import load_classification

from benchmarks.measure import row
from lgrin.sklearn import LGrINClassifier
from lgrin.training.loop import Loop

EPOCHS = 30


def measure() -> list[dict]:
    torch.set_num_threads(1)
    X, y = load_classification("JapaneseVowels", split="train")
    LGrINClassifier(epochs=1, random_state=0).fit(X, y)
    seconds, original = [], Loop.take_step

    def timed(loop: Loop, index: list[int]) -> torch.Tensor:
        start = time.process_time()
        loss = original(loop, index)
        seconds.append(time.process_time() - start)
        return loss

    Loop.take_step = timed
    try:
        start = time.process_time()
        LGrINClassifier(epochs=EPOCHS, random_state=0).fit(X, y)
        whole = time.process_time() - start
    finally:
        Loop.take_step = original
    step = statistics.median(seconds)
    what = f"fit of LGrINClassifier, JapaneseVowels, {EPOCHS} epochs, one thread: number of steps x median step"
    also = {"s": whole, "steps": len(seconds), "ms a step": 1e3 * step}
    return [row(what, whole / (len(seconds) * step), "times as long", 1.2, **also)]
