"""The competitors at sizes that suit a test, and sequences to run them on."""

import torch

from lgrin.baselines import BASELINES

SMALL = {
    "BLSTM": {"hidden_channels": 8},
    "GCN": {"hidden_channels": 8},
    "PatchySAN": {},
    "PatchyDiff": {"num_clusters": 5},
    "CNN": {},
    "CNNLSTM": {},
    "LSTMCTC": {"hidden_channels": 8},
}
GRAPHS = ("GCN", "PatchySAN", "PatchyDiff")


def build(name, in_channels=4, num_nodes=12, num_classes=3):
    torch.manual_seed(0)
    return BASELINES[name](in_channels, num_nodes, num_classes, **SMALL[name])


def ragged(batch_size=3, num_nodes=12, channels=4, dtype=torch.float64):
    """Sequences of unequal length with missing frames: padded ``x``, which is NaN where one is missing, and mask."""
    generator = torch.Generator().manual_seed(1)
    mask = torch.rand(batch_size, num_nodes, generator=generator) > 0.2
    mask &= torch.arange(num_nodes) < torch.tensor([num_nodes, num_nodes // 2, num_nodes - 2])[:, None]
    mask[:, 0] = True
    x = torch.randn(batch_size, num_nodes, channels, generator=generator, dtype=dtype)
    return x.masked_fill(~mask.unsqueeze(-1), torch.nan), mask
