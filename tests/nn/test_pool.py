import pytest
import torch

from lgrin.nn import GraphReadout, LearnablePool


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_long_sequences_are_counted_and_added_exactly_in_every_dtype(dtype):
    readout = GraphReadout(2000, ("mean", "sum"))
    x = torch.ones(2000, 1, dtype=dtype)
    expected = [[1.0, 2000.0]]
    assert readout(x).tolist() == expected
    assert readout(x, frame=torch.arange(2000), batch=torch.zeros(2000).long()).tolist() == expected


def test_missing_frames_add_nothing_and_p_is_not_renormalised():
    pool = LearnablePool(4, init="ones")
    x = torch.tensor([[[1.0], [2], [torch.nan], [4]]])
    assert pool(x, mask=torch.tensor([[True, True, False, True]])).item() == 7
    assert pool(torch.tensor([[2.0], [4]]), frame=torch.tensor([1, 3])).item() == 6


def test_starts_are_what_they_say():
    assert LearnablePool(4).weight.tolist() == [0.25] * 4
    assert LearnablePool(4, "ones").weight.tolist() == [1] * 4
    torch.manual_seed(0)
    p = LearnablePool(1000, "xavier").weight
    assert 0.95 * (6 / 1001) ** 0.5 < float(p.detach().abs().max()) <= (6 / 1001) ** 0.5


def test_an_empty_sequence_reads_out_as_zeros():
    readout = GraphReadout(3, ("max", "mean", "sum", "learned"))
    x = torch.full((2, 3, 1), -5.0)
    mask = torch.tensor([[True, True, True], [False, False, False]])
    assert readout(x, mask=mask)[1].tolist() == [0, 0, 0, 0]
    flat = readout(x[0], frame=torch.arange(3), batch=torch.zeros(3).long(), batch_size=2)
    assert flat[1].tolist() == [0, 0, 0, 0]
    assert flat[0].tolist() == readout(x, mask=mask)[0].tolist()


def test_a_penalty_refuses_an_unknown_reduction():
    with pytest.raises(ValueError, match=r"reduction is 'median'; it may be 'sum', 'mean'"):
        LearnablePool(4).penalty(reduction="median")
