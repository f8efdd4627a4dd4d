"""ONNX files of layers on edge lists of any size, against the layers."""

import logging
import warnings

import onnxruntime
import pytest
import torch

from lgrin import LGrIN
from lgrin.graph import EdgeList
from lgrin.nn import GraphInception, GStarConv
from lgrin.ops import decompositions

FREE = torch.export.Dim.DYNAMIC


class OnFrames(torch.nn.Module):
    """What takes frames and a mask: at a tie the lowest frame wins, whichever node it is."""

    def __init__(self):
        super().__init__()
        self.layer, self.model = GraphInception(3, (4,)), LGrIN(3, 100, 2, branch_channels=(4,))

    def forward(self, x, edge_index, edge_weight, frame, mask):
        nodes = self.layer(x, EdgeList(edge_index, edge_weight, mask, frame))
        batch = torch.zeros_like(frame)
        place = {"frame": frame, "batch": batch, "mask": mask, "batch_size": 1}
        return nodes, self.model(x, edge_index, edge_weight, **place)


def graph(num_nodes, num_edges, count):
    torch.manual_seed(num_nodes)
    x, edge_index = torch.randn(num_nodes, 3).round(), torch.randint(num_nodes, (2, num_edges))
    return (x, edge_index, torch.randn(num_edges), torch.randperm(num_nodes), torch.rand(num_nodes) > 0.2)[:count]


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (lambda: GStarConv(3, 4), 3),
        (lambda: GraphInception(3, (4,)), 2),
        (lambda: GraphInception(3, (4,)), 3),
        (OnFrames, 5),
    ],
    ids=["conv", "inception", "weighted inception", "frames"],
)
def test_edge_lists_of_any_size_give_the_same_in_onnxruntime(make, count, tmp_path, monkeypatch):
    monkeypatch.setattr(logging.root.manager, "disable", logging.ERROR)
    torch.manual_seed(0)
    layer = make().eval()
    shapes = ({0: FREE}, {1: FREE}, {0: FREE}, {0: FREE}, {0: FREE})[:count]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(layer, graph(5, 9, count), dynamic_shapes=shapes)
        program = program.run_decompositions({**torch.export.default_decompositions(), **decompositions()})
        torch.onnx.export(program, dynamo=True, verbose=False, opset_version=20).save(tmp_path / "layer.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "layer.onnx")
    for size in ((5, 9), (8, 20), (40, 300)):
        inputs = graph(*size, count)
        names = [one.name for one in session.get_inputs()]
        outputs = session.run(None, {name: part.numpy() for name, part in zip(names, inputs, strict=True)})
        expected = layer(*inputs)
        for output, one in zip(outputs, expected if isinstance(expected, tuple) else (expected,), strict=True):
            torch.testing.assert_close(torch.from_numpy(output), one.detach(), rtol=0, atol=1e-5)
