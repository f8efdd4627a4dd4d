"""Every entry of docs/fidelity.md, and the presets' parameters in it."""

import re
from pathlib import Path

import pytest
import torch
from torch.nn import Dropout, Linear, PReLU
from torch_geometric.data import Data

from lgrin import LGrIN
from lgrin.baselines import GCN
from lgrin.features import Speech
from lgrin.features.speech import append_spontaneity
from lgrin.nn import LGrINLoss, MaskedBatchNorm, structure_loss
from lgrin.training import SequenceClassifier, folds
from lgrin.transforms import CyclicPad

PAGE = Path(__file__).parent.parent / "docs" / "fidelity.md"
RML, IEMOCAP, MPI = (136, 90, 6), (35, 120, 4), (72, 120, 11)
CHECKS = {}


def row(name):
    def register(check):
        CHECKS[name] = check
        return check

    return register


def paper(size=(3, 200, 2)):
    torch.manual_seed(0)
    return LGrIN.paper(*size)


def released(size=(3, 200, 2)):
    torch.manual_seed(0)
    return LGrIN.released(*size)


@row("A at start")
def _():
    normal, uniform = paper().adjacency.weight.detach(), released().adjacency.weight.detach()
    assert abs(float((normal > 0).float().mean()) - 0.5) < 0.01
    assert float(normal.std()) == pytest.approx(1, abs=0.02)
    assert float(uniform.min()) >= 0
    assert float(uniform.mean()) == pytest.approx(0.5, abs=0.01)
    default = LGrIN(3, 200, 2).adjacency()
    assert torch.allclose(default.sum(1), torch.ones(200))
    near = default[100] - 0.5 * torch.eye(200)[100]
    assert float(near.sum()) == pytest.approx(0.5, abs=1e-4)
    assert float(near[103] / near[100]) == pytest.approx(torch.tensor(-0.5).exp().item(), rel=1e-4)


@row("missing frames")
def _():
    mask = torch.arange(200) % 3 > 0
    for model, averages in ((paper(), False), (released(), False), (LGrIN(3, 200, 2), True)):
        heard = model.adjacency.graph(mask=mask).aggregate(torch.ones(200, 1))[mask, 0]
        summed = model.adjacency()[mask][:, mask].sum(1)
        assert torch.allclose(heard, torch.ones_like(summed) if averages else summed, rtol=1e-4)
        assert not torch.allclose(summed, torch.ones_like(summed), rtol=1e-2)


@row("symmetry of A")
def _():
    for model in (paper(), released(), LGrIN(3, 200, 2)):
        assert model.adjacency.weight.numel() == 200 * 200
    assert not torch.equal(paper().adjacency(), paper().adjacency().T)


@row("MLP of G*")
def _():
    def widths(model):
        return [
            [(lin.in_features, lin.out_features) for lin in b.lins] for layer in model.layers for b in layer.branches
        ]

    assert widths(paper(RML)) == [
        [(136, 128), (128, 128)],
        [(136, 64), (64, 64)],
        [(328, 128), (128, 128)],
        [(328, 64), (64, 64)],
    ]
    half = [[(136, 64), (64, 64)], [(136, 32), (32, 32)], [(232, 64), (64, 64)], [(232, 32), (32, 32)]]
    assert widths(LGrIN(*RML)) == half
    assert widths(released(RML))[:2] == [[(136, 66), (66, 128)], [(136, 50), (50, 64)]]
    assert all(branch.norms is None for layer in paper().layers for branch in layer.branches)
    for branch in released().layers[0].branches:
        assert [type(norm) for norm in branch.norms] == [MaskedBatchNorm, MaskedBatchNorm]


@row("neighbour max")
def _():
    x, nobody = torch.randn(5, 3), torch.zeros(5, 5)
    everyone = torch.ones(5, 5)
    learned, line = paper((3, 5, 2)).layers[0], released((3, 5, 2)).layers[0]
    assert torch.equal(learned(x, nobody)[:, 192:], x)
    assert torch.equal(learned(x, everyone)[:, 192:], x.amax(0).expand(5, 3))
    for adj in (nobody, everyone):
        out = line(x, adj)[:, 192:]
        assert torch.equal(out[2], torch.maximum(x[1], x[3]))
        assert torch.equal(out[0], x[1])


@row("order in Eq. (5)")
def _():
    x, adj = torch.randn(5, 3), torch.rand(5, 5)
    layer = paper((3, 5, 2)).layers[0]
    parts = [branch(x, adj) for branch in layer.branches]
    assert [part.size(1) for part in parts] == [128, 64]
    assert torch.allclose(layer(x, adj), torch.cat([*parts, x.amax(0).expand(5, 3)], 1), atol=1e-5)


@row("cross-entropy")
def _():
    logits, target, nothing = torch.randn(4, 3), torch.tensor([0, 1, 2, 0]), torch.nn.Identity()
    total = torch.nn.functional.cross_entropy(logits, target, reduction="sum")
    for reduction in ("sum", "mean"):
        assert torch.allclose(LGrINLoss(100, reduction=reduction)(logits, target, nothing), total / 4)


@row("structure loss")
def _():
    model = paper((3, 6, 2))
    A, distance = model.adjacency.weight.relu(), (torch.arange(6) - torch.arange(6)[:, None]).square()
    total = (0.1 * distance * A + 0.1 * A.square()).sum()
    assert torch.allclose(structure_loss(model.adjacency()), total)
    assert torch.allclose(structure_loss(model.adjacency(), reduction="mean"), total / 36)


