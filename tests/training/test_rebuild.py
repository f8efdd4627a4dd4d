"""Checkpoints build their network again, or say what it is."""

import pytest
import torch
from torch_geometric.data import Data

from lgrin import LGrIN, MultimodalLGrIN
from lgrin.baselines import BASELINES, BLSTM, SortReadout
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


CUSTOM = {
    "a competitor": (lambda: BLSTM(*SIZE), r"lgrin\.baselines\.blstm\.BLSTM\(in_channels=2, num_nodes=6"),
    "a subclass": (lambda: Other(*SIZE), r"Other\(in_channels=2"),
    "an adjacency": (lambda: LGrIN(*SIZE, adjacency=Learned(6)), "given modules .* adjacency=Learned"),
    "a readout": (lambda: LGrIN(*SIZE, readout=SortReadout(6)), "given modules .* readout=SortReadout"),
    "an encoder": (lambda: LGrIN(*SIZE, encoder=torch.nn.Identity()), "given modules .* encoder=Identity"),
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


@pytest.mark.parametrize("name", ["a competitor", "a readout", "an encoder"])
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
def test_no_competitor_passes_for_a_network_of_ours(name):
    if name == "SENet":
        pytest.importorskip("timm")
    assert difference_from_config(BASELINES[name](3, 8, 2)).startswith(f"a {BASELINES[name].__module__}.{name}(")


def test_a_folder_for_the_hub_holds_no_network_that_it_cannot_build(tmp_path):
    from lgrin.hub import PretrainedClassifier

    with pytest.raises(ValueError, match=r"the model is a lgrin\.baselines\.blstm\.BLSTM.* keep its checkpoint"):
        PretrainedClassifier.of(SequenceClassifier(BLSTM(*SIZE), 8))
    with pytest.raises(ValueError, match=r"whose head is"):
        PretrainedClassifier(replaced("head", torch.nn.Linear(582, 2)), 8).save_pretrained(tmp_path)
