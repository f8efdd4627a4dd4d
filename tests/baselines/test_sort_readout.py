import numpy as np
import pytest
import torch
from competitors import ragged

from lgrin import LGrIN
from lgrin.baselines import SortReadout


@pytest.mark.parametrize("k", [1, 4, 15])
def test_it_keeps_the_largest_present_nodes(k):
    x, mask = ragged()
    readout = SortReadout(12, k=k)
    expected = np.zeros((3, k, 4))
    for row, sequence, present in zip(expected, x.numpy(), mask.numpy(), strict=True):
        nodes = sequence[present]
        nodes = nodes[np.argsort(-nodes[:, -1], kind="stable")][:k]
        row[: len(nodes)] = nodes
    assert np.array_equal(readout(x, mask=mask).numpy(), expected.reshape(3, -1))
    batch, frame = mask.nonzero(as_tuple=True)
    assert np.array_equal(readout(x[mask], frame, batch, batch_size=3).numpy(), expected.reshape(3, -1))
    assert np.array_equal(readout(x[0], mask=mask[0]).numpy(), expected.reshape(3, -1)[:1])


def test_empty_sequences_are_zero():
    x = torch.randn(2, 3, 4)
    assert not SortReadout(3, k=2)(x, mask=torch.zeros(2, 3, dtype=torch.bool)).any()
    half = torch.tensor([[False] * 3, [True] * 3])
    assert not SortReadout(3, k=2)(x, mask=half)[0].any()


def test_lgrin_takes_it_as_readout():
    torch.manual_seed(0)
    x, mask = ragged(dtype=torch.float32)
    model = LGrIN(4, 12, 3, branch_channels=(5,), readout=SortReadout(12, k=3))
    logits = model(x, mask=mask)
    assert logits.shape == (3, 3)
    logits.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    model.reset_parameters()
    batch, frame = mask.nonzero(as_tuple=True)
    flat = model.eval()(x[mask], frame=frame, batch=batch)
    assert torch.allclose(flat, model(x, mask=mask), rtol=1e-4, atol=1e-5)
