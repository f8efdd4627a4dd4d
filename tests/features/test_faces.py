import http.server
import pickle
import re
import shutil
import threading
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
import torch

from lgrin.features.corpus import extract
from lgrin.features.detectors import load_detector
from lgrin.features.extractor import SignalError, from_settings
from lgrin.features.faces import FaceLandmarks, normalize_landmarks

av = pytest.importorskip("av")
pytest.importorskip("dlib")
data = pytest.importorskip("skimage.data")
transform = pytest.importorskip("skimage.transform")

HEIGHT, WIDTH = 360, 480
FACE = np.array([223.0, 120.0])  # centre of the face in the picture
dlib68 = FaceLandmarks("dlib")


def motion(scale=1.0, degrees=0.0, x=200.0, y=170.0):
    """The affine map that puts the centre of the face to (x, y), turned and scaled about it."""
    turn = np.deg2rad(degrees)
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.block([[linear, (np.array([x, y]) - linear @ FACE)[:, None]], [np.zeros((1, 2)), np.ones((1, 1))]])


def picture(map):
    picture = transform.warp(data.astronaut() / 255, np.linalg.inv(map), order=1, output_shape=(HEIGHT, WIDTH))
    return np.round(255 * picture).astype(np.uint8)


def write_video(path, pictures, codec="libx264", rate=25, rotation=0):
    options = {"crf": "5", "preset": "ultrafast"} if codec == "libx264" else {}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = {"mpeg4": "yuv420p", "ffv1": "yuv444p", "libx264": "yuv444p"}[codec]
        if codec == "mpeg4":
            stream.bit_rate = 20_000_000
        if rotation:
            stream.set_display_rotation(rotation)
        for image in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image))))
        container.mux(stream.encode())
    return path


def write_sound(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame) + stream.encode())
    return path


@pytest.fixture(scope="module")
def face():
    return picture(motion())


BLACK = np.zeros((HEIGHT, WIDTH, 3), np.uint8)


@pytest.mark.parametrize(
    "moves",
    [
        pytest.param([{"x": 200 + 5 * t, "y": 170 + 2 * t} for t in range(13)], id="shifted"),
        pytest.param([{"scale": 1 + 0.025 * t} for t in range(13)], id="scaled"),
        pytest.param([{"degrees": t} for t in range(-6, 7)], id="turned"),
        pytest.param(
            [{"scale": 1 + 0.02 * t, "degrees": t, "x": 200 + 5 * t, "y": 170 + t} for t in range(13)], id="all at once"
        ),
    ],
)
def test_points_move_as_the_face_does(tmp_path, moves):
    maps = [motion(**move) for move in moves]
    x, mask, _ = dlib68(write_video(tmp_path / "moving.mp4", [picture(map) for map in maps]))
    assert mask.tolist() == [True] * len(moves)
    points = torch.cat([x.unflatten(1, (68, 2)), torch.ones(len(x), 68, 1)], dim=-1).double().numpy()
    expected = points[0] @ (np.array(maps) @ np.linalg.inv(maps[0])).transpose(0, 2, 1)
    errors = np.linalg.norm(points - expected, axis=-1)
    assert errors.max() < 2
    assert errors.mean() < 0.6
    normalized = normalize_landmarks(x)
    assert (normalized - normalized[0]).abs().max() < 0.06  # of the distance between the eyes
    assert torch.equal(FaceLandmarks("dlib", normalize=True)(tmp_path / "moving.mp4").x, normalized)


def test_points_are_where_the_face_is(tmp_path, face):
    x = dlib68(write_video(tmp_path / "face.mp4", [face])).x.unflatten(1, (68, 2))[0]
    right_eye, left_eye, nose, chin = x[36:42].mean(0), x[42:48].mean(0), x[30], x[8]
    assert right_eye[0] < nose[0] < left_eye[0]
    assert right_eye[1] < nose[1] < chin[1]
    assert (x.mean(0) - torch.tensor([200.0, 180.0])).norm() < 15


@pytest.mark.parametrize("suffix", ["mp4", "mov", "avi", "mkv"])
def test_frames_without_a_face_are_missing_in_place(tmp_path, face, suffix):
    shows = [True, False, False, True, True, False]
    path = write_video(
        tmp_path / f"a.{suffix}", [face if there else BLACK for there in shows], "ffv1" if suffix == "mkv" else "mpeg4"
    )
    x, mask, _ = dlib68(path)
    assert mask.tolist() == shows
    assert x[~mask].isnan().all()
    assert x[mask].isfinite().all()
    assert FaceLandmarks("dlib", normalize=True)(path).mask.tolist() == shows


@pytest.mark.parametrize("rate", [25, Fraction(30000, 1001)])
@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "libx264"), ("avi", "mpeg4"), ("mkv", "ffv1")])
def test_every_frame_is_there_at_the_right_rate(tmp_path, face, suffix, codec, rate):
    path = write_video(tmp_path / f"a.{suffix}", [face, *[BLACK] * 36], codec, rate)
    x, mask, frame_rate = dlib68(path)
    assert x.shape == (37, 136)
    assert mask.nonzero().tolist() == [[0]]
    assert frame_rate == pytest.approx(float(rate), rel=1e-6)


