import copy

import numpy as np
import pytest
import torch
from torch_geometric.data import Data, HeteroData
from torch_geometric.transforms import Compose

from lgrin.nn import GStarConv
from lgrin.transforms import (
    CyclicPad,
    FeatureDistanceGraph,
    LineGraph,
    MaskTail,
    Patches,
    Resample,
    Standardize,
    Thin,
    cyclic_pad,
    nodes,
    patches,
    resample,
    thin,
)


def sequence(length, **others):
    return Data(x=torch.arange(length, dtype=torch.float32).unsqueeze(-1), **others)


def frames(data):
    return data.x.flatten().long().tolist()


@pytest.mark.parametrize(("length", "expected"), [(1, [0] * 5), (2, [0, 1, 0, 1, 0]), (5, [0, 1, 2, 3, 4])])
def test_cyclic_padding_repeats_from_the_beginning(length, expected):
    data = CyclicPad(5)(sequence(length))
    assert frames(data) == expected
    assert data.frame.tolist() == [0, 1, 2, 3, 4]


def test_longer_sequences_are_cropped_or_resampled_on_request():
    assert frames(CyclicPad(4, longer="crop")(sequence(7))) == [0, 1, 2, 3]
    assert frames(CyclicPad(4, longer="resample")(sequence(7))) == [0, 2, 4, 6]


@pytest.mark.parametrize(
    ("length", "expected"), [(1, [0] * 4), (2, [0, 0, 1, 1]), (4, [0, 1, 2, 3]), (7, [0, 2, 4, 6])]
)
def test_resampling_spreads_frames_evenly(length, expected):
    assert frames(Resample(4)(sequence(length))) == expected


@pytest.mark.parametrize("transform", [CyclicPad(5), Resample(5)])
def test_missing_frames_stay_missing(transform):
    data = transform(sequence(3, mask=torch.tensor([True, False, True])))
    assert data.mask.tolist() == [frame != 1 for frame in frames(data)]


@pytest.mark.parametrize("transform", [CyclicPad(5), Resample(5), LineGraph(), FeatureDistanceGraph()])
def test_transforms_leave_the_original_alone(transform):
    data = sequence(3)
    before = copy.copy(data)
    transform(data)
    assert data.to_dict().keys() == before.to_dict().keys()
    assert torch.equal(data.x, before.x)


@pytest.mark.parametrize("transform", [Resample(4), Resample(2, "max"), Thin(2), CyclicPad(4), Patches(4, 2)], ids=repr)
def test_a_sequence_is_checked_once(transform, monkeypatch):
    def check(data):
        seen.append(data)
        return original(data)

    seen, original = [], nodes.check_sequence
    for module in (nodes, resample, thin, cyclic_pad, patches):
        monkeypatch.setattr(module, "check_sequence", check)
    transform(Data(x=torch.rand(3, 2)))
    assert len(seen) == 1


def test_the_line_graph_is_table_5s_binary_adjacency():
    data = LineGraph()(sequence(5))
    A = torch.tensor([[float(abs(i - j) == 1) for j in range(5)] for i in range(5)])
    layer = GStarConv(1, 2)
    assert torch.allclose(layer(data.x, data.edge_index), layer(data.x, A), atol=1e-6)


def test_the_line_graph_does_not_jump_over_frames_that_are_left_out():
    data = LineGraph()(Data(x=torch.zeros(3, 1), frame=torch.tensor([0, 1, 3])))
    assert data.edge_index.tolist() == [[1, 0], [0, 1]]


def test_absent_frames_get_no_line_edges():
    data = LineGraph()(sequence(4, mask=torch.tensor([True, True, False, True])))
    assert data.edge_index.tolist() == [[1, 0], [0, 1]]


def test_the_distance_graph_is_table_5s_weighted_adjacency():
    torch.manual_seed(0)
    data = FeatureDistanceGraph()(Data(x=torch.randn(4, 3)))
    expected = torch.cdist(data.x, data.x).square()
    for (j, i), weight in zip(data.edge_index.T, data.edge_weight, strict=True):
        assert float(weight) == pytest.approx(float(expected[i, j]), rel=1e-4)
    assert data.edge_index.size(1) == 12


def test_absent_frames_get_no_distance_edges():
    x = torch.tensor([[0.0], [torch.nan], [2.0]])
    data = FeatureDistanceGraph()(Data(x=x, mask=torch.tensor([True, False, True])))
    assert data.edge_index.tolist() == [[2, 0], [0, 2]]
    assert data.edge_weight.tolist() == [4.0, 4.0]


