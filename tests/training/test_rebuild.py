"""Checkpoints build their network again, or say what it is."""

import pytest
import torch
from torch_geometric.data import Data

from lgrin import LGrIN, MultimodalLGrIN
from lgrin.baselines import BASELINES, BLSTM, SortReadout
from lgrin.models import from_config
from lgrin.nn import GraphReadout, LearnableAdjacency
from lgrin.training import SequenceClassifier, fit
from lgrin.training.rebuild import difference_from_config

SIZE = (2, 6, 2)


class Learned(LearnableAdjacency):
    pass


class Other(LGrIN):
    pass


def replaced(name, part):
    model = LGrIN(*SIZE)
    setattr(model, name, part)
    return model


class OwnBLSTM(BLSTM):
    pass


class OwnReadout(SortReadout):
    pass


CUSTOM = {
    "a competitor of one's own": (lambda: OwnBLSTM(*SIZE), r"OwnBLSTM\(in_channels=2, num_nodes=6"),
    "a subclass": (lambda: Other(*SIZE), r"Other\(in_channels=2"),
    "an adjacency": (lambda: LGrIN(*SIZE, adjacency=Learned(6)), "given modules or functions .* adjacency=Learned"),
    "a readout": (lambda: LGrIN(*SIZE, readout=OwnReadout(6)), "given modules or functions .* readout=OwnReadout"),
    "an encoder": (lambda: LGrIN(*SIZE, encoder=torch.nn.Identity()), "given modules or functions .* encoder=Identity"),
    "a function": (
        lambda: LGrIN(*SIZE, adjacency={"nonnegativity": torch.exp}),
        "given modules or functions .* adjacency=LearnableAdjacency",
    ),
    "a readout put in later": (
        lambda: replaced("readout", GraphReadout(6, ("mean", "learned", "max"))),
        r"LGrIN whose readout\.parts is \['mean', 'learned', 'max'\] instead of \['max', 'learned', 'mean'\]",
    ),
    "an adjacency put in later": (
        lambda: replaced("adjacency", Learned(6)),
        r"LGrIN whose adjacency is .*Learned instead of lgrin\.nn\.adjacency\.LearnableAdjacency",
    ),
}


def checkpoint(model, out):
    generator = torch.Generator().manual_seed(0)
    data = [Data(x=torch.randn(6, 2, generator=generator), y=torch.tensor([i % 2])) for i in range(8)]
    return fit(SequenceClassifier(model, 8), data, [], out, epochs=1, progress=False)


@pytest.mark.parametrize("name", CUSTOM)
def test_a_network_that_keywords_do_not_build_is_named_with_the_way_out(name, tmp_path):
    make, message = CUSTOM[name]
    torch.manual_seed(0)
    model = make()
    best = checkpoint(model, tmp_path)
    with pytest.raises(TypeError, match=rf"(?s)best\.ckpt holds a .*{message}.* pass model= beside the path"):
        SequenceClassifier.load_from_checkpoint(best)
    torch.manual_seed(1)
    again = SequenceClassifier.load_from_checkpoint(best, model=make()).model
    kept = model.state_dict()
    assert all(torch.equal(value, kept[key]) for key, value in again.state_dict().items())


@pytest.mark.parametrize("name", ["a competitor of one's own", "a readout", "an encoder"])
def test_checkpoints_of_before_are_told_by_their_weights(name, tmp_path):
    best = checkpoint(CUSTOM[name][0](), tmp_path)
    content = torch.load(best, weights_only=True)
    del content["network"]
    torch.save(content, best)
    with pytest.raises(TypeError, match=r"holds a.* network .* pass model= beside the path"):
        SequenceClassifier.load_from_checkpoint(best)


@pytest.mark.parametrize(
    "make",
    [
        lambda: LGrIN(*SIZE),
        lambda: LGrIN.paper(*SIZE),
        lambda: LGrIN.released(*SIZE),
        lambda: LGrIN(*SIZE, adjacency={"init": torch.ones(6, 6), "symmetric": True}, input_norm="both", norm=None),
        lambda: LGrIN(*SIZE, adjacency={"init": "temporal", "bandwidth": 2}, readout={"parts": ["sum"]}),
        lambda: LGrIN(*SIZE, adjacency=LearnableAdjacency.from_dense(torch.rand(6, 6)), readout=SortReadout(6, k=2)),
        lambda: LGrIN(*SIZE).double(),
        lambda: LGrIN(*SIZE).requires_grad_(False),
        lambda: MultimodalLGrIN({"a": LGrIN(*SIZE), "b": {"in_channels": 3, "num_nodes": 4}}, 2),
    ],
)
def test_what_keywords_build_is_built_again(make):
    model = make()
    state = torch.get_rng_state()
    assert difference_from_config(model) == ""
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("name", BASELINES)
def test_a_competitor_is_built_again_by_its_name(name, tmp_path):
    if name == "SENet":
        pytest.importorskip("timm")
    torch.manual_seed(0)
    model = BASELINES[name](*SIZE)
    assert difference_from_config(model) == ""
    again = SequenceClassifier.load_from_checkpoint(checkpoint(model, tmp_path)).model
    assert type(again) is BASELINES[name]
    x = torch.randn(3, 6, 2)
    assert torch.equal(again.eval()(x), model.eval()(x))


def test_an_unknown_name_is_one_clear_error():
    for role, keywords in (("adjacency", {"adjacency": {"name": "Nobody"}}), ("readout", {"readout": {"name": 3}})):
        with pytest.raises(ValueError, match=rf"^{role} has the name .*; it may be .*"):
            LGrIN(*SIZE, **keywords)
    with pytest.raises(ValueError, match=r"^model has the name 'os\.system'; it may be LGrIN, MultimodalLGrIN, BLSTM"):
        from_config({"name": "os.system", "in_channels": 2, "num_nodes": 6, "num_classes": 2})


@pytest.mark.parametrize(
    "make",
    [
        lambda: BLSTM(*SIZE),
        lambda: LGrIN(*SIZE, adjacency=LearnableAdjacency.from_dense(torch.rand(6, 6)), readout=SortReadout(6, k=2)),
        lambda: LGrIN(*SIZE, adjacency={"init": torch.rand(6, 6), "bandwidth": 5}),
    ],
)
def test_registered_modules_come_back_from_a_folder_for_the_hub(make, tmp_path):
    from lgrin.hub import PretrainedClassifier

    model, x = make(), torch.randn(3, 6, 2)
    PretrainedClassifier.of(SequenceClassifier(model, 8)).save_pretrained(tmp_path)
    again = PretrainedClassifier.from_pretrained(tmp_path).model
    assert torch.equal(again.eval()(x), model.eval()(x))


def test_a_folder_for_the_hub_holds_no_network_that_it_cannot_build(tmp_path):
    from lgrin.hub import PretrainedClassifier

    with pytest.raises(ValueError, match=r"the model .* keep its checkpoint"):
        PretrainedClassifier.of(SequenceClassifier(OwnBLSTM(*SIZE), 8))
    with pytest.raises(ValueError, match=r"whose head is"):
        PretrainedClassifier(replaced("head", torch.nn.Linear(582, 2)), 8).save_pretrained(tmp_path)
