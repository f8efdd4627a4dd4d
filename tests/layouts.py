"""The same sequences in every layout, for tests that hold the layouts against each other."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor

from lgrin.graph import LAYOUTS
from lgrin.nn import LearnableAdjacency

VARIANTS = {  # what a layout is tested as, beside its own name
    "ragged": ("ragged", "ragged with absent nodes", "ragged banded"),
    "edges": ("edges", "edges with absent nodes"),
}


def kinds():
    """Every layout of the library, in all its variants; the dense one first."""
    held = [layout for layout in LAYOUTS if layout != "stationary"]  # one kernel for all rows holds no given matrix
    return [kind for layout in held for kind in VARIANTS.get(layout, (layout,))]


KINDS = tuple(kinds())


def is_made_from_matrix(kind):
    """Whether the tests make this layout by its ``from_dense``, as CONTRIBUTING.md asks of a new one."""
    return kind in LAYOUTS and kind not in VARIANTS and kind not in ("dense", "banded")


def can_hold(kind, normalize=None, **options):
    """Whether a layout can hold an adjacency with these options.

    ``"present"`` scales the rows of each sequence by the frames that it has, which one matrix for all cannot hold.
    """
    return normalize != "present" or not is_made_from_matrix(kind)


@dataclass
class PaddedBatch:
    """B sequences of at most M frames; ``x`` is NaN where a frame is absent."""

    x: Tensor
    mask: Tensor
    weight: Tensor
    bandwidth: int

    @property
    def num_nodes(self):
        return self.x.size(1)

    def adjacency(self, kind, **options):
        bandwidth = self.bandwidth if "banded" in kind else None
        return LearnableAdjacency.from_dense(self.weight, bandwidth=bandwidth, **options)

    def inputs(self, kind, adjacency):
        """The features, the adjacency arguments of a layer and the placement arguments of a readout."""
        if kind in ("dense", "banded"):
            return self.x, (adjacency.graph(mask=self.mask),), {"mask": self.mask}
        if is_made_from_matrix(kind):
            assert can_hold(kind, adjacency.normalize)
            return self.x, (LAYOUTS[kind].from_dense(adjacency(), self.mask),), {"mask": self.mask}
        batch, frame = self.mask.nonzero(as_tuple=True)
        x, mask, size = self.x[self.mask], None, self.x.size(0)
        if "absent" in kind:
            batch, frame = torch.ones_like(self.mask).nonzero(as_tuple=True)
            x, mask = self.x.flatten(0, 1), self.mask.flatten()
            junk = torch.tensor([0, -1, 99])[torch.arange(len(frame)) % 3]
            frame = torch.where(mask, frame, junk if "ragged" in kind else frame)  # an absent node's frame is nothing
        place = {"frame": frame, "batch": batch, "mask": mask, "batch_size": size}
        if "edges" in kind:
            told = mask if adjacency.normalize == "present" else None  # else layers leave them out
            return x, (*adjacency.edges(frame, batch, mask=told), mask), place
        return x, (adjacency.graph(**place),), place

    def run(self, model, kind, adjacency):
        """What a model gives for these sequences on this adjacency."""
        x, graph, place = self.inputs(kind, adjacency)
        if is_made_from_matrix(kind):
            return model(x, *graph)
        return model(x, *graph[:2], **place) if "edges" in kind else model(x, **place)

    def by_sequence(self):
        """The rows of each sequence in what :meth:`present` gives, its present frames, and their features, in NumPy."""
        start = 0
        for sequence, mask in zip(self.x, self.mask, strict=True):
            frames = mask.nonzero().flatten().numpy()
            yield slice(start, start + len(frames)), frames, sequence[mask].numpy()
            start += len(frames)

    def present(self, kind, nodes):
        """The rows of the nodes that are present, in one order for every layout."""
        if kind in LAYOUTS and kind not in VARIANTS:
            return nodes[self.mask]
        return nodes[self.mask.flatten()] if "absent" in kind else nodes


@st.composite
def sequences(draw, dtype=torch.float64, min_present=1, ties=True):
    """Ragged batches with missing frames, isolated nodes, graphs of every density, directed, or all negative."""
    batch_size, num_nodes = draw(st.integers(1, 4)), draw(st.integers(1, 7))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    x = torch.randn(batch_size, num_nodes, 3, generator=generator, dtype=dtype)
    if ties and draw(st.booleans()):
        x = x.round()
    mask = torch.rand(batch_size, num_nodes, generator=generator) < draw(st.sampled_from([0.2, 0.6, 1.0]))
    for row in mask:
        row[: max(0, min_present - int(row.sum()))] = True
    weight = torch.randn(num_nodes, num_nodes, generator=generator, dtype=dtype)
    weight = weight - draw(st.sampled_from([0.0, 1.0, 10.0, -10.0]))
    bandwidth = draw(st.integers(0, num_nodes))
    index = torch.arange(num_nodes)
    weight[(index - index[:, None]).abs() > bandwidth] = 0
    return PaddedBatch(x.masked_fill(~mask.unsqueeze(-1), torch.nan), mask, weight, bandwidth)
