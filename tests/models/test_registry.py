"""Which class a configuration names, and that the names of weights stay what files hold."""

import json
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from lgrin import LGrIN, MultimodalLGrIN
from lgrin.baselines import BASELINES, SortReadout
from lgrin.models import Blend, FilterBank
from lgrin.models.registry import ADJACENCY, MODEL, MODELS, READOUT, build, class_named, settings_of

STORED = json.loads((Path(__file__).parent.parent / "files" / "state_dict_keys.json").read_text())
SIZE = (3, 8, 2)
NETWORKS = {
    "LGrIN": lambda: LGrIN(*SIZE),
    "LGrIN.paper": lambda: LGrIN.paper(*SIZE),
    "LGrIN.released": lambda: LGrIN.released(*SIZE),
    "LGrIN, all options": lambda: LGrIN(
        *SIZE,
        num_layers=3,
        hidden_channels=5,
        norm="layer_norm",
        adjacency={"bandwidth": 2, "symmetric": True},
        readout={"parts": ("sum", "learned")},
        head_channels=4,
        input_norm="both",
    ),
    "LGrIN, SortReadout": lambda: LGrIN(*SIZE, readout=SortReadout(8, k=2)),
    "MultimodalLGrIN": lambda: MultimodalLGrIN({"face": LGrIN(*SIZE), "voice": {"in_channels": 2, "num_nodes": 4}}, 2),
    "FilterBank": lambda: FilterBank(3, 2),
    "Blend": lambda: Blend(LGrIN(*SIZE), FilterBank(3, 2)),
    **{name: lambda kind=kind: kind(*SIZE) for name, kind in BASELINES.items() if name != "SENet"},
}


def test_every_kind_of_network_is_stored():
    assert set(NETWORKS) == set(STORED)
    assert set(MODELS) == {name for name in NETWORKS if "." not in name and "," not in name} | {"SENet"}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_names_and_shapes_of_weights_are_those_of_stored_files(name):
    found = {key: list(value.shape) for key, value in NETWORKS[name]().state_dict().items()}
    assert found == STORED[name]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_configuration_is_plain_and_builds_the_same_network(name):
    torch.manual_seed(0)
    network = NETWORKS[name]()
    settings = json.loads(json.dumps(settings_of(MODEL, network)))
    again = build(MODEL, settings)
    assert type(again) is type(network)
    again.load_state_dict(network.state_dict())


@pytest.mark.parametrize("role", [ADJACENCY, READOUT, MODEL])
@pytest.mark.parametrize("name", ["Nobody", "", 3, None, "lgrin.models.lgrin:LGrIN", ["LGrIN"]])
def test_a_name_that_no_table_holds_is_one_clear_error(role, name):
    with pytest.raises(ValueError, match=rf"^{role.name} has the name .*; it may be "):
        class_named(role, name)


@pytest.mark.parametrize("role", [ADJACENCY, READOUT, MODEL])
def test_every_class_stands_in_its_table_under_its_own_name(role):
    names = {name: class_named(role, name).__name__ for name in role.table}
    assert names == {name: name for name in names}  # else a module of this class could not be stored


def test_a_class_that_shares_a_name_is_not_taken_for_another():
    class SortReadout(torch.nn.Module):
        config: ClassVar = {}

    assert settings_of(READOUT, SortReadout()) is None
