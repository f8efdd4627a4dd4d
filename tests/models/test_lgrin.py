import numpy as np
import pytest
import reference
import torch
from torch.nn import Module
from torch_geometric.utils import to_dense_adj

from lgrin import LGrIN
from lgrin.baselines import SortReadout
from lgrin.graph import DenseGraph
from lgrin.nn import Adjacency, GraphReadout, LearnableAdjacency, LGrINLoss
from lgrin.nn.inception import Neighborhood
from lgrin.nodes import Nodes

RML, IEMOCAP, MPI = (136, 90, 6), (35, 120, 4), (72, 120, 11)


def numpy(tensor):
    return tensor.detach().double().numpy()


def reference_logits(model, x):
    """Eq. (4)-(6) and one linear layer, for one sequence."""
    A, H = numpy(model.adjacency.weight), numpy(x)
    for layer in model.layers:
        branches = [[(numpy(lin.weight), numpy(lin.bias)) for lin in branch.lins] for branch in layer.branches]
        H = reference.inception(H, A, branches)
    linear = model.head[-1]
    return numpy(linear.weight) @ reference.readout(H, numpy(model.readout.learned.weight)) + numpy(linear.bias)


@pytest.mark.parametrize("size", [RML, IEMOCAP, MPI])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_paper_equals_its_equations_in_numpy(size, dtype, tolerance):
    torch.manual_seed(0)
    model = LGrIN.paper(*size).to(dtype)
    x = torch.randn(2, size[1], size[0], dtype=dtype)
    expected = np.array([reference_logits(model, sequence) for sequence in x])
    assert np.abs(numpy(model(x)) - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize("size", [RML, IEMOCAP, MPI])
def test_paper_loss_equals_equations_7_to_9(size):
    torch.manual_seed(0)
    model = LGrIN.paper(*size).double()
    x, labels, num_sequences = torch.randn(3, size[1], size[0]).double(), torch.tensor([0, 2, 1]), 720
    logits = model(x)
    penalty = reference.graph_loss(
        reference.relu(numpy(model.adjacency.weight)), numpy(model.readout.learned.weight), 0.1, 0.1, 1e-4
    )
    expected = (num_sequences / 3) * reference.cross_entropy_sum(numpy(logits), labels.tolist()) + penalty
    loss = LGrINLoss(num_sequences, reduction="sum")(logits, labels, model) * num_sequences
    assert float(loss) == pytest.approx(expected, rel=1e-10)


def test_released_equals_its_layers_in_numpy():
    torch.manual_seed(0)
    model = LGrIN.released(*RML).double().eval()
    x = torch.randn(2, 90, 136).double()
    for norm in [m for m in model.modules() if hasattr(m, "running_mean")]:
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    expected = []
    for sequence in x:
        H = (numpy(sequence) - numpy(model.input_norm.running_mean)) / np.sqrt(
            numpy(model.input_norm.running_var) + 1e-5
        )
        for layer in model.layers:
            parts = []
            for branch in layer.branches:

                def norm(index, h, norms=branch.norms):
                    n = norms[index]
                    scale = np.sqrt(numpy(n.running_var) + 1e-5)
                    return (h - numpy(n.running_mean)) / scale * numpy(n.weight) + numpy(n.bias)

                weights = [(numpy(lin.weight), numpy(lin.bias)) for lin in branch.lins]
                parts.append(reference.gstar(H, numpy(model.adjacency.weight), weights, norm))
            H = np.concatenate([*parts, reference.line_max(H)], axis=1)
        first, _, prelu, last = model.head
        h = numpy(first.weight) @ reference.readout(H, numpy(model.readout.learned.weight)) + numpy(first.bias)
        h = np.where(h > 0, h, numpy(prelu.weight) * h)
        expected.append(numpy(last.weight) @ h + numpy(last.bias))
    assert np.abs(numpy(model(x)) - expected).max() <= 1e-10 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("size", "paper", "released"), [(RML, 148_372, 930_972), (IEMOCAP, 111_584, 724_092), (MPI, 135_819, 803_483)]
)
def test_presets_have_exactly_the_parameters_of_the_design(size, paper, released):
    assert sum(p.numel() for p in LGrIN.paper(*size).parameters()) == paper
    assert sum(p.numel() for p in LGrIN.released(*size).parameters()) == released


