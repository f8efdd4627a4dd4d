"""Every option that is a number: what it may be is taken, in Python's numbers and NumPy's; what not, is named."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from lgrin import LGrIN
from lgrin.baselines import BLSTM, CNN, CNNLSTM, GCN, LSTMCTC, PatchyDiff, PatchySAN
from lgrin.datasets import from_arrays
from lgrin.export.card import latency
from lgrin.features import LogMel, Mocap, OpenFace
from lgrin.loader import BucketSampler
from lgrin.models import MultimodalLGrIN
from lgrin.nn import (
    GraphInception,
    GStarConv,
    LearnableAdjacency,
    LearnablePool,
    LGrINLoss,
    MaskedBatchNorm,
    MaskedInstanceNorm,
    StructureLoss,
    structure_loss,
)
from lgrin.sklearn import LGrINClassifier
from lgrin.training import (
    Augment,
    SequenceClassifier,
    affordable_nodes,
    enough_epochs,
    evaluate,
    fit,
    folds,
    group_split,
    outer_folds,
    stratified_split,
    train_and_test,
)
from lgrin.training.averaging import MovingAverage
from lgrin.training.statistics import (
    compare_over_groups,
    corrected_resampled_test,
    interval_at_limits,
    interval_over_groups,
    interval_over_recordings,
)
from lgrin.transforms import CyclicPad, MaskTail, Patches, Resample, Standardize
from lgrin.visualization import plot_timeline, save_figure

DATA = [Data(x=torch.rand(3, 2), y=torch.tensor([i % 2]), group=torch.tensor([i // 4])) for i in range(24)]
GROUPS = np.linspace(0.1, 0.9, 5)


def estimator(**options):
    X = np.random.default_rng(0).normal(size=(8, 2, 4))
    return LGrINClassifier(**{"branch_channels": (2,), "epochs": 1, **options}).fit(X, [0, 1] * 4)


def model():
    return LGrIN(2, 3, 2, branch_channels=(2,))


def run(**options):
    return fit(SequenceClassifier(model(), 24), DATA, [], Path("nowhere"), progress=False, **options)


WHOLE = {  # how each is passed
    "LGrIN in_channels": lambda value: LGrIN(value, 3, 2),
    "LGrIN num_nodes": lambda value: LGrIN(2, value, 2),
    "LGrIN num_classes": lambda value: LGrIN(2, 3, value),
    "LGrIN num_layers": lambda value: LGrIN(2, 3, 2, num_layers=value),
    "LGrIN head_channels": lambda value: LGrIN(2, 3, 2, head_channels=value),
    "LGrIN hidden_channels": lambda value: LGrIN(2, 3, 2, hidden_channels=value),
    "LGrIN branch_channels": lambda value: LGrIN(2, 3, 2, branch_channels=(value,)),
    "MultimodalLGrIN num_classes": lambda value: MultimodalLGrIN({"a": model()}, value),
    "MultimodalLGrIN head_channels": lambda value: MultimodalLGrIN({"a": model()}, 2, head_channels=value),
    "LearnableAdjacency num_nodes": lambda value: LearnableAdjacency(value),
    "LearnablePool num_nodes": lambda value: LearnablePool(value),
    "GStarConv in_channels": lambda value: GStarConv(value, 2),
    "GStarConv out_channels": lambda value: GStarConv(2, value),
    "GStarConv num_layers": lambda value: GStarConv(2, 2, num_layers=value),
    "GraphInception in_channels": lambda value: GraphInception(value),
    "MaskedBatchNorm num_features": lambda value: MaskedBatchNorm(value),
    "MaskedInstanceNorm num_features": lambda value: MaskedInstanceNorm(value),
    "LGrINLoss num_sequences": lambda value: LGrINLoss(value),
    "SequenceClassifier num_sequences": lambda value: SequenceClassifier(model(), value),
    "SequenceClassifier halve_every": lambda value: SequenceClassifier(model(), 1, halve_every=value),
    "fit epochs": lambda value: run(epochs=value),
    "fit batch_size": lambda value: run(batch_size=value),
    "fit patience": lambda value: run(patience=value),
    "fit devices": lambda value: run(devices=value),
    "fit hosts": lambda value: run(hosts=value),
    "train_and_test epochs": lambda value: train_and_test(model(), DATA, DATA, "nowhere", epochs=value),
    "train_and_test batch_size": lambda value: train_and_test(model(), DATA, DATA, "nowhere", batch_size=value),
    "evaluate batch_size": lambda value: evaluate(SequenceClassifier(model(), 24), DATA, batch_size=value),
    "enough_epochs num_sequences": lambda value: enough_epochs(value),
    "enough_epochs batch_size": lambda value: enough_epochs(24, value),
    "affordable_nodes longest": lambda value: affordable_nodes(value, 2, 2),
    "folds num_folds": lambda value: folds("paper", DATA, num_folds=value),
    "outer_folds num_folds": lambda value: outer_folds("paper", DATA, num_folds=value),
    "interval_over_recordings resamples": lambda value: interval_over_recordings(
        [0, 1], [0, 1], "uar", resamples=value
    ),
    "compare_over_groups resamples": lambda value: compare_over_groups(GROUPS, GROUPS + 0.1, resamples=value),
    "CyclicPad num_nodes": lambda value: CyclicPad(value),
    "Resample num_nodes": lambda value: Resample(value),
    "Patches num_nodes": lambda value: Patches(value, 2),
    "Patches width": lambda value: Patches(2, value),
    "MaskTail least": lambda value: MaskTail(value),
    "Standardize num_features": lambda value: Standardize(value),
    "BucketSampler batch_size": lambda value: BucketSampler([0], [1], value),
    "BucketSampler pool": lambda value: BucketSampler([0], [1], 1, pool=value),
    "from_arrays num_frames": lambda value: from_arrays([np.zeros((2, 2))], ["a"], num_frames=value),
    "LGrINClassifier n_channels": lambda value: estimator(n_channels=value),
    "LGrINClassifier num_nodes": lambda value: estimator(num_nodes=value),
    "LGrINClassifier epochs": lambda value: estimator(epochs=value),
    "LGrINClassifier patience": lambda value: estimator(patience=value),
    "LGrINClassifier batch_size": lambda value: estimator(batch_size=value),
    "LGrINClassifier branch_channels": lambda value: estimator(branch_channels=(value,)),
    "LogMel bands": lambda value: LogMel(bands=value),
    "Mocap joints": lambda value: Mocap(joints=value),
    "BLSTM in_channels": lambda value: BLSTM(value, 3, 2),
    "BLSTM hidden_channels": lambda value: BLSTM(2, 3, 2, hidden_channels=value),
    "LSTMCTC hidden_channels": lambda value: LSTMCTC(2, 3, 2, hidden_channels=value),
    "GCN hidden_channels": lambda value: GCN(2, 3, 2, hidden_channels=value),
    "PatchySAN field_size": lambda value: PatchySAN(2, 3, 2, field_size=value),
    "PatchyDiff hidden_channels": lambda value: PatchyDiff(2, 3, 2, hidden_channels=value),
    "plot_timeline num_edges": lambda value: plot_timeline(torch.rand(3, 3), num_edges=value),
    "save_figure dpi": lambda value: save_figure(plot_timeline(torch.rand(3, 3)), "nowhere.png", dpi=value),
    "latency runs": lambda value: latency(None, runs=value),
}
NUMBERS = {
    "structure_loss lambda_distance": lambda value: structure_loss(torch.rand(3, 3), lambda_distance=value),
    "structure_loss lambda_frobenius": lambda value: structure_loss(torch.rand(3, 3), lambda_frobenius=value),
    "StructureLoss lambda_distance": lambda value: StructureLoss(lambda_distance=value),
    "StructureLoss lambda_frobenius": lambda value: StructureLoss(lambda_frobenius=value),
    "LGrINLoss lambda_distance": lambda value: LGrINLoss(1, lambda_distance=value),
    "LGrINLoss lambda_frobenius": lambda value: LGrINLoss(1, lambda_frobenius=value),
    "LGrINLoss lambda_pool": lambda value: LGrINLoss(1, lambda_pool=value),
    "LearnableAdjacency threshold": lambda value: LearnableAdjacency(3).edges(threshold=value),
    "MaskedBatchNorm eps": lambda value: MaskedBatchNorm(2, eps=value),
    "MaskedBatchNorm momentum": lambda value: MaskedBatchNorm(2, momentum=value),
    "MaskedInstanceNorm eps": lambda value: MaskedInstanceNorm(2, eps=value),
    "GStarConv dropout": lambda value: GStarConv(2, 2, dropout=value),
    "LGrIN dropout": lambda value: LGrIN(2, 3, 2, dropout=value),
    "MultimodalLGrIN dropout": lambda value: MultimodalLGrIN({"a": model()}, 2, dropout=value),
    "MultimodalLGrIN modality_dropout": lambda value: MultimodalLGrIN({"a": model()}, 2, modality_dropout=value),
    "Augment crop": lambda value: Augment(crop=value),
    "Augment shift": lambda value: Augment(shift=value),
    "SequenceClassifier lr": lambda value: SequenceClassifier(model(), 1, lr=value),
    "SequenceClassifier weight_decay": lambda value: SequenceClassifier(model(), 1, weight_decay=value),
    "fit averaging": lambda value: run(averaging=value),
    "MovingAverage decay": lambda value: MovingAverage(value),
    "stratified_split fraction": lambda value: stratified_split(DATA, fraction=value),
    "group_split fraction": lambda value: group_split(DATA, fraction=value),
    "interval_at_limits level": lambda value: interval_at_limits([2], [2], level=value),
    "interval_over_groups level": lambda value: interval_over_groups(GROUPS, level=value),
    "interval_over_recordings level": lambda value: interval_over_recordings([0, 1, 0], [0, 1, 1], "uar", level=value),
    "compare_over_groups level": lambda value: compare_over_groups(GROUPS, GROUPS + 0.1, level=value),
    "corrected_resampled_test level": lambda value: corrected_resampled_test(GROUPS, 0.2, level=value),
    "corrected_resampled_test test_fraction": lambda value: corrected_resampled_test(GROUPS, value),
    "Mocap frame_rate": lambda value: Mocap(frame_rate=value),
    "OpenFace min_confidence": lambda value: OpenFace(min_confidence=value),
    "CNN dropout": lambda value: CNN(2, 30, 2, dropout=value),
    "CNNLSTM dropout": lambda value: CNNLSTM(2, 30, 2, dropout=value),
    "PatchySAN dropout": lambda value: PatchySAN(2, 30, 2, dropout=value),
    "PatchyDiff dropout": lambda value: PatchyDiff(2, 30, 2, dropout=value),
    "LGrINClassifier dropout": lambda value: estimator(dropout=value),
    "LGrINClassifier lr": lambda value: estimator(lr=value),
    "LGrINClassifier weight_decay": lambda value: estimator(weight_decay=value),
    "LGrINClassifier crop": lambda value: estimator(crop=value),
    "LGrINClassifier shift": lambda value: estimator(shift=value),
}
SEEDS = {
    "fit seed": lambda value: run(seed=value),
    "train_and_test seed": lambda value: train_and_test(model(), DATA, DATA, "nowhere", seed=value),
    "folds seed": lambda value: folds("paper", DATA, seed=value),
    "outer_folds seed": lambda value: outer_folds("paper", DATA, seed=value),
    "stratified_split seed": lambda value: stratified_split(DATA, seed=value),
    "group_split seed": lambda value: group_split(DATA, seed=value),
    "LGrINClassifier random_state": lambda value: estimator(random_state=value),
}
COUNTS = {
    "interval_over_recordings seed": lambda value: interval_over_recordings([0, 1], [0, 1], "uar", seed=value),
    "compare_over_groups seed": lambda value: compare_over_groups(GROUPS, GROUPS + 0.1, seed=value),
    "LearnableAdjacency bandwidth": lambda value: LearnableAdjacency(4, bandwidth=value),
    "Mocap skip": lambda value: Mocap(skip=value),
    "BucketSampler lengths": lambda value: BucketSampler([0], [value], 1),
}
CALLS = {**WHOLE, **NUMBERS, **COUNTS, **SEEDS}
NO_NUMBER = [float("nan"), float("inf"), -float("inf"), -1, True, "2", [1], 1j, np.float32("nan"), np.bool_(True)]
NO_WHOLE = [0, 2.5, np.float64(2), *NO_NUMBER]
NO_SEED = [-1, 2**40, 2.5, float("nan"), True, "2", np.int64(-1), np.bool_(True)]
BAD = [
    *((name, value) for name in WHOLE for value in NO_WHOLE),
    *((name, value) for name in NUMBERS for value in NO_NUMBER),
    *((name, value) for name in COUNTS for value in (2.5, *NO_NUMBER)),
    *((name, value) for name in SEEDS for value in NO_SEED),
]


@pytest.mark.parametrize("name", CALLS)
def test_what_is_no_number_of_the_right_kind_is_named(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _, value in (case for case in BAD if case[0] == name):
        with pytest.raises((TypeError, ValueError), match=rf"^{name.split()[1]}(\[0\])? is "):
            CALLS[name](value)
    assert not any(tmp_path.iterdir())
