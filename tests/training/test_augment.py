import pytest
import torch

from lgrin.training import Augment

LENGTHS = (7, 1, 30)
BATCH = torch.arange(3).repeat_interleave(torch.tensor(LENGTHS))
PLACE = torch.cat([torch.arange(length) for length in LENGTHS])


def test_a_window_is_a_part_of_its_own_sequence_in_order():
    x = torch.stack([BATCH.float(), PLACE.float()], dim=1)
    spans = []
    for seed in range(50):
        torch.manual_seed(seed)
        out, _ = Augment(crop=0.5)(x, BATCH, None, 3)
        assert torch.equal(out[:, 0], x[:, 0])
        steps = out[1:, 1] - out[:-1, 1]
        assert (steps[BATCH[1:] == BATCH[:-1]] >= 0).all()
        spans.append(float(out[BATCH == 2, 1].max() - out[BATCH == 2, 1].min()) / (LENGTHS[2] - 1))
    assert min(spans) < 0.6 < 0.9 < max(spans)
    assert min(spans) >= 0.5 - 1 / LENGTHS[2]


def test_the_mask_follows_its_frames():
    torch.manual_seed(0)
    mask = torch.rand(len(BATCH)) > 0.4
    x, moved = Augment(crop=0.6)(mask.float().unsqueeze(-1), BATCH, mask, 3)
    assert torch.equal(x.squeeze(-1), moved.float())


def test_a_shift_is_one_number_for_each_channel_of_a_sequence():
    torch.manual_seed(0)
    out, _ = Augment(shift=0.5)(torch.zeros(30_000, 2), torch.arange(10_000).repeat_interleave(3), None, 10_000)
    moves = out.view(10_000, 3, 2)
    assert torch.equal(moves[:, 0], moves[:, 2])
    assert abs(float(moves[:, 0].std()) - 0.5) < 0.02
    assert abs(float(torch.corrcoef(moves[:, 0].T)[0, 1])) < 0.05


def test_nothing_happens_in_evaluation_or_when_off():
    x = torch.randn(len(BATCH), 2)
    assert Augment(crop=0.5, shift=1.0).eval()(x, BATCH, None, 3)[0] is x
    assert Augment()(x, BATCH, None, 3)[0] is x


def test_frames_for_an_encoder_are_cut_but_do_not_move():
    torch.manual_seed(0)
    x = torch.arange(len(BATCH) * 4, dtype=torch.uint8).view(-1, 2, 2)
    out, _ = Augment(crop=0.5, shift=1.0)(x, BATCH, None, 3)
    assert out.dtype == torch.uint8
    assert {tuple(frame.flatten().tolist()) for frame in out} < {tuple(frame.flatten().tolist()) for frame in x}


@pytest.mark.parametrize("options", [{"crop": 1.0}, {"crop": -0.1}, {"shift": -1.0}, {"shift": float("nan")}])
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} is"):
        Augment(**options)


def test_a_window_without_a_present_frame_is_not_taken():
    torch.manual_seed(0)
    x, batch = torch.arange(40.0).unsqueeze(-1), torch.arange(40) // 20
    mask = torch.arange(40) % 20 == 0  # one frame of each, the first
    changes = Augment(crop=0.9)
    for _ in range(50):
        changed, left = changes(x, batch, mask)
        assert left[:20].any()
        assert left[20:].any()
        assert (changed[left] % 20 == 0).all()
    changed, left = changes(x, batch, torch.zeros(40, dtype=torch.bool))  # an absent modality
    assert not left.any()


@pytest.mark.parametrize("length", [len(BATCH) - 1, len(BATCH) + 1])
def test_what_does_not_fit_the_nodes_is_named(length):
    x, wrong = torch.randn(len(BATCH), 2), torch.ones(length, dtype=torch.bool)
    for batch, mask in ((BATCH, wrong), (wrong.long(), None)):
        with pytest.raises(
            ValueError, match=rf"batch has shape .*; both have one entry for each of the {len(x)} nodes"
        ):
            Augment(crop=0.5)(x, batch, mask, 3)