@pytest.mark.parametrize("order", [1, -1], ids=["left", "right"])
def test_the_largest_face_wins(tmp_path, order):
    large, small = picture(motion(1.3, x=130))[:, 20:240], picture(motion(0.95, x=390))[:, 280:]
    both = np.concatenate([large, small][::order], axis=1)
    assert len(load_detector("dlib").find(both)) == 2
    x = dlib68(write_video(tmp_path / "two.mp4", [both])).x.unflatten(1, (68, 2))[0]
    place = 110 if order == 1 else 110 + small.shape[1]
    assert (x[:, 0] - place).abs().max() < 80
    assert x[16, 0] - x[0, 0] > 110  # as wide as the large one, the small one is 90


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_a_video_that_was_filmed_on_its_side_is_turned_upright(tmp_path, face, rotation):
    upright = dlib68(write_video(tmp_path / "upright.mp4", [face])).x
    stored = np.rot90(face, -rotation // 90)
    turned = dlib68(write_video(tmp_path / "turned.mp4", [stored], rotation=rotation)).x
    assert (turned - upright).norm(dim=-1).max() / 68**0.5 < 1


def test_normalisation_undoes_place_size_and_roll_exactly():
    points = torch.randn(5, 68, dtype=torch.cfloat, generator=torch.Generator().manual_seed(0)) * 50 + 200
    moved = points * torch.polar(torch.tensor(1.7), torch.tensor(0.3)) + (30 - 70j)
    first, second = (normalize_landmarks(torch.view_as_real(p).flatten(1)) for p in (points, moved))
    torch.testing.assert_close(first, second, atol=1e-4, rtol=1e-4)
    eyes = first.unflatten(1, (68, 2))[:, 36:48].unflatten(1, (2, 6)).mean(2)
    torch.testing.assert_close(eyes, torch.tensor([[-0.5, 0.0], [0.5, 0.0]]).expand(5, 2, 2), atol=1e-4, rtol=0)


def test_normalisation_leaves_the_face_upright():
    x = torch.zeros(1, 68, 2)
    x[:, 36:42], x[:, 42:48], x[:, 8] = torch.tensor([10.0, 20]), torch.tensor([30.0, 20]), torch.tensor([20.0, 60])
    assert normalize_landmarks(x.flatten(1)).unflatten(1, (68, 2))[0, 8].tolist() == pytest.approx([0, 2])


def test_normalisation_of_missing_frames_and_of_eyes_that_coincide():
    x = torch.rand(3, 136, generator=torch.Generator().manual_seed(0))
    x[1], x[2] = float("nan"), 1.0
    assert normalize_landmarks(x).isnan().all(1).tolist() == [False, True, True]


def test_a_video_without_a_face(tmp_path):
    with pytest.raises(SignalError, match=r"no face was found in any of its 12 frames"):
        dlib68(write_video(tmp_path / "black.mp4", [BLACK] * 12))


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "libx264"), ("mov", "mpeg4"), ("avi", "mpeg4")])
def test_a_video_that_was_cut(tmp_path, face, suffix, codec):
    path = write_video(tmp_path / f"a.{suffix}", [face] * 5, codec)
    content = path.read_bytes()
    for length in (len(content) - 1, len(content) - 500, len(content) // 2, 5000, 700, 60, 20):
        path.write_bytes(content[:length])
        with pytest.raises(SignalError, match=r"it is cut short|it cannot be decoded as video"):
            dlib68(path)


def test_a_cut_that_headers_do_not_tell_is_refused_when_nothing_is_left(tmp_path, face):
    path = write_video(tmp_path / "a.mkv", [face] * 2, "mpeg4")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(SignalError, match=r"it holds no frame of video|it cannot be decoded as video"):
        dlib68(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"this is a text\n" * 100, r"it cannot be decoded as video \(Invalid data found"),
        (np.random.default_rng(0).bytes(10_000), "it cannot be decoded as video"),
    ],
    ids=["empty", "text", "noise"],
)
@pytest.mark.parametrize("suffix", ["mp4", "avi", "mkv"])
def test_a_file_that_is_no_video(tmp_path, content, reason, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content)
    with pytest.raises(SignalError, match=reason) as caught:
        dlib68(path)
    assert caught.value.path == str(path)


def test_sound_without_pictures(tmp_path):
    with pytest.raises(SignalError, match="it holds no video"):
        dlib68(write_sound(tmp_path / "sound.mp4"))


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        dlib68(tmp_path / "none.mp4")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"detector": "opencv"}, "detector is 'opencv'; it may be 'face-alignment', 'dlib'"),
        ({"detector": "dlib", "device": "cuda"}, "device of detector 'dlib' is 'cuda'; it may be 'cpu'"),
        ({"device": "gpu"}, "device of detector 'face-alignment' is 'gpu'; it may be 'cpu', 'cuda', 'mps'"),
    ],
)
def test_options_that_do_not_exist(arguments, reason):
    with pytest.raises(ValueError, match=reason):
        FaceLandmarks(**arguments)