@pytest.mark.parametrize(("size", "inner"), [(RML, 119_960), (IEMOCAP, 62_912), (MPI, 81_880)])
def test_released_inception_layers_have_the_parameters_that_the_paper_rounds(size, inner):
    assert sum(p.numel() for p in LGrIN.released(*size).layers.parameters()) == inner


def test_one_adjacency_is_shared_by_all_layers():
    model = LGrIN(3, 5, 2, num_layers=3)
    assert sum(isinstance(m, LearnableAdjacency) for m in model.modules()) == 1


def test_a_given_graph_replaces_the_learned_one_for_this_call():
    torch.manual_seed(0)
    model, x = LGrIN(3, 5, 2).eval(), torch.randn(4, 5, 3)
    before = model(x)
    assert torch.allclose(model(x, model.adjacency()), before, atol=1e-6)
    assert not torch.allclose(model(x, torch.zeros(5, 5)), before, atol=1e-3)
    assert torch.equal(model(x), before)


def test_dense_matrices_are_target_by_source_so_to_dense_adj_has_to_be_transposed():
    torch.manual_seed(0)
    model, x = LGrIN(3, 4, 2).eval(), torch.randn(4, 3)
    edge_index = torch.tensor([[0, 0, 1], [1, 2, 3]])
    adj = to_dense_adj(edge_index)[0]
    assert torch.allclose(model(x, adj.T), model(x, edge_index), atol=1e-6)
    assert not torch.allclose(model(x, adj), model(x, edge_index), atol=1e-3)


def test_salient_frame_wins_most_channels_and_the_lowest_wins_ties():
    model = LGrIN(2, 4, 2, branch_channels=(1,), num_layers=1, adjacency={"init": torch.zeros(4, 4)}, input_norm=False)
    model.layers[0].reset_parameters()
    for lin in model.layers[0].branches[0].lins:
        torch.nn.init.zeros_(lin.weight)
    model.eval()  # a branch that is constant is shared by all frames; the features decide the other two channels
    x = torch.tensor([[[0.0, 0], [0, 0], [5, 7], [1, 1]], [[0, 0], [9, 0], [0, 0], [0, 9]]])
    assert model.salient_frames(x).tolist() == [2, 1]
    frame = torch.tensor([3, 2, 1, 0])
    assert model.salient_frames(x, frame=frame).tolist() == [1, 0]


def test_a_neighbour_maximum_counts_for_all_who_hold_it():
    nodes = torch.tensor(
        [[[0.0, 7, 7], [1, 7, 7], [2, 7, 7], [7, 7, 7], [0, 0, 0]]]
    )  # two channels of neighbour maxima
    assert Nodes.read(nodes).stacked().salient().tolist() == [3]
    mask = torch.tensor([[True, True, True, False, True]])
    assert Nodes.read(nodes, mask=mask).salient().tolist() == [2]
    assert Nodes.read(nodes, mask=~mask & mask).salient().tolist() == [-1]
    flat = {"frame": torch.tensor([4, 3, 2, 1, 0]), "batch": torch.zeros(5, dtype=torch.long)}
    assert Nodes.read(nodes[0], **flat).salient().tolist() == [1]


def test_salient_frames_of_flat_sequences_are_frames_and_not_rows():
    model = LGrIN(1, 9, 2, branch_channels=(), adjacency={"init": torch.zeros(9, 9)}, input_norm=False).eval()
    x = torch.tensor([[1.0], [3], [2], [2], [8]])
    frame, batch = torch.tensor([0, 4, 8, 7, 6]), torch.tensor([0, 0, 0, 1, 1])
    assert model.salient_frames(x, frame=frame, batch=batch).tolist() == [4, 6]


def test_salient_frames_change_no_statistic_and_no_mode():
    model = LGrIN(3, 5, 2, branch_channels=(4,)).train()
    model.input_norm.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    x = torch.randn(4, 5, 3)
    frames = model.salient_frames(x)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert model.training
    assert not model.input_norm.training
    assert torch.equal(frames, model.eval().salient_frames(x))


def test_numpy_sizes_become_plain_ones_in_the_config():
    model = LGrIN(np.int64(3), np.int64(5), np.int64(2), head_channels=np.int64(4))
    assert all(type(model.config[name]) is int for name in ("in_channels", "num_nodes", "num_classes", "head_channels"))
    model = LGrIN(3, 5, 2, branch_channels=[np.int64(4)], dropout=np.float64(0.1), adjacency={"bandwidth": np.int64(1)})
    width, dropout = model.config["branch_channels"][0], model.config["dropout"]
    assert [type(one) for one in (width, dropout, model.config["adjacency"]["bandwidth"])] == [int, float, int]


