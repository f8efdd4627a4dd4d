import networkx as nx
import numpy as np
import torch
from competitors import ragged

from lgrin.baselines import GCN
from lgrin.baselines.gcn import normalized_adjacency


def test_gcn_equals_equation_3_in_numpy():
    torch.manual_seed(0)
    model, (x, mask) = GCN(4, 12, 3, hidden_channels=5).double(), ragged()
    for sequence, present, logits in zip(x, mask, model(x, mask=mask), strict=True):
        frame = present.nonzero().flatten()
        A = ((frame[:, None] - frame).abs() == 1).numpy() + np.eye(len(frame))
        scale = np.diag(A.sum(1) ** -0.5)
        H = sequence[present].numpy()
        for layer in (model.first, model.second):
            H = np.maximum(scale @ A @ scale @ H @ layer.weight.detach().numpy().T + layer.bias.detach().numpy(), 0)
        head = model.head.weight.detach().numpy() @ np.concatenate([H.max(0), H.mean(0)])
        assert np.allclose(logits.detach().numpy(), head + model.head.bias.detach().numpy(), rtol=1e-10)


def test_normalisation_equals_networkx():
    graph = nx.gnp_random_graph(9, 0.3, seed=0)
    adj = torch.tensor(nx.to_numpy_array(graph))
    graph.add_edges_from((node, node) for node in graph)
    expected = np.eye(9) - nx.normalized_laplacian_matrix(graph).toarray()
    assert np.allclose(normalized_adjacency(adj[None])[0].numpy(), expected)


def test_the_gradient_reaches_a_given_graph():
    adj = torch.rand(5, 5, requires_grad=True)
    GCN(2, 5, 2)(torch.randn(3, 5, 2), adj).sum().backward()
    assert adj.grad.abs().sum() > 0
