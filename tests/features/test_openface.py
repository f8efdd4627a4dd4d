import pickle

import pytest
import torch

from lgrin.features import extract
from lgrin.features.extractor import SignalError, SignalWarning, from_settings
from lgrin.features.faces import normalize_landmarks
from lgrin.features.openface import LANDMARK_COLUMNS, OpenFace

pytest.importorskip("pandas")

STATE = ["frame", "face_id", "timestamp", "confidence", "success"]
HEADER = [
    *STATE,
    "gaze_0_x",
    *[f"x_{i}" for i in range(68)],
    *[f"y_{i}" for i in range(68)],
    *[f"X_{i}" for i in range(68)],
    "AU45_c",
]


def row(frame, face=0, confidence=0.98, success=1, rate=25, shift=0.0):
    """A row in OpenFace's order of columns: x of point i is 10 i, y is 10 i + 1, both shifted."""
    state = [frame, face, round((frame - 1) / rate, 3), confidence, success]
    xs = [10 * i + shift for i in range(68)]
    return [*state, 0.1, *xs, *[x + 1 for x in xs], *[0.0] * 68, 0.0]


def table(*rows, header=HEADER, comma=", ", end="\n"):
    return "\n".join(comma.join(map(str, line)) for line in (header, *rows)) + end


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "face.csv"
        path.write_text(text)
        return path

    return write


def without(name, *rows):
    column = HEADER.index(name)
    return table(*[line[:column] + line[column + 1 :] for line in rows], header=[c for c in HEADER if c != name])


@pytest.mark.parametrize(("comma", "end"), [(", ", "\n"), (",", "\n"), (",", "")])
def test_points_are_interleaved_and_in_order(write, comma, end):
    x, mask, frame_rate = OpenFace()(write(table(*[row(t, shift=t) for t in (1, 2, 3)], comma=comma, end=end)))
    assert x.shape == (3, 136)
    assert mask.all()
    assert frame_rate == pytest.approx(25)
    expected = torch.tensor([[10.0 * i + axis for i in range(68) for axis in (0, 1)]]) + torch.tensor([[1.0], [2], [3]])
    assert torch.equal(x, expected)
    assert LANDMARK_COLUMNS[:4] == ["x_0", "y_0", "x_1", "y_1"]


def test_tables_without_a_column_of_success_are_judged_by_confidence(write):
    path = write(without("success", row(1), row(2, confidence=0.0), row(3)))
    assert OpenFace(min_confidence=0.5)(path).mask.tolist() == [True, False, True]
    assert OpenFace()(path).mask.all()


@pytest.mark.parametrize("rate", [25, 30000 / 1001, 60, 12.5])
def test_the_frame_rate_survives_rounded_timestamps(write, rate):
    path = write(table(*[row(t, rate=rate) for t in range(1, 301)]))
    assert OpenFace()(path).frame_rate == pytest.approx(rate, rel=2e-4)


def test_frames_without_a_face_and_frames_left_out_are_missing_in_place(write):
    rows = [row(1), row(2, success=0), row(3, confidence=0.3), row(6)]
    path = write(table(*rows))
    assert OpenFace()(path).mask.tolist() == [True, False, True, False, False, True]
    x, mask, frame_rate = OpenFace(min_confidence=0.5)(path)
    assert mask.tolist() == [True, False, False, False, False, True]
    assert x[~mask].isnan().all()
    assert frame_rate == pytest.approx(25)


def test_frames_missing_at_the_end_are_frames(write):
    assert OpenFace()(write(table(row(1), row(2), row(3, success=0)))).mask.tolist() == [True, True, False]


def test_the_surest_of_several_faces_counts(write):
    rows = [
        row(1, face=0, confidence=0.5, shift=1),
        row(1, face=1, confidence=0.9, shift=2),
        row(1, face=2, confidence=0.95, success=0, shift=3),
        row(2, face=0, confidence=0.7, shift=4),
        row(2, face=1, confidence=0.7, shift=5),
    ]
    assert OpenFace()(write(table(*rows))).x[:, 0].tolist() == [2, 4]


def test_rows_may_be_in_any_order_and_face_id_absent(write):
    path = write(without("face_id", row(3, shift=3), row(1, shift=1), row(2, shift=2)))
    assert OpenFace()(path).x[:, 0].tolist() == [1, 2, 3]


def test_what_is_no_number_does_not_matter_where_there_is_no_face(write):
    lost = row(2, success=0)
    lost[HEADER.index("x_3")] = "-nan(ind)"
    assert OpenFace()(write(table(row(1), lost, row(3)))).mask.tolist() == [True, False, True]


def test_normalised_as_the_landmarks_of_a_video(write):
    path = write(table(row(1), row(2, success=0), row(3, shift=50)))
    raw, normalized = OpenFace()(path), OpenFace(normalize=True)(path)
    torch.testing.assert_close(normalized.x, normalize_landmarks(raw.x), equal_nan=True)
    torch.testing.assert_close(normalized.x[0], normalized.x[2], atol=1e-5, rtol=0)
    assert normalized.mask.tolist() == [True, False, True]


