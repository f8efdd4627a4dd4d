"""The means of equal parts of a sequence."""

import numpy as np
import pytest
import torch

from lgrin.models.places import places


def by_hand(x, count):
    """Every frame is cut into so many pieces that every part has whole ones."""
    return np.repeat(x, count, axis=0).reshape(count, len(x), -1).mean(1)


@pytest.mark.parametrize("length", [1, 2, 5, 7, 64, 99])
@pytest.mark.parametrize("count", [1, 3, 5, 16])
def test_they_are_means_of_equal_parts(length, count):
    x = torch.randn(length, 2, dtype=torch.double)
    found = places(x.unsqueeze(0), torch.ones(1, length, dtype=torch.bool), count)[0]
    assert np.allclose(found.numpy(), by_hand(x.numpy(), count))


def test_they_end_where_a_sequence_ends_and_missing_frames_do_not_count():
    x = torch.tensor([4.0, 0.0, 6.0, 0.0, 0.0]).view(1, 5, 1)
    present = torch.tensor([[True, False, True, False, False]])
    assert places(x, present, 3).flatten().tolist() == [4.0, 0.0, 6.0]
    assert places(x, present, 2).flatten().tolist() == [4.0, 6.0]
    assert not places(torch.zeros(1, 5, 1), torch.zeros(1, 5, dtype=torch.bool), 4).any()


def test_a_sequence_of_100_000_frames_keeps_its_digits():
    x = torch.randn(1, 100_000, 1)
    found = places(x, torch.ones(1, 100_000, dtype=torch.bool), 8)[0, :, 0]
    assert torch.allclose(found, x[0, :, 0].double().view(8, -1).mean(1).float(), atol=1e-6)
