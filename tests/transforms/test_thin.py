import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from lgrin.transforms import Resample, Thin, from_settings
from lgrin.transforms.thinning import THINNINGS

WAYS = sorted(THINNINGS)


def noise(length, missing=0.0):
    generator = torch.Generator().manual_seed(length)
    x = torch.randn(length, 3, generator=generator)
    mask = torch.rand(length, generator=generator) >= missing
    x[~mask] = torch.nan
    return Data(x=x, mask=mask, time=torch.arange(length) / 25)


def by_loop(data, num_nodes, how):
    """The definitions, frame by frame in float64."""
    x, present, width = data.x.double().numpy(), data.mask.numpy(), len(data.x) / num_nodes
    rows = []
    for node in range(num_nodes):
        frames = [frame for frame in range(len(x)) if frame * num_nodes // len(x) == node]
        centre = (node + 0.5) * width - 0.5
        if how == "lowpass":
            frames = [frame for frame in range(len(x)) if abs(frame - centre) < width]
        frames = [frame for frame in frames if present[frame]]
        weights = [np.cos(np.pi * (frame - centre) / (2 * width)) ** 2 for frame in frames]
        if not frames:
            rows.append(np.full(3, np.nan))
        elif how == "max":
            rows.append(x[frames].max(0))
        else:
            rows.append(np.average(x[frames], axis=0, weights=weights if how == "lowpass" else None))
    return np.array(rows)


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize(("length", "num_nodes"), [(1, 1), (7, 3), (8, 4), (9, 8), (100, 7)])
@pytest.mark.parametrize("missing", [0.0, 0.4, 0.8])
def test_it_equals_its_definition_over_present_frames(how, length, num_nodes, missing):
    data = noise(length, missing)
    if length == num_nodes:
        return
    thinned = Resample(num_nodes, how)(data)
    expected = by_loop(data, num_nodes, how)
    assert thinned.mask.tolist() == (~np.isnan(expected).any(1)).tolist()
    assert np.allclose(thinned.x[thinned.mask], expected[thinned.mask.numpy()], atol=1e-6)
    assert thinned.frame.tolist() == list(range(num_nodes))


@pytest.mark.parametrize("how", WAYS)
def test_sequences_that_are_not_longer_are_stretched_as_ever(how):
    for length in (1, 3, 5):
        data = noise(length)
        ours, plain = Resample(5, how)(data), Resample(5)(data)
        assert torch.equal(ours.x, plain.x)
        assert torch.equal(ours.time, plain.time)


def test_a_short_event_remains_in_the_maximum_and_an_alias_does_not_pass():
    pulse = Data(x=torch.zeros(5_000, 1))
    pulse.x[2_011:2_014] = 8.0
    assert Resample(200)(pulse).x.max() == 0
    assert Resample(200, "max")(pulse).x.max() == 8
    rate = 200 / 5_000  # that of the nodes: their picked frames all see the same phase
    wave = Data(x=torch.cos(2 * torch.pi * rate * torch.arange(5_000, dtype=torch.float64)).unsqueeze(1))
    assert Resample(200)(wave).x.abs().max() > 0.9
    assert Resample(200, "lowpass")(wave).x[2:-2].abs().max() < 1e-6


def test_a_factor_makes_every_sequence_shorter_by_it():
    assert [len(Thin(4)(noise(length)).x) for length in (1, 4, 5, 80)] == [1, 1, 2, 20]
    assert Thin(4)(noise(8)).time.tolist() == pytest.approx([1 / 25, 5 / 25])
    assert repr(Thin(4, "max")) == "Thin(4, how='max')"
    with pytest.raises(ValueError, match="no frame, so there is nothing to thin"):
        Thin(2)(Data(x=torch.zeros(0, 3)))
    for transform in (Thin, Resample):
        with pytest.raises(ValueError, match="how is 'median'; it may be"):
            transform(4, how="median")


def test_settings_build_it_again():
    assert Resample(4).settings == {"name": "Resample", "num_nodes": 4}
    for transform in (Resample(4, "max"), Resample(4)):
        assert repr(from_settings(transform.settings)) == repr(transform)