def test_standardize_measures_present_training_frames_and_is_saved_with_the_model():
    torch.manual_seed(0)
    data = [Data(x=torch.randn(4, 2) * 3 + 1, mask=torch.rand(4) > 0.3) for _ in range(5)]
    for one in data:
        one.x[~one.mask] = torch.nan
        one.x[:, 1] = 7
    frames = torch.cat([one.x[one.mask] for one in data])
    scale = Standardize(2).fit(data)
    assert scale(frames)[:, 0].mean().item() == pytest.approx(0, abs=1e-6)
    assert scale(frames)[:, 0].std(correction=0).item() == pytest.approx(1, rel=1e-5)
    assert scale(frames)[:, 1].abs().max() == 0, "a feature that never varies keeps its scale"
    again = Standardize(2)
    again.load_state_dict(scale.state_dict())
    assert torch.equal(again(frames), scale(frames))
    with pytest.raises(ValueError, match="x has 3 features, but num_features=2"):
        scale(torch.zeros(1, 3))
    with pytest.raises(ValueError, match=r"sequences\[1\] has 1 features a frame, but num_features=2"):
        Standardize(2).fit([Data(x=torch.zeros(1, 2)), Data(x=torch.zeros(1, 1))])
    with pytest.raises(ValueError, match="no present frame"):
        Standardize(2).fit([Data(x=torch.zeros(1, 2), mask=torch.tensor([False]))])


def test_reprs_say_every_setting_because_processed_files_are_named_after_them():
    shown = repr(Compose([CyclicPad(5, longer="crop"), Resample(3), LineGraph()]))
    assert "CyclicPad(5, longer='crop')" in shown
    assert "Resample(3)" in shown


LENGTHS = [
    CyclicPad(5),
    CyclicPad(2, longer="crop"),
    CyclicPad(2, longer="resample"),
    Resample(5),
    Resample(2),
    Resample(2, how="mean"),
    Resample(2, how="max"),
    Resample(2, how="lowpass"),
    Thin(2),
    Patches(4, 2),
]
ALL = [*LENGTHS, LineGraph(), FeatureDistanceGraph(), MaskTail(2)]


@pytest.mark.parametrize("transform", LENGTHS, ids=repr)
def test_whatever_has_one_entry_for_each_frame_follows_its_frames(transform):
    number = torch.arange(3)
    data = transform(
        sequence(
            3,
            mask=number != 1,
            time=number / 25,
            pos=number.unsqueeze(-1).expand(3, 2),
            confidence=number.double(),
            video_frame=number.numpy(),
            words=["a", "b", "c"],
            marks=("a", "b", "c"),
            y=torch.tensor([1]),
            group=torch.tensor([4]),
            weight=torch.tensor([0.1, 0.2]),
            name="abc",
            num_nodes=3,
        )
    )
    take = data.confidence.long()
    assert len(take) == len(data.x) == data.num_nodes
    assert take.max() > 0
    assert torch.equal(data.time, take / 25)
    assert torch.equal(data.pos[:, 1], take)
    assert np.array_equal(data.video_frame, take.numpy())
    assert data.words == ["abc"[index] for index in take]
    assert data.marks == tuple(data.words)
    assert data.frame.tolist() == list(range(len(take)))
    assert (data.y.tolist(), data.group.tolist(), data.name, len(data.weight)) == ([1], [4], "abc", 2)


@pytest.mark.parametrize("transform", LENGTHS, ids=repr)
@pytest.mark.parametrize("name", ["edge_index", "edge_attr", "edge_weight", "adj_t", "train_index", "face", "ptr"])
def test_what_a_new_length_would_break_is_named(transform, name):
    with pytest.raises(ValueError, match=f"data has an {name}, which this would break"):
        transform(sequence(3, **{name: torch.zeros(2, 3, dtype=torch.long)}))


@pytest.mark.parametrize("transform", LENGTHS, ids=repr)
def test_the_only_entry_beside_an_only_frame_may_belong_to_either(transform):
    data = transform(sequence(1, mask=torch.tensor([True]), time=torch.zeros(1), y=torch.tensor([1]), name="a"))
    assert (len(data.mask), len(data.time), data.y.tolist()) == (len(data.x), len(data.x), [1])
    for value in (torch.tensor([3]), ["a"]):
        with pytest.raises(ValueError, match=r"data\.speaker has one entry, and so has the sequence"):
            transform(sequence(1, speaker=value))


