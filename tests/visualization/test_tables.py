import numpy as np
import pytest
import torch

from lgrin.nn import LearnableAdjacency
from lgrin.visualization import Edge, Pair, pairs_heard_together, strongest_edges

TABLES = [strongest_edges, pairs_heard_together]


def test_the_strongest_edges_go_from_source_to_target():
    matrix = torch.tensor([[9.0, 1.0, 0.0], [-3.0, 0.0, 2.0], [0.0, 0.0, 0.0]])
    assert strongest_edges(matrix, ["a", "b", "c"]) == [Edge("a", "b", -3.0), Edge("c", "b", 2.0), Edge("b", "a", 1.0)]
    assert strongest_edges(matrix, count=1) == [Edge(0, 1, -3.0)]
    assert strongest_edges(torch.eye(3)) == []


def test_pairs_are_those_of_the_gram_matrix():
    matrix = torch.randn(5, 5)
    together = matrix.double().numpy().T @ matrix.double().numpy()
    upper = [(j, k) for j in range(5) for k in range(j + 1, 5)]
    expected = sorted(upper, key=lambda pair: -abs(together[pair]))
    found = pairs_heard_together(matrix, count=20)
    assert [(pair.first, pair.second) for pair in found] == expected
    assert np.allclose([pair.weight for pair in found], [together[pair] for pair in expected], atol=1e-5)


def test_pairs_do_not_depend_on_which_node_hears_them():
    matrix, names = torch.rand(6, 6), list("abcdef")
    pairs = pairs_heard_together(matrix, names, 5)
    moved = pairs_heard_together(matrix[torch.randperm(6)], names, 5)
    assert [pair[:2] for pair in pairs] == [pair[:2] for pair in moved]


def test_what_is_learned_has_a_table():
    adjacency = LearnableAdjacency(4, init=torch.tensor([[1.0, 1, 0, 0]]).expand(4, 4).contiguous())
    assert pairs_heard_together(adjacency) == [Pair(0, 1, 4.0)]
    assert len(strongest_edges(adjacency)) == 6


@pytest.mark.parametrize("table", TABLES)
def test_what_has_no_table_is_named(table):
    with pytest.raises(ValueError, match=r"adjacency is \[2, 3\]; it has to be a square matrix"):
        table(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="names has 2 entries, but the graph has 3 nodes"):
        table(torch.eye(3), ["a", "b"])
    with pytest.raises(ValueError, match="count is 0"):
        table(torch.eye(3), count=0)