def test_it_can_be_built_again_and_knows_its_libraries():
    assert FaceLandmarks().detector == "face-alignment"
    assert from_settings(dlib68.settings) == dlib68 == pickle.loads(pickle.dumps(dlib68))
    assert dlib68.libraries[0] == "av"
    assert {"dlib", "dlib-bin"} & set(dlib68.libraries)
    assert len({dlib68.fingerprint, FaceLandmarks("dlib", normalize=True).fingerprint}) == 2


def test_many_videos_and_a_cache(tmp_path, face):
    paths = [write_video(tmp_path / "a.mp4", [face, BLACK]), write_video(tmp_path / "b.mp4", [BLACK])]
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"b\.mp4: no face was found in any of its 1 frames"):
            frames, failures = extract(dlib68, paths, tmp_path / "cache", on_error="skip", workers=1, progress=False)
        assert frames[0].mask.tolist() == [True, False]
        assert frames[1] is None
        assert list(failures) == [str(paths[1])]


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """The places of face-alignment's weights: two addresses, none of which anyone serves, and an empty cache."""
    api = pytest.importorskip("face_alignment.api")
    s3fd = pytest.importorskip("face_alignment.detection.sfd.sfd_detector")
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    load_detector.cache_clear()

    def point_to(server):
        monkeypatch.setitem(api.models_urls, "2DFAN-4", f"{server}/fan.pth")
        monkeypatch.setitem(s3fd.models_urls, "s3fd", f"{server}/s3fd.pth")

    point_to("http://127.0.0.1:9")
    yield point_to
    load_detector.cache_clear()
    shutil.rmtree(tmp_path / "hub", ignore_errors=True)  # 190 MB


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path):
    (tmp_path / "served").mkdir()
    handler = partial(Quiet, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
    shutil.rmtree(tmp_path / "served")


def test_face_alignment_fetches_its_weights_and_takes_the_largest_face(tmp_path, weights, server, monkeypatch):
    """The weights are random, so are the points; but boxes, crops and the way back to pixels are not."""
    fan = pytest.importorskip("face_alignment.models").FAN
    s3fd = pytest.importorskip("face_alignment.detection.sfd.net_s3fd").s3fd
    utils = pytest.importorskip("face_alignment.utils")
    for name in ("transform_np", "_get_preds_fromhm"):  # to compile them takes longer than all the rest
        function = getattr(utils, name)
        monkeypatch.setattr(utils, name, getattr(function, "py_func", function))
    torch.manual_seed(0)
    torch.save(fan(4).state_dict(), tmp_path / "served" / "fan.pth")
    torch.save(s3fd().state_dict(), tmp_path / "served" / "s3fd.pth")
    weights(server)
    image = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)
    path = write_video(tmp_path / "noise.mp4", [image], "mpeg4")
    assert not (tmp_path / "hub").exists()
    x, mask, _ = FaceLandmarks()(path)
    assert {file.name for file in tmp_path.glob("hub/*/*")} == {"fan.pth", "s3fd.pth"}
    assert x.shape == (1, 136)
    assert mask.all()

    detect = load_detector("face-alignment", "cpu")
    boxes = [np.array([100.0, 60, 110, 70, 0.99]), np.array([10.0, 20, 60, 70, 0.6])]
    monkeypatch.setattr(detect.network.face_detector, "detect_from_image", lambda image: boxes)
    points = detect(image)
    assert points.dtype == np.float32
    assert np.abs(points - [35, 39]).max() < 53  # the crop is twice as large as the box, here the second one
    assert np.ptp(points, axis=0).min() > 30  # larger than the crop of the first one
    boxes.clear()
    assert detect(image) is None
    with pytest.raises(SignalError, match="no face was found in any of its 1 frames"):
        FaceLandmarks()(path)


def test_face_alignment_without_a_network(tmp_path, face, weights):
    path = write_video(tmp_path / "face.mp4", [face])
    with pytest.raises(ConnectionError, match=r"could not fetch its weights .*or choose detector='dlib'") as caught:
        FaceLandmarks()(path)
    assert re.search(re.escape(str(tmp_path / "hub" / "checkpoints")), str(caught.value))


def test_face_alignment_with_damaged_weights(tmp_path, face, weights, server):
    for name in ("fan.pth", "s3fd.pth"):
        (tmp_path / "served" / name).write_bytes(b"PK\3\4 and no more")
    weights(server)
    path = write_video(tmp_path / "face.mp4", [face])
    with pytest.raises(RuntimeError, match=r"cannot read its weights .*; delete"):
        FaceLandmarks()(path)
