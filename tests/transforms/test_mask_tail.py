import pytest
import torch
from torch_geometric.data import Data

from lgrin.transforms import MaskTail


def frames(*values):
    return torch.tensor(values, dtype=torch.float32).unsqueeze(-1)


@pytest.mark.parametrize(
    ("values", "present"),
    [
        ((1, 2, 0, 0, 0), 2),
        ((1, 2, 0, 0), 4),  # fewer than three
        ((0, 0, 0, 1, 2), 5),
        ((1, 0, 0, 0, 2, 0, 0, 0, 0), 5),
        ((3,), 1),
        ((3, 3), 2),
    ],
)
def test_frames_that_equal_the_last_one_to_the_end_are_marked(values, present):
    data = MaskTail()(Data(x=frames(*values)))
    assert data.mask.tolist() == [True] * present + [False] * (len(values) - present)
    assert data.x.flatten().tolist() == list(values)


def test_frames_that_were_missing_stay_missing():
    data = MaskTail()(Data(x=frames(1, 2, 0, 0, 0), mask=torch.tensor([False, True, True, True, True])))
    assert data.mask.tolist() == [False, True, False, False, False]


def test_a_sequence_that_never_changes_has_nothing_left():
    with pytest.raises(ValueError, match=r"data\.x is the same in all present frames"):
        MaskTail()(Data(x=torch.ones(3, 1)))
    with pytest.raises(ValueError, match=r"data\.x has no frame"):
        MaskTail()(Data(x=torch.ones(0, 1)))
    with pytest.raises(ValueError, match="least is 0; it has to be a whole number"):
        MaskTail(0)