@pytest.mark.parametrize(
    "options", [{"adjacency": {"nonnegativity": torch.exp}}, {"neighborhood": Neighborhood("line_max", True)}]
)
def test_arguments_that_no_file_holds_leave_no_config(options):
    assert LGrIN(3, 5, 2, **options).config is None


def test_no_sequences_give_no_logits():
    model = LGrIN(3, 5, 2, readout={"parts": ("max", "mean", "sum", "learned")}).eval()
    assert model(torch.randn(0, 5, 3)).shape == (0, 2)
    none = torch.zeros(0, dtype=torch.long)
    assert model(torch.randn(0, 3), frame=none, batch=none, batch_size=2).isfinite().all()


def test_graphs_of_any_size_need_no_frames_without_a_learned_part():
    torch.manual_seed(0)
    model = LGrIN(3, 4, 2, readout={"parts": ("max", "mean")}).eval()
    x, batch = torch.randn(9, 3), torch.tensor([0] * 7 + [1] * 2)
    edge_index = torch.tensor([[0, 6, 8], [6, 0, 7]])
    together = model(x, edge_index, batch=batch)
    alone = model(x[:7], edge_index[:, :2], batch=batch[:7])
    assert torch.allclose(together[:1], alone, atol=1e-6)


def test_config_rebuilds_the_model():
    model = LGrIN(3, 5, 2, branch_channels=(4,), adjacency={"bandwidth": 1}, readout={"parts": ("sum",)})
    again = LGrIN(**model.config)
    assert repr(again) == repr(model)
    again.load_state_dict(model.state_dict())


def test_a_registered_module_stores_its_settings_and_others_none():
    given = LGrIN(3, 5, 2, adjacency=LearnableAdjacency.from_dense(torch.rand(5, 5)), readout=SortReadout(5, k=2))
    assert given.config["adjacency"] == {"name": "LearnableAdjacency", **given.adjacency.config}
    assert given.config["readout"] == {"name": "SortReadout", "k": 2}
    again = LGrIN(**given.config)
    again.load_state_dict(given.state_dict())
    x = torch.randn(2, 5, 3)
    assert torch.equal(again.eval()(x), given.eval()(x))

    class Own(GraphReadout):
        pass

    assert LGrIN(3, 5, 2, readout=Own(5)).config is None


def test_reset_parameters_draws_every_weight_again():
    model = LGrIN.released(3, 5, 2)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.fill_(7)
    model.reset_parameters()
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        assert not (tensor == 7).any(), name


class NormedMean(Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(channels)

    def forward(self, x, frame=None, batch=None, mask=None, batch_size=None):
        return self.norm(x.mean(1))


class Alike(Adjacency):
    reads_features = True

    def weigh(self, nodes):
        x, _ = nodes.lay_out(self.num_nodes)
        return DenseGraph((x @ x.mT).relu())


def test_parts_that_have_nothing_to_draw_again_are_passed_over():
    model = LGrIN(3, 5, 2, branch_channels=(4,), num_layers=1, adjacency=Alike(5), readout=NormedMean(7))
    model.readout.norm.running_mean.fill_(7)
    model.reset_parameters()
    assert float(model.readout.norm.running_mean.abs().max()) == 0


def test_a_readout_is_measured_as_it_is_and_keeps_its_statistics():
    model = LGrIN(3, 5, 2, branch_channels=(4,), num_layers=1, readout=NormedMean(7).double())
    assert model.embed_channels == 7
    assert model.readout.norm.training
    assert int(model.readout.norm.num_batches_tracked) == 0
    assert LGrIN(3, 5, 2, readout=GraphReadout(5).double()).double()(torch.rand(1, 5, 3).double()).shape == (1, 2)


def test_modules_of_the_wrong_size_or_kind_are_refused():
    with pytest.raises(ValueError, match="adjacency was built for 4 nodes, but num_nodes=5"):
        LGrIN(3, 5, 2, adjacency=LearnableAdjacency(4))
    with pytest.raises(TypeError, match="readout is a str; it may be a module or the keywords of GraphReadout"):
        LGrIN(3, 5, 2, readout="max")
    with pytest.raises(ValueError, match="num_nodes is 0; it has to be a whole number, 1 or larger"):
        LGrIN(3, 0, 2)
