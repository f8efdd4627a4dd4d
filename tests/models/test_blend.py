import pytest
import torch
from torch_geometric.data import Data

from lgrin import LGrIN
from lgrin.models import Blend, FilterBank, fold, from_config
from lgrin.models.registry import MODEL, settings_of
from lgrin.transforms import Resample
from lgrin.transforms.resample import evenly_spread, evenly_spread_each

SIZES = {"in_channels": 3, "num_classes": 4}
LENGTHS = (9, 25, 14)


def model(**options):
    torch.manual_seed(0)
    network = LGrIN(num_nodes=12, **SIZES, branch_channels=(8, 4), input_norm="both")
    blend = Blend(network, FilterBank(**SIZES, seed=1), **{"weight": 0.3, **options}).double().eval()
    torch.nn.init.normal_(blend.bank.head.weight)
    return blend


def sequences(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(length, 3, generator=generator, dtype=torch.double) for length in LENGTHS]


@pytest.mark.parametrize("thin", ["nearest", "mean", "max", "lowpass"])
def test_logits_are_those_of_the_bank_and_the_weighted_ones_of_the_network(thin):
    blend = model(thin=thin)
    for x in sequences():
        frames = Resample(12, thin)(Data(x=x)).x
        expected = blend.bank(x) + 0.3 * blend.network(frames)
        assert torch.allclose(blend(x), expected, atol=1e-12)


def flat(xs):
    """Sequences one after the other, and which each node belongs to."""
    return torch.cat(xs), torch.arange(len(xs)).repeat_interleave(torch.tensor([len(x) for x in xs]))


@pytest.mark.parametrize("thin", ["nearest", "mean"])
def test_layouts_agree(thin):
    blend, xs = model(thin=thin), sequences()
    alone, (x, batch) = torch.cat([blend(x) for x in xs]), flat(xs)
    assert torch.allclose(blend(x, batch=batch), alone, atol=1e-12)
    frame = torch.cat([torch.arange(length) for length in LENGTHS])
    assert torch.allclose(blend(x, frame=frame, batch=batch, max_num_nodes=30), alone, atol=1e-12)
    assert torch.allclose(blend.embed(x, batch=batch), torch.cat([blend.embed(one) for one in xs]), atol=1e-12)
    same = torch.stack([one[:9] for one in xs])
    assert torch.allclose(blend(same), torch.cat([blend(one) for one in same]), atol=1e-12)


@pytest.mark.parametrize("thin", ["nearest", "mean"])
def test_absent_frames_reach_nothing_and_belong_to_a_sequence(thin):
    blend, xs = model(thin=thin), sequences()
    masks = [torch.rand(len(x), generator=torch.Generator().manual_seed(3)) < 0.7 for x in xs]
    masks[0][-4:] = masks[1][-4:] = False
    others = [torch.where(mask.unsqueeze(1), x, torch.nan) for x, mask in zip(xs, masks, strict=True)]
    alone = torch.cat([blend(x, mask=mask) for x, mask in zip(xs, masks, strict=True)])
    (x, batch), mask = flat(others), torch.cat(masks)
    assert torch.allclose(blend(x, batch=batch, mask=mask), alone, atol=1e-12)
    frames = Resample(12, thin)(Data(x=xs[1], mask=masks[1]))
    expected = blend.bank(xs[1], mask=masks[1]) + 0.3 * blend.network(frames.x, mask=frames.mask)
    assert torch.allclose(alone[1:2], expected, atol=1e-12)


def test_the_salient_frame_lies_in_the_sequence_where_the_network_sees_it():
    blend, xs = model(), sequences()
    x, batch = flat(xs)
    for one, found in zip(xs, blend.salient_frames(x, batch=batch), strict=True):
        place = int(blend.network.salient_frames(Resample(12)(Data(x=one)).x))
        assert int(found) == int(evenly_spread(len(one), 12)[place])


@pytest.mark.parametrize("num_nodes", [1, 2, 3, 29, 30, 64, 199])
def test_frames_of_several_sequences_are_those_of_each(num_nodes):
    lengths = torch.tensor([1, 2, 3, 7, 29, 30, 64, 206, 999])
    each = torch.stack([evenly_spread(int(length), num_nodes) for length in lengths])
    assert torch.equal(evenly_spread_each(lengths, num_nodes), each)


def test_it_is_built_again_from_its_configuration():
    blend = model(thin="max")
    again = from_config(settings_of(MODEL, blend)).double().eval()
    again.load_state_dict(blend.state_dict())
    x = sequences()[0]
    assert torch.equal(again(x), blend(x))
    assert "LGrIN" in repr(blend)
    assert "weight=0.3" in repr(blend)


def test_it_folds():
    blend, x = model(), sequences()[1]
    assert torch.allclose(fold(blend)(x), blend(x), atol=1e-10)


def test_a_network_for_sequences_of_any_length_sees_all_frames():
    torch.manual_seed(0)
    network = LGrIN(num_nodes=None, **SIZES).double().eval()
    blend = Blend(network, FilterBank(**SIZES).double()).eval()
    for x in sequences():
        assert torch.allclose(blend(x), blend.bank(x) + network(x), atol=1e-12)
        assert torch.equal(blend.salient_frames(x), network.salient_frames(x))


def test_parts_have_to_fit():
    with pytest.raises(ValueError, match="network has in_channels=3 and bank 5"):
        Blend({**SIZES, "num_nodes": 9}, {**SIZES, "in_channels": 5})
    with pytest.raises(ValueError, match="weight is -1"):
        Blend({**SIZES, "num_nodes": 9}, SIZES, weight=-1)
    with pytest.raises(ValueError, match="thin is 'median'"):
        Blend({**SIZES, "num_nodes": 9}, SIZES, thin="median")
