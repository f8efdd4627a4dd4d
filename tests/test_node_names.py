"""``node`` is another name of ``frame``, for nodes that are sensors."""

import inspect
from importlib import import_module

import pytest
import torch

from lgrin import LGrIN, MultimodalLGrIN
from lgrin.baselines import BLSTM, GCN, SortReadout
from lgrin.nn import GraphReadout, LearnableAdjacency, LearnablePool
from lgrin.nn.pool import AttentionPool

X, PLACE, BATCH = torch.randn(5, 3), torch.tensor([4, 0, 2, 1, 3]), torch.tensor([0, 0, 0, 1, 1])
ADJACENCY, MODEL = LearnableAdjacency(5, init="uniform"), LGrIN(3, 5, 2).eval()
ATTENTION, RECURRENT, CONVOLUTION = AttentionPool(), BLSTM(3, 5, 2).eval(), GCN(3, 5, 2).eval()
MULTIMODAL = MultimodalLGrIN({"one": {"in_channels": 3, "num_nodes": 5}}, 2).eval()
EDGES = torch.tensor([[0, 1], [1, 2]])
CALLS = {
    "adjacency": lambda **place: ADJACENCY(batch=BATCH, **place).aggregate(X),
    "graph": lambda **place: ADJACENCY.graph(batch=BATCH, **place).aggregate(X),
    "edges": lambda **place: ADJACENCY.edges(batch=BATCH, **place)[1],
    "graph of one sequence": lambda **place: ADJACENCY.graph(**place).aggregate(X),
    "edges of one sequence": lambda **place: ADJACENCY.edges(**place)[1],
    "pool": lambda **place: LearnablePool(5)(X, batch=BATCH, **place),
    "attention pool": lambda **place: ATTENTION(X, batch=BATCH, **place),
    "readout": lambda **place: GraphReadout(5)(X, batch=BATCH, **place),
    "sort readout": lambda **place: SortReadout(5, k=2)(X, batch=BATCH, **place),
    "model": lambda **place: MODEL(X, batch=BATCH, **place),
    "model on edges": lambda **place: MODEL(X, EDGES, batch=BATCH, **place),
    "embedding": lambda **place: MODEL.embed(X, batch=BATCH, **place),
    "graphs": lambda **place: MODEL.graphs(X, batch=BATCH, **place),
    "salient frames": lambda **place: MODEL.salient_frames(X, batch=BATCH, **place),
    "modalities": lambda **place: MULTIMODAL({"one": {"x": X, "batch": BATCH, **place}}),
    "network of frames": lambda **place: RECURRENT(X, batch=BATCH, **place),
    "network of a graph": lambda **place: CONVOLUTION(X, EDGES, batch=BATCH, **place),
}


@pytest.mark.parametrize("name", CALLS)
def test_node_is_frame(name):
    assert torch.equal(CALLS[name](node=PLACE), CALLS[name](frame=PLACE))
    with pytest.raises(ValueError, match="frame and node were both given; they are two names of one argument"):
        CALLS[name](node=PLACE, frame=PLACE)


@pytest.mark.parametrize("module", ["nn", "models", "baselines"])
def test_whatever_takes_frame_takes_node(module):
    module = import_module(f"lgrin.{module}")
    methods = [
        method
        for name in module.__all__
        if inspect.isclass(getattr(module, name))
        for title, method in inspect.getmembers(getattr(module, name), inspect.isfunction)
        if not title.startswith("_") and "frame" in inspect.signature(method).parameters and title != "read"
    ]
    assert methods
    assert not [method.__qualname__ for method in methods if "node" not in inspect.signature(method).parameters]


def test_compiled_and_exported_programs_take_it():
    readout = GraphReadout(5)
    compiled = torch.compile(readout, fullgraph=True)
    assert torch.equal(compiled(X, node=PLACE, batch=BATCH, batch_size=2), readout(X, PLACE, BATCH, batch_size=2))
    place = {"node": PLACE, "batch": BATCH, "batch_size": 2}
    program = torch.export.export(MODEL, (X,), place).module()
    assert torch.allclose(program(X, **place), MODEL(X, frame=PLACE, batch=BATCH), atol=1e-6)
