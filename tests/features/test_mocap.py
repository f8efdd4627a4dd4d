import numpy as np
import pytest
import torch
from mocap_files import write_bvh

from lgrin.features import Mocap, SignalError

JOINTS, FRAMES = 23, 60


@pytest.fixture
def channels():
    random = np.random.default_rng(0)
    steps = random.normal(0, 1, (FRAMES, 3 + 3 * JOINTS))
    return np.cumsum(steps, axis=0).round(4)


def test_channels_are_read_as_they_stand(tmp_path, channels):
    x, mask, frame_rate = Mocap(joints=23)(write_bvh(tmp_path / "a.bvh", channels, frame_time=1 / 120))
    assert x.shape == (FRAMES, 72)
    assert np.allclose(x.numpy(), channels, atol=1e-4)
    assert mask.all()
    assert frame_rate == pytest.approx(120)


def test_the_ending_may_be_in_capitals(tmp_path, channels):
    assert torch.equal(
        Mocap()(write_bvh(tmp_path / "A.BVH", channels)).x, Mocap()(write_bvh(tmp_path / "b.bvh", channels)).x
    )


def test_any_skeleton_is_read_and_a_promised_one_is_checked(tmp_path, channels):
    path = write_bvh(tmp_path / "a.bvh", channels[:, :12], frame_time=0.04)
    assert Mocap()(path).x.shape == (FRAMES, 12)
    assert Mocap().num_features is None
    with pytest.raises(SignalError, match=r"a\.bvh: its skeleton has 3 joints, not joints=23"):
        Mocap(joints=23)(path)


def test_the_reference_pose_in_front_can_be_left_out(tmp_path, channels):
    path = write_bvh(tmp_path / "a.bvh", channels)
    assert torch.equal(Mocap(skip=1)(path).x, Mocap()(path).x[1:])
    with pytest.raises(SignalError, match="60 frames, and skip=60 leaves none"):
        Mocap(skip=60)(path)


@pytest.mark.parametrize("rate", [30, 60, 240])
def test_resampling_interpolates_positions_and_turns_the_short_way(tmp_path, rate):
    time = np.arange(121) / 120
    channels = np.zeros((121, 6))
    channels[:, 0] = 5 * time
    channels[:, 3] = (170 + 40 * time + 180) % 360 - 180  # passes from 180 to -180 degrees
    x, _, frame_rate = Mocap(frame_rate=rate)(write_bvh(tmp_path / "a.bvh", channels, frame_time=1 / 120))
    assert frame_rate == pytest.approx(rate)
    assert len(x) == rate + 1
    expected = np.arange(rate + 1) / rate
    assert np.allclose(x[:, 0], 5 * expected, atol=1e-4)
    assert np.abs(np.diff(x[:, 3])).max() < 2, "no jump from 180 to -180 degrees"
    turned = np.deg2rad(x[:, 3].numpy()) - np.deg2rad(170 + 40 * expected)
    assert np.abs(np.angle(np.exp(1j * turned))).max() < 1e-4


def test_broken_files_are_named_with_their_reason(tmp_path, channels):
    text = write_bvh(tmp_path / "whole.bvh", channels).read_text()
    (tmp_path / "truncated.bvh").write_text(text[: int(0.6 * len(text))])
    (tmp_path / "line.bvh").write_text(text.rsplit("\n", 2)[0])
    (tmp_path / "skeleton.bvh").write_text(text[: len(text) // 100])
    (tmp_path / "number.bvh").write_text(text.replace("Frame Time: ", "Frame Time: x"))
    (tmp_path / "nan.bvh").write_text(text[: text.rindex(" ")] + " nan\n")
    (tmp_path / "text.bvh").write_text("no motion at all\n")
    (tmp_path / "binary.bvh").write_bytes(bytes(range(256)))
    (tmp_path / "empty.bvh").write_text("")
    for name in ("truncated", "line", "skeleton", "number", "text", "binary"):
        with pytest.raises(SignalError, match=rf"{name}\.bvh: it cannot be read as BVH"):
            Mocap()(tmp_path / f"{name}.bvh")
    with pytest.raises(SignalError, match=r"nan\.bvh: it holds numbers that are not finite"):
        Mocap()(tmp_path / "nan.bvh")
    with pytest.raises(SignalError, match=r"empty\.bvh: it is empty"):
        Mocap()(tmp_path / "empty.bvh")
    with pytest.raises(ValueError, match="frame_rate is -1; it has to be a number larger than 0"):
        Mocap(frame_rate=-1)
