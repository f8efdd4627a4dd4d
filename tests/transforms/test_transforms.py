import copy

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.transforms import Compose

from lgrin.nn import GStarConv
from lgrin.transforms import CyclicPad, FeatureDistanceGraph, LineGraph, Resample, Standardize


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
