"""Models in PyG's own tools: its loader, its explainers, its summary, networkx, and graphs that bring their edges."""

import networkx
import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.explain import Explainer, GNNExplainer
from torch_geometric.loader import DataLoader
from torch_geometric.nn import summary
from torch_geometric.utils import from_networkx, to_networkx

from lgrin import LGrIN


def ragged(count):
    """Sequences of 3 to 6 frames with some left out."""
    generator = torch.Generator().manual_seed(0)
    for index in range(count):
        frame = torch.randperm(6, generator=generator)[: 3 + index % 4].sort()[0]
        yield Data(x=torch.randn(len(frame), 4, generator=generator), frame=frame, y=torch.tensor([index % 2]))


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_the_loader_s_batches_give_what_each_sequence_gives_alone(batch_size):
    torch.manual_seed(0)
    model, sequences = LGrIN(4, 6, 2, branch_channels=(8, 4)).eval(), list(ragged(8))
    alone = torch.cat([model(data.x.unsqueeze(0), frame=data.frame.unsqueeze(0)) for data in sequences])
    loader = DataLoader(sequences, batch_size)
    batched = [model(one.x, frame=one.frame, batch=one.batch, batch_size=one.num_graphs) for one in loader]
    assert torch.allclose(torch.cat(batched), alone, atol=1e-5)


@pytest.mark.parametrize("node_mask_type", ["object", "attributes"])
def test_the_default_model_is_explained_by_nodes_and_edges_of_a_batch(node_mask_type):
    torch.manual_seed(0)
    model, sequences = LGrIN(4, 6, 2).eval(), list(ragged(3))
    batch = next(iter(DataLoader(sequences, 3)))
    edge_index, edge_weight = model.adjacency.edges(batch.frame, batch.batch)
    explainer = Explainer(
        model,
        algorithm=GNNExplainer(epochs=5),
        explanation_type="model",
        node_mask_type=node_mask_type,
        edge_mask_type="object",
        model_config={"mode": "multiclass_classification", "task_level": "graph", "return_type": "raw"},
    )
    place = {"frame": batch.frame, "batch": batch.batch}
    explanation = explainer(batch.x, edge_index, index=1, edge_weight=edge_weight.detach(), **place)
    assert explanation.validate()
    mine = batch.batch[edge_index[0]] == 1
    assert explanation.edge_mask[mine].sum() > 0
    assert explanation.edge_mask[~mine].sum() == 0, "edges of other sequences explain nothing of this one"
    assert torch.equal(model(batch.x, edge_index, edge_weight, **place), explainer.get_prediction(
        batch.x, edge_index, edge_weight=edge_weight, **place))  # fmt: skip


def test_the_summary_counts_every_parameter_of_every_layer():
    model, x = LGrIN(4, 6, 2, branch_channels=(8, 4)), torch.randn(3, 6, 4)
    table = summary(model, x, max_depth=2)
    assert f"{sum(p.numel() for p in model.parameters()):,}" in table
    for name in ("MaskedBatchNorm", "GraphInception", "GraphReadout", "[3, 6, 4]", "[3, 2]"):
        assert name in table


@pytest.mark.parametrize("bandwidth", [None, 2])
def test_the_learned_graph_becomes_a_networkx_graph_with_its_weights(bandwidth):
    torch.manual_seed(0)
    model = LGrIN(4, 6, 2, adjacency={"init": "normal" if bandwidth is None else "temporal", "bandwidth": bandwidth})
    edge_index, edge_weight = model.adjacency.edges()
    graph = to_networkx(Data(edge_index=edge_index, weight=edge_weight.detach(), num_nodes=6), edge_attrs=["weight"])
    adjacency = model.adjacency().detach()
    assert graph.number_of_edges() == int((adjacency > 0).sum())
    for source, target, weight in graph.edges(data="weight"):
        assert weight == pytest.approx(float(adjacency[target, source]))
    matrix = torch.from_numpy(networkx.to_numpy_array(graph).T).float()
    assert torch.allclose(matrix, adjacency)


def families(count, seed):
    """Graphs grown by preferential attachment, and rings with shortcuts; 20 to 40 nodes, about two edges a node."""
    graphs = []
    for index in range(count):
        size = 20 + (7 * index) % 21
        if index % 2:
            graph = networkx.barabasi_albert_graph(size, 2, seed=seed + index)
        else:
            graph = networkx.watts_strogatz_graph(size, 4, 0.3, seed=seed + index)
        graphs.append(
            Data(x=torch.ones(size, 1), edge_index=from_networkx(graph).edge_index, y=torch.tensor([index % 2]))
        )
    return graphs


def test_two_families_of_graphs_are_told_apart_by_their_own_edges():
    torch.manual_seed(0)
    model = LGrIN(1, 40, 2, branch_channels=(16, 8), input_norm=False, readout={"parts": ("max", "mean")})
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(15):
        for batch in DataLoader(families(80, seed=0), 16, shuffle=True):
            optimizer.zero_grad()
            logits = model(batch.x, batch.edge_index, batch=batch.batch)
            torch.nn.functional.cross_entropy(logits, batch.y).backward()
            optimizer.step()
    test = next(iter(DataLoader(families(100, seed=10_000), 100)))
    model.eval()
    accuracy = (model(test.x, test.edge_index, batch=test.batch).argmax(1) == test.y).float().mean()
    assert accuracy > 0.95
    without = model(test.x, test.edge_index[:, :0], batch=test.batch).argmax(1)
    assert len(without.unique()) == 1, "nothing but the edges tells them apart"
    assert model.adjacency.weight.grad is None
