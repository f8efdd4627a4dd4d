"""The process that ``edge`` measures: it loads onnxruntime and a model, and runs clips one at a time."""

import json
import sys
import time

import numpy as np
import onnxruntime


def resident():
    with open("/proc/self/status", encoding="utf-8") as file:  # of Linux alone
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))


def main(model=None, clips=None):
    if model is None:
        return {"resident": resident()}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    loaded = resident()
    logits, taken = [], []
    for index, x in enumerate(np.load(clips, mmap_mode="r")):
        inputs = {"x": np.array(x[None]), "mask": np.ones((1, len(x)), bool)}
        start = time.perf_counter()
        logits.append(session.run(["logits"], inputs)[0][0].tolist())
        taken.append(time.perf_counter() - start)
        if index == 0:
            running = resident()
    return {"resident": loaded, "running": running, "seconds": float(np.median(taken)), "logits": logits}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