@row("pool loss and p at start")
def _():
    model = paper()
    p = model.readout.learned.weight.detach()
    bound = (6 / 201) ** 0.5
    assert 0.9 * bound < float(p.abs().max()) <= bound
    assert released().readout.learned.weight.eq(1).all()
    assert LGrIN(3, 200, 2).readout.learned.weight.eq(1 / 200).all()
    model.adjacency.weight.data.zero_()
    squares = p.square()
    assert float(LGrINLoss(10, reduction="sum").penalty(model)) == pytest.approx(1e-4 * float(squares.sum()) / 10)
    assert float(LGrINLoss(10, reduction="mean").penalty(model)) == pytest.approx(1e-4 * float(squares.mean()))


@row("classifier")
def _():
    assert [type(module) for module in paper().head] == [Dropout, Linear]
    assert paper().head[0].p == 0
    first, dropout, act, last = released(RML).head
    assert (first.in_features, first.out_features, last.out_features) == (3 * (136 + 384), 512, 6)
    assert (dropout.p, act.num_parameters) == (0.5, 512)
    assert isinstance(act, PReLU)
    assert [type(module) for module in LGrIN(*RML).head] == [Dropout, Linear]
    assert LGrIN(*RML).head[0].p == 0.5


@row("trainable parameters")
def _():
    def count(module):
        return f"{sum(p.numel() for p in module.parameters()):,}"

    cells = rows()["trainable parameters"]
    sizes = (RML, IEMOCAP, MPI)
    for build in (LGrIN.paper, LGrIN):
        assert " / ".join(count(build(*size)) for size in sizes) in cells[2]
    assert " / ".join(count(LGrIN.released(*size)) for size in sizes) in cells[1]
    assert " / ".join(count(LGrIN.released(*size).layers) for size in sizes) in cells[1]


@row("schedule")
def _():
    settings = SequenceClassifier(LGrIN(3, 5, 2), num_sequences=10).hparams
    assert (settings["lr"], settings["halve_every"], settings["weight_decay"]) == (0.01, 50, 0.0)


@row("clip length")
def _():
    data = CyclicPad(90)(Data(x=torch.arange(40.0).unsqueeze(-1)))
    assert data.x.flatten().tolist() == [i % 40 for i in range(90)]
    with pytest.raises(ValueError, match="more than num_nodes=90"):
        CyclicPad(90)(Data(x=torch.zeros(91, 1)))


@row("input scaling")
def _():
    assert paper().input_norm is None
    for model in (released(), LGrIN(3, 5, 2)):
        assert isinstance(model.input_norm, MaskedBatchNorm)
        assert model.input_norm.weight is None


@row("metric")
def _():
    from lgrin.training.results import Evaluation

    assert {"accuracy", "uar"} <= set(Evaluation._fields)


@row("GCN competitor")
def _():
    from test_ecosystem import test_learned_edges_in_a_gcn_equal_equation_3 as check

    check()
    assert sum(p.numel() for p in GCN(*RML).parameters()) == 103_942


@row("folds")
def _():
    clips = [Data(y=torch.tensor([i // 2 % 2]), group=torch.tensor([i // 8]), recording=str(i // 2)) for i in range(40)]
    shared = {}
    for protocol in ("paper", "recording", "group"):
        sides = [
            ({clips[i].recording for i in fold.train}, {clips[i].recording for i in fold.test})
            for fold in folds(protocol, clips)
        ]
        shared[protocol] = any(train & test for train, test in sides)
    assert shared == {"paper": True, "recording": False, "group": False}


@row("speech features, P = 35")
def _():
    widths = {layout: Speech(layout).num_features for layout in ("paper", "released")}
    assert widths == {"paper": 17 + 17, "released": 16 + 17}
    with_spontaneity = [append_spontaneity(torch.zeros(1, width), True, layout) for layout, width in widths.items()]
    assert [x.size(-1) for x in with_spontaneity] == [35, 35]


def rows():
    """Reads the paper's, the released code's and lgrin's reading of each entry, a section with a list of three."""
    comparison = re.search(r"^## The comparison\n(.*?)^## ", PAGE.read_text(), re.DOTALL | re.MULTILINE).group(1)
    entries = [section.partition("\n") for section in re.split(r"^### ", comparison, flags=re.MULTILINE)[1:]]
    return {
        name: [" ".join(item.split()) for item in re.split(r"^- ", body, flags=re.MULTILINE)[1:]]
        for name, _, body in entries
    }


def test_every_row_is_checked():
    assert set(rows()) == set(CHECKS)
    assert all(len(cells) == 3 for cells in rows().values())
    assert all(
        [cell.split()[0] for cell in cells] == ["**Paper.**", "**Released.**", "**lgrin.**"]
        for cells in rows().values()
    )


@pytest.mark.parametrize("name", CHECKS)
def test_row(name):
    CHECKS[name]()


def test_the_distance_term_starts_where_the_page_says():
    torch.manual_seed(0)
    values = [float(structure_loss(LGrIN.paper(*IEMOCAP).adjacency().detach(), 0.1, 0.0)) for _ in range(5)]
    said = float(re.search(r"starts at ([\d.]+) million", PAGE.read_text()).group(1)) * 1e6
    assert sum(values) / 5 == pytest.approx(said, rel=0.02)
    assert 5531 * 0.8 * torch.tensor(4.0).log() == pytest.approx(6100, rel=0.02)
