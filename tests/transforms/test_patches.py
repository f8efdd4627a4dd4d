import pytest
import torch
from torch_geometric.data import Data

from lgrin.transforms import Patches, from_settings


@pytest.mark.parametrize(("length", "num_nodes", "width"), [(9, 4, 3), (9, 9, 1), (2, 5, 4), (1, 1, 7), (100, 3, 16)])
def test_every_node_is_its_frame_with_the_frames_around_it(length, num_nodes, width):
    x = torch.arange(length * 2.0).view(length, 2)
    data = Patches(num_nodes, width)(Data(x=x, time=torch.arange(length) / 10))
    assert data.x.shape == (num_nodes, width, 2)
    assert data.frame.tolist() == list(range(num_nodes))
    for node in range(num_nodes):
        centre = round(node * (length - 1) / max(num_nodes - 1, 1))
        inside = [min(max(centre + k - width // 2, 0), length - 1) for k in range(width)]
        assert data.x[node].tolist() == x[inside].tolist()
        assert float(data.time[node]) == pytest.approx(centre / 10)


def test_a_piece_is_present_if_all_its_frames_are():
    data = Data(x=torch.tensor([[0.0], [1.0], [torch.nan], [3.0], [4.0]]))
    data.mask = data.x.isfinite().squeeze(-1)
    data = Patches(5, width=2)(data)
    assert data.mask.tolist() == [True, True, False, False, True]
    assert data.x[data.mask].isfinite().all()


def test_it_is_built_again_from_its_settings():
    assert from_settings(Patches(60, width=16).settings).settings == Patches(60, width=16).settings


def test_what_cannot_be_cut_is_refused():
    with pytest.raises(ValueError, match=r"data\.x has no frame"):
        Patches(3, 2)(Data(x=torch.zeros(0, 2)))
    with pytest.raises(ValueError, match="data has an edge_index"):
        Patches(3, 2)(Data(x=torch.zeros(4, 2), edge_index=torch.zeros(2, 1).long()))
    with pytest.raises(ValueError, match="width is 0; it has to be a whole number"):
        Patches(3, 0)
