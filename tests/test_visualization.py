import numpy as np
import torch
from matplotlib.figure import Figure

from lgrin.nn import LearnableAdjacency
from lgrin.visualization import plot_adjacency, plot_confusion, save_figure


def test_the_adjacency_is_drawn_as_it_is():
    adjacency = LearnableAdjacency(4)
    ax = Figure().add_subplot()
    assert plot_adjacency(adjacency, ax=ax) is ax
    assert np.array_equal(ax.images[0].get_array(), adjacency().detach().numpy())
    assert ax.images[0].norm.vmin == 0


def test_the_confusion_matrix_shows_parts_of_the_true_class_and_counts():
    ax = plot_confusion(torch.tensor([[3, 1], [0, 2]]), ["calm", "happy"])
    assert np.allclose(ax.images[0].get_array(), [[0.75, 0.25], [0, 1]])
    assert {(text.get_position(), text.get_text()) for text in ax.texts} == {
        ((0, 0), "3"),
        ((1, 0), "1"),
        ((1, 1), "2"),
    }
    assert [label.get_text() for label in ax.get_yticklabels()] == ["calm", "happy"]


def test_pictures_are_written_whole(tmp_path):
    save_figure(plot_adjacency(torch.eye(3)), tmp_path / "deep" / "a.png")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.png"]