def replaced(name, value, frame=2):
    rows = [row(1), row(2), row(3)]
    rows[frame - 1][HEADER.index(name)] = value
    return table(*rows)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        ("\0\1\2", "it lacks frame, timestamp, confidence, x_0 and 135 more columns"),
        ("some text, of no use\n", "it lacks frame"),
        ("\n\n", "it lacks frame"),
        (table(), "it holds no row below its header"),
        (without("x_17", row(1), row(2)), "it lacks x_17, so it is no table of OpenFace's FeatureExtraction"),
        (without("timestamp", row(1), row(2)), "it lacks timestamp"),
        (table(row(1), row(2), row(3)[:40]), "row 3 holds 40 values for 211 columns"),
        (table(row(1), row(2)[:-1], row(3)), "row 2 holds 210 values for 211 columns"),
        (table(row(1), row(2), row(3) + [1, 2]), "row 3 holds 213 values for 211 columns"),
        (table(row(1), row(2)).replace("0.", "0,"), "row 1 holds 351 values for 211 columns"),
        (replaced("x_5", "abc"), "x_5 is 'abc' in row 2, which is not a number"),
        (replaced("y_67", ""), "y_67 is '' in row 2"),
        (replaced("y_67", "nan", frame=3), "y_67 is 'nan' in row 3"),
        (replaced("x_0", "inf"), "x_0 is 'inf' in row 2"),
        (replaced("confidence", "?"), r"confidence is '\?' in row 2"),
        (replaced("frame", "0"), "frame is 0 in row 2, which is none of 1, 2"),
        (replaced("frame", "1.5"), "frame is 1.5 in row 2"),
        (table(row(1), row(2, rate=1e9)), "its timestamps do not rise"),
        (table(row(1)), "its timestamps do not rise"),
        (table(row(1, success=0), row(2, success=0)), "no row of its 2 has a face with confidence 0"),
    ],
)
def test_what_cannot_be_used_says_why(write, text, reason):
    with pytest.raises(SignalError, match=reason):
        OpenFace()(write(text))


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "face.csv"
    path.write_bytes(bytes(range(128, 256)) * 10)
    with pytest.raises(SignalError, match="it is no text"):
        OpenFace()(path)


def test_every_cut_is_noticed_or_does_not_matter(write):
    text = table(row(1), row(2), row(3))
    whole = OpenFace()(write(text))
    for end in range(len(table(row(1), row(2))), len(text), 37):
        try:
            x, mask, _ = OpenFace()(write(text[:end]))
        except SignalError:
            continue
        assert torch.equal(x, whole.x[: len(x)])
        assert mask.all()


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_min_confidence_is_a_fraction(value):
    with pytest.raises(ValueError, match=r"min_confidence is .*; it has to lie between 0 and 1"):
        OpenFace(min_confidence=value)


def test_it_can_be_built_again(write):
    extractor = OpenFace(0.5, normalize=True)
    assert from_settings(extractor.settings) == extractor == pickle.loads(pickle.dumps(extractor))
    assert extractor.fingerprint != OpenFace(0.5).fingerprint


def two_people(frames=8):
    """Face 0 is surer and smaller, face 1 larger; which is surer alternates."""
    rows = []
    for frame in range(1, frames + 1):
        small, large = row(frame, 0, 0.98 if frame % 4 else 0.85, shift=frame), row(frame, 1, 0.9, shift=1000 + frame)
        for column in range(HEADER.index("x_0"), HEADER.index("X_0")):
            small[column] = 100 + (small[column] - 100) / 2
        rows += [small, large]
    return rows


@pytest.mark.parametrize(("face", "followed"), [("confident", 0), ("largest", 1)])
def test_one_of_several_people_is_followed_and_a_warning_says_which(write, face, followed):
    path = write(table(*two_people()))
    with pytest.warns(SignalWarning, match=f"several people are in view; face {followed} is followed"):
        x, mask, _ = OpenFace(face=face)(path)
    assert mask.all()
    assert (x[:, 0] > 900).tolist() == [bool(followed)] * 8
    assert torch.equal(x, OpenFace(face=followed)(path).x)


def test_a_face_may_be_chosen_by_its_number_and_is_missing_elsewhere(write, recwarn):
    rows = [*two_people(4), row(5, 1, shift=1005), row(6, 0, shift=6)]
    assert OpenFace(face=0)(write(table(*rows))).mask.tolist() == [True] * 4 + [False, True]
    with pytest.raises(SignalError, match="it has no face 7; its faces are 0, 1"):
        OpenFace(face=7)(write(table(*rows)))
    with pytest.raises(ValueError, match="face is 'smallest'; it may be 'confident', 'largest'"):
        OpenFace(face="smallest")
    assert not [warning for warning in recwarn if issubclass(warning.category, SignalWarning)]


def test_a_person_with_a_new_number_is_the_same_person(write, recwarn):
    rows = [*(row(t, 0, shift=t) for t in (1, 2, 3)), *(row(t, 5, shift=t) for t in (5, 6, 7))]
    x, mask, _ = OpenFace()(write(table(*rows)))
    assert mask.tolist() == [True, True, True, False, True, True, True]
    assert x[mask, 0].tolist() == [1, 2, 3, 5, 6, 7]
    assert not [warning for warning in recwarn if issubclass(warning.category, SignalWarning)]


@pytest.mark.parametrize("workers", [1, 2])
def test_what_an_extractor_decided_is_said_of_all_files_at_once(tmp_path, workers):
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text(table(*two_people(8 if name == "a" else 9)))
    with pytest.warns(SignalWarning, match=r"a\.csv: several people are in view; .*\n.*b\.csv: several people"):
        extract(OpenFace(), sorted(tmp_path.glob("*.csv")), workers=workers, progress=False)