@pytest.mark.parametrize("transform", ALL, ids=repr)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask": torch.ones(4, dtype=torch.bool)}, r"data\.mask has shape \[4\], but data\.x has 3 frames"),
        ({"mask": torch.ones(2, dtype=torch.bool)}, r"data\.mask has shape \[2\], but data\.x has 3 frames"),
        ({"mask": torch.tensor(True)}, r"data\.mask has shape \[\], but data\.x has 3 frames"),
        ({"mask": torch.ones(3)}, r"data\.mask is torch\.float32 \[3\]; it has to be torch\.bool \[3\]"),
        ({"mask": torch.ones(3, 1, dtype=torch.bool)}, r"data\.mask is torch\.bool \[3, 1\]; it has to be"),
        ({"time": torch.zeros(4)}, r"data\.time has shape \[4\], but data\.x has 3 frames"),
        ({"frame": torch.arange(4)}, r"data\.frame has shape \[4\], but data\.x has 3 frames"),
        ({"x": torch.arange(3.0)}, r"data\.x has shape \[3\]; it has to be \[L, F\]: pass x\.unsqueeze"),
        ({"x": torch.tensor(3.0)}, r"data\.x has shape \[\]; it has to be \[L, F\]"),
        ({"x": None}, r"data\.x is None; it has to be a tensor"),
        ({"x": [[1.0], [2.0]]}, r"data\.x is a list; it has to be a tensor"),
        ({"batch": torch.tensor([0, 0, 1])}, "data is a batch of sequences; transform each before"),
    ],
)
def test_what_does_not_fit_the_frames_is_named(transform, changes, message):
    with pytest.raises((TypeError, ValueError), match=message):
        transform(Data(**{"x": torch.rand(3, 1), **changes}))


def test_several_modalities_are_transformed_before_they_are_joined():
    data = HeteroData()
    data["face"].x = torch.rand(3, 1)
    for transform in ALL:
        with pytest.raises(
            TypeError, match=r"data has several modalities; transform each before lgrin\.datasets\.join"
        ):
            transform(data)


def test_new_edges_leave_nothing_of_the_old_ones_behind():
    both = LineGraph()(FeatureDistanceGraph()(sequence(3)))
    assert "edge_weight" not in both
    assert both.edge_index.tolist() == LineGraph()(sequence(3)).edge_index.tolist()
    for transform in (LineGraph(), FeatureDistanceGraph()):
        with pytest.raises(ValueError, match="data has an edge_attr, which would not fit the new edges"):
            transform(sequence(3, edge_attr=torch.zeros(4, 2)))


def test_distances_are_of_finite_numbers():
    with pytest.raises(ValueError, match=r"data\.x\[1, 0\] is nan; mark such frames as absent"):
        FeatureDistanceGraph()(Data(x=torch.tensor([[0.0], [torch.nan]])))
    with pytest.raises(TypeError, match=r"x is torch\.int64"):
        FeatureDistanceGraph()(Data(x=torch.tensor([[0], [1]])))
    with pytest.raises(ValueError, match=r"data\.x has shape \[2, 3, 4\]; distances need \[L, F\]"):
        FeatureDistanceGraph()(Data(x=torch.zeros(2, 3, 4)))


def test_the_tail_of_pieces_is_masked_as_well():
    x = torch.tensor([1.0, 2.0, 0.0, 0.0]).view(4, 1, 1).expand(4, 2, 3)
    assert MaskTail(2)(Data(x=x)).mask.tolist() == [True, True, False, False]


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_standardize_refuses_what_is_not_finite(value):
    x = torch.rand(3, 2)
    x[1, 0] = value
    before = Standardize(2)
    with pytest.raises(ValueError, match=r"sequences\[1\]\.x\[1, 0\] is (nan|inf); mark such frames as absent"):
        before.fit([Data(x=torch.rand(3, 2)), Data(x=x)])
    assert before.mean.tolist() == [0, 0]
    assert Standardize(2).fit([Data(x=x, mask=torch.tensor([True, False, True]))]).mean.isfinite().all()
    for mask in (torch.ones(4, dtype=torch.bool), torch.ones(3)):
        with pytest.raises(ValueError, match=r"mask is torch.* it has to be torch\.bool \[3\]"):
            Standardize(2).fit([Data(x=torch.rand(3, 2), mask=mask)])
