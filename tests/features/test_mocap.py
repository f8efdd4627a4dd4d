import numpy as np
import pytest
import torch
from mocap_files import write_bvh, write_skeleton
from scipy.spatial.transform import Rotation, Slerp

from lgrin.features import Mocap, SignalError, from_settings

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


SIX = "Xposition Yposition Zposition Zrotation Xrotation Yrotation"
MIXED = {"Hips": SIX, "Spine": SIX, "Knee": "Xrotation", "Wrist": "Zrotation Yrotation", "Toe": "Yposition"}


def numbers(count, frames=5):
    return np.random.default_rng(0).uniform(-80, 80, (frames, count)).round(4)


@pytest.mark.parametrize(
    ("channels", "places"),
    [
        ("root", [0, 1, 2, 3, 4, 5, 9, 10, 11, 12, 13, 14]),
        ("rotations", [3, 4, 5, 9, 10, 11, 12, 13, 14]),
        ("positions", [0, 1, 2, 6, 7, 8, 15]),
        ("both", list(range(16))),
    ],
)
def test_joints_of_any_channels_are_read_as_they_stand(tmp_path, channels, places):
    values = numbers(16)
    path = write_skeleton(tmp_path / "a.bvh", MIXED, values)
    extractor = Mocap(channels=channels)
    assert np.allclose(extractor(path).x.numpy(), values[:, places], atol=1e-4)
    assert len(extractor.columns_of(path)) == len(places)
    assert extractor.columns_of(path)[-1] == (
        "Wrist.Yrotation" if channels in ("root", "rotations") else "Toe.Yposition"
    )


def test_positions_come_first_whatever_the_order_of_the_file(tmp_path):
    values = numbers(6)
    path = write_skeleton(
        tmp_path / "a.bvh", {"Hips": "Zrotation Xposition Xrotation Yposition Yrotation Zposition"}, values
    )
    assert np.allclose(Mocap()(path).x.numpy(), values[:, [1, 3, 5, 0, 2, 4]], atol=1e-4)
    assert Mocap().columns_of(path)[:4] == ("Hips.Xposition", "Hips.Yposition", "Hips.Zposition", "Hips.Zrotation")


def test_what_a_file_does_not_hold_is_refused(tmp_path):
    path = write_skeleton(tmp_path / "a.bvh", {"Hips": "Yrotation"}, numbers(1))
    with pytest.raises(SignalError, match="none of its channels is wanted by channels='positions'"):
        Mocap(channels="positions")(path)
    with pytest.raises(SignalError, match="its 1 joints have 1 channels, where joints of three rotations have 6"):
        Mocap(joints=1)(path)
    with pytest.raises(ValueError, match="channels is 'all'; it may be 'root', 'rotations', 'positions', 'both'"):
        Mocap(channels="all")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("CHANNELS 1 Yrotation", "CHANNELS 2 Yrotation"), "the channels of its joint Hips are"),
        (("CHANNELS 1 Yrotation", "CHANNELS 1 Yscale"), "the channels of its joint Hips are"),
        (("CHANNELS 1 Yrotation", "CHANNELS 2 Yrotation Yrotation"), "its joint Hips has a channel twice"),
        (("ROOT Hips", "JOINT Hips"), "a file holds one skeleton"),
        (("Frames: 5", "Frames: 6"), "it states 6 frames of 1 numbers, and holds 5 numbers"),
        (("Frames: 5", "Frames: 0"), "it states 0 frames"),
        (("End Site\n{", "End Site\n"), "its braces do not match"),
        (("MOTION", "MOVES"), "do not follow a line MOTION"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, change, reason):
    path = write_skeleton(tmp_path / "a.bvh", {"Hips": "Yrotation"}, numbers(1))
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(SignalError, match=rf"it cannot be read as BVH \(.*{reason}"):
        Mocap()(path)


def test_one_and_two_axes_are_resampled_the_short_way_and_three_along_arcs(tmp_path):
    joints = {"Hips": "Xposition Zrotation Xrotation Yrotation", "Knee": "Xrotation"}
    values = np.array([[0, 170, 20, 30, 175], [10, -170, -40, 60, -175]], float)
    x = Mocap(frame_rate=50, channels="both")(write_skeleton(tmp_path / "a.bvh", joints, values)).x.numpy()
    ends = Rotation.from_euler("ZXY", values[:, 1:4], degrees=True)
    middle = Slerp([0, 1], ends)([0.5])
    assert np.allclose(x[:, 4], [175, 180, 185], atol=1e-3)
    assert x[1, 0] == pytest.approx(5)
    assert (Rotation.from_euler("ZXY", x[1:2, 1:4], degrees=True).inv() * middle).magnitude().item() < 1e-5


def test_columns_are_put_into_an_order_by_their_names(tmp_path):
    one = {"Hips": SIX, "Left": "Zrotation Xrotation Yrotation", "Right": "Zrotation Xrotation Yrotation"}
    other = {"Hips": SIX, "Right": "Zrotation Xrotation Yrotation", "Left": "Zrotation Xrotation Yrotation"}
    values = numbers(12)
    first = write_skeleton(tmp_path / "a.bvh", one, values)
    second = write_skeleton(tmp_path / "b.bvh", other, values[:, [*range(6), 9, 10, 11, 6, 7, 8]])
    aligned = Mocap().aligned_to(Mocap().columns_of(first))
    assert torch.equal(aligned(second).x, Mocap()(first).x)
    assert from_settings(aligned.settings) == aligned
    assert aligned.num_features == 12
    third = write_skeleton(
        tmp_path / "c.bvh", {**one, "Right": "Zrotation Xrotation", "Tail": "Xrotation"}, numbers(12)
    )
    with pytest.raises(SignalError, match=r"it lacks Right\.Yrotation of the other files and has Tail\.Xrotation"):
        aligned(third)


def test_rotations_about_the_axes_in_another_order_are_the_same_rotations(tmp_path):
    values = numbers(3)
    first = write_skeleton(tmp_path / "a.bvh", {"Hips": "Zrotation Xrotation Yrotation"}, values)
    turned = Rotation.from_euler("ZXY", values, degrees=True)
    second = write_skeleton(
        tmp_path / "b.bvh", {"Hips": "Xrotation Yrotation Zrotation"}, turned.as_euler("XYZ", degrees=True)
    )
    found = Mocap().aligned_to(Mocap().columns_of(first))(second).x.numpy()
    assert (Rotation.from_euler("ZXY", found, degrees=True).inv() * turned).magnitude().max() < 1e-5
    two = [
        write_skeleton(tmp_path / f"{a}.bvh", {"Hips": f"{a}rotation {b}rotation"}, numbers(2)) for a, b in ("XY", "YX")
    ]
    with pytest.raises(SignalError, match="its joint Hips turns about YX, and in the other files about XY"):
        Mocap().aligned_to(Mocap().columns_of(two[0]))(two[1])


def test_joints_of_one_name_are_told_apart(tmp_path):
    path = write_skeleton(
        tmp_path / "a.bvh", {"Hips": "Yrotation", "Leg": "Yrotation", "Foot": "Yrotation"}, numbers(3)
    )
    path.write_text(path.read_text().replace("JOINT Foot", "JOINT Leg"))
    assert Mocap().columns_of(path) == ("Hips.Yrotation", "Leg.Yrotation", "Leg#2.Yrotation")
