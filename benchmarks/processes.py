"""The same training run in one process and in two: same global batch, dropout 0, missing frames."""

import json
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import row

STEPS = 50


def measure() -> list[dict]:
    rows = []
    for precision, steps, goal in (("64-true", STEPS, 1e-8), ("32-true", 1, 1e-5)):
        one, two = (losses(processes, precision) for processes in (1, 2))
        largest = max(abs(a - b) / abs(a) for a, b in zip(one[:steps], two[:steps], strict=True))
        title = f"two DDP processes against one, loss of {steps} steps, {precision}, ragged batches"
        rows.append(row(title, largest, "relative difference", goal))
    return rows


def losses(processes: int, precision: str) -> list[float]:
    """Trains in separate processes and returns the loss of the whole batch at each step."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-W", "ignore", "-m"]
        if processes > 1:
            command += ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
        command += ["benchmarks.processes", str(processes), precision, folder]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        found = json.loads((Path(folder) / "losses.json").read_text())
    assert len(found) >= STEPS
    return found


def train(processes: int, precision: str, folder: str) -> None:
    import torch
    import torch.distributed
    from lightning.pytorch import Callback
    from torch_geometric.data import Data

    from lgrin import LGrIN
    from lgrin.training import SequenceClassifier, fit

    class Losses(Callback):
        def __init__(self):
            self.found = []

        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            loss = outputs["loss"].detach().double() / processes
            if processes > 1:
                torch.distributed.all_reduce(loss)
            self.found.append(float(loss))
            if trainer.is_global_zero:
                (Path(folder) / "losses.json").write_text(json.dumps(self.found))

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    generator = torch.Generator().manual_seed(0)
    sequences = []
    for index in range(160):
        frame = torch.arange(int(torch.randint(30, 61, (1,), generator=generator)))
        frame = frame[torch.rand(len(frame), generator=generator) > 0.2]
        x = torch.randn(len(frame), 12, generator=generator) + index % 4
        sequences.append(Data(x=x, frame=frame, y=torch.tensor([index % 4])))
    if precision == "64-true":
        for sequence in sequences:
            sequence.x = sequence.x.double()
    torch.manual_seed(0)
    model = LGrIN(12, 60, 4, dropout=0.0).to(sequences[0].x.dtype)
    classifier = SequenceClassifier(model, num_sequences=160)
    options = {"epochs": 10, "batch_size": 32, "precision": precision, "progress": False, "device": "cpu"}
    fit(classifier, sequences, sequences[:8], folder, devices=processes, callbacks=[Losses()], **options)


if __name__ == "__main__":
    train(int(sys.argv[1]), *sys.argv[2:])
