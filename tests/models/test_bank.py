"""A bank of fixed filters: what it computes, in every layout, and its file."""

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pad_sequence
from torch_geometric.data import Data

from lgrin.export import load, to_onnx
from lgrin.models import FilterBank, from_config
from lgrin.models.functionals import functionals
from lgrin.transforms import Resample

LENGTHS = (9, 1, 30, 5)
WAYS = {
    "as they are": {},
    "own scale": {"own_scale": True},
    "stretched": {"num_frames": 12},
    "limited": {"limit": 1.0},
    "places": {"places": 7},
}
in_every_way = pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)


def bank(**options):
    torch.manual_seed(0)
    model = FilterBank(3, 4, mixes=4, heads=2, **options).double().eval()
    model.threshold.normal_()
    model.scale.mean.normal_()
    return model


def sequences():
    random = torch.Generator().manual_seed(0)
    return [torch.randn(length, 3, generator=random, dtype=torch.double) for length in LENGTHS]


def test_responses_are_those_of_its_graphs():
    model, (x, *_) = bank(dilations=(1, 3)), sequences()
    z, present = x.unsqueeze(0), torch.ones(1, len(x), dtype=torch.bool)
    change = torch.cat([torch.zeros_like(x[:1]), x[1:] - x[:-1]])
    expected = []
    for adjacency, mix in zip(model.filters, model.mix, strict=True):
        for channel in range(4):
            mixed = torch.cat([x, change], dim=1) @ mix[channel]
            expected += [matrix @ mixed for matrix in adjacency(len(x)).double()]
    assert torch.allclose(model.responses(z, present)[0], torch.stack(expected, 1))


def test_summaries_are_what_they_are_called():
    model, (x, *_) = bank(segments=(1, 2), places=3), sequences()
    present = torch.ones(1, 9, dtype=torch.bool)
    z = model.scale(x)
    responses, found = model.responses(z.unsqueeze(0), present)[0].numpy(), model.embed(x)[0].numpy()
    parts = [slice(0, 9), slice(0, 5), slice(5, 9)]
    shares = [(responses[part] > threshold).mean(0) for threshold in model.threshold.numpy() for part in parts]
    magnitudes = [np.abs(responses[part]).mean(0) for part in parts]
    largest = [responses[part].max(0) for part in parts]
    ranks = []
    for extreme in (np.max, np.min):  # one filter of two, on each mix
        groups = responses.reshape(9, -1, 2)
        ranks.append((groups == extreme(groups, 2, keepdims=True)).mean(0).ravel())
    z = z.numpy()
    levels = [z[part].mean(0) for part in parts] + [np.sqrt((z[part] ** 2).mean(0)) for part in parts]
    thirds = z.reshape(3, 3, 3).mean(1).ravel()
    mixed = torch.from_numpy(z) @ model.contour.double().mT
    contours = functionals(mixed.unsqueeze(0), present).flatten().numpy()
    assert np.allclose(found, np.concatenate([*shares, *magnitudes, *largest, *levels, *ranks, thirds, contours]))


def test_filters_that_respond_alike_have_no_ranks():
    model = bank()
    model.scale.mean.zero_()
    start = sum(model.blocks[name] for name in ("share", "magnitude", "max", "level"))
    ranks = slice(start, start + model.blocks["rank"])
    assert not model.embed(torch.zeros(20, 3, dtype=torch.double))[0, ranks].any()
    moving = model.embed(sequences()[2])[0, ranks].view(2, -1, 2).sum(-1)
    assert torch.allclose(moving, torch.ones_like(moving)), "one filter of each group is first, and one is last"


@pytest.mark.parametrize("kinds", [("functional",), ("place",), ("place", "functional")])
def test_without_summaries_the_logits_of_a_head_that_has_no_weight_on_them_stay(kinds):
    model, (x, *_) = bank(places=4), sequences()
    left = torch.cat([torch.full((count,), kind not in kinds) for kind, count in model.blocks.items()])
    with torch.no_grad():
        model.head.weight[:, ~left] = 0
    before, rest = model(x), model.embed(x)[:, left]
    model.drop(*kinds)
    assert torch.allclose(model(x), before)
    assert torch.equal(model.embed(x), rest)
    assert not any(model.blocks[kind] for kind in kinds)
    again = FilterBank(**model.config).double()
    again.load_state_dict(model.state_dict())
    assert torch.equal(again(x), model(x))


def test_what_filters_count_is_not_taken_away():
    with pytest.raises(ValueError, match="kinds"):
        bank().drop("share")


@in_every_way
def test_padded_flat_and_single_sequences_agree(options):
    model, data = bank(**options), sequences()
    batch = torch.arange(len(data)).repeat_interleave(torch.tensor(LENGTHS))
    flat = model(torch.cat(data), batch=batch)
    mask = pad_sequence([torch.ones(length, dtype=torch.bool) for length in LENGTHS], batch_first=True)
    padded = pad_sequence(data, batch_first=True, padding_value=float("nan"))
    assert torch.allclose(flat, torch.cat([model(one) for one in data]))
    assert torch.allclose(flat, model(padded, mask=mask))
    frame = torch.cat([torch.arange(length) for length in LENGTHS])
    assert torch.allclose(flat, model(torch.cat(data), frame=frame, batch=batch, batch_size=len(data)))


def test_masked_frames_are_unseen_and_give_no_gradient():
    model, x = bank(), sequences()[2].requires_grad_()
    mask = torch.arange(30) % 7 != 3
    model.embed(x, mask=mask).sum().backward()
    assert not x.grad[~mask].any()
    assert x.grad[mask].any()
    other = x.detach().masked_fill(~mask.unsqueeze(1), float("inf"))
    assert torch.equal(model(other, mask=mask), model(x, mask=mask))
    left = mask.nonzero().squeeze(1)
    assert torch.allclose(model(x, mask=mask), model(x[left], frame=left))


def test_in_its_own_scale_a_sequence_is_the_same_however_loud_it_is():
    model, x = bank(own_scale=True), torch.randn(2, 30, 3, dtype=torch.double)
    present = torch.arange(30) < torch.tensor([[30], [21]])
    torch.nn.init.zeros_(model.scale.mean)
    found = model.standardized(x, present)
    loud = model.standardized(1000 * x, present)
    assert torch.equal(loud[..., :3], 1000 * found[..., :3])
    assert torch.allclose(loud[..., 3:], found[..., 3:])
    short = found[1, :21, 3:]
    assert torch.allclose(short, (x[1, :21] - x[1, :21].mean(0)) / x[1, :21].std(0, correction=0))
    assert not found[1, 21:].any()
    offset = model.standardized(1e-3 * x.float() + 10, present)[..., 3:]
    assert torch.allclose(offset, found[..., 3:], atol=2e-3), "an offset costs no digits that float32 has"
    flat = model.standardized(torch.full((1, 5, 3), 3.3, dtype=torch.double), None)
    assert not flat[..., 3:].any(), "a flat sequence has no scale"


def test_a_stretched_sequence_is_read_as_the_frames_that_it_is_stretched_to():
    model, x = bank(num_frames=12), sequences()[2]
    as_it_is = FilterBank(**{**model.config, "num_frames": None}).double().eval()
    as_it_is.load_state_dict(model.state_dict())
    for length in (30, 12, 5):
        stretched = Resample(12)(Data(x=x[:length].clone())).x
        assert torch.equal(model.embed(x[:length]), as_it_is.embed(stretched))
    mask = torch.arange(30) < 17
    assert torch.allclose(model.embed(x, mask=mask), model.embed(x[:17])), "absent frames at the end are not part of it"
    half = torch.arange(30) % 2 == 0
    assert torch.equal(model.embed(x.masked_fill(~half[:, None], torch.nan), mask=half), model.embed(x, mask=half))


def test_no_value_counts_as_more_than_the_limit():
    model, x = bank(limit=4.0), sequences()[2]
    torch.nn.init.zeros_(model.scale.mean)
    glitch = x.clone()
    glitch[7, 1] = 1e30
    limited = x.clamp(-4, 4)
    limited[7, 1] = 4.0
    assert torch.equal(model.embed(glitch), model.embed(limited))


def test_a_level_stretch_is_above_no_threshold_of_its_own():
    model = bank()
    model.threshold.fill_(1e-4)
    shares = model.embed(torch.full((40, 3), 7.3, dtype=torch.double))[0, : model.blocks["share"]]
    inside = FilterBank(3, 4, mixes=4, heads=2, dilations=(1,))
    assert shares.isfinite().all()
    assert inside.responses(torch.ones(1, 40, 3), torch.ones(1, 40, dtype=torch.bool))[0, 5:-5].abs().max() < 1e-4


def test_a_seed_draws_it_and_a_configuration_builds_it_again():
    one, other = (
        FilterBank(70, 2, levels=64, seed=3),
        from_config({"name": "FilterBank", **FilterBank(70, 2, levels=64, seed=3).config}),
    )
    config = FilterBank(3, 2, places=5, num_frames=9, limit=4.0, own_scale=True).config
    assert FilterBank(**config).config == config
    drawn = [name for name in one.state_dict() if not name.startswith("head")]
    assert all(torch.equal(one.state_dict()[name], other.state_dict()[name]) for name in drawn)
    assert not torch.equal(one.mix, FilterBank(70, 2, levels=64, seed=4).mix)
    state = torch.get_rng_state()
    FilterBank(2, 2)
    FilterBank(2, 2)
    assert one.level.shape == (64, 70)
    torch.nn.init.zeros_(one.head.weight)
    assert not torch.equal(state, torch.get_rng_state()), "the head alone is drawn from PyTorch's generator"


@in_every_way
def test_file_and_module_agree(options, tmp_path):
    model = bank(**options).float()
    torch.nn.init.normal_(model.head.weight, std=0.1)
    description = to_onnx(model, tmp_path / "bank.onnx", classes=["a", "b", "c", "d"])
    assert (description.network, description.num_nodes) == ("FilterBank", None)
    classify = load(tmp_path / "bank.onnx")
    for x in sequences():
        found = classify(x.unsqueeze(0).numpy().astype(np.float32))
        expected = model(x.float()).softmax(-1).detach().numpy()
        assert np.allclose(found.probabilities, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dilations": ()}, "dilations"),
        ({"heads": 0}, "heads"),
        ({"seed": -1}, "seed"),
        ({"segments": (0,)}, "segments"),
        ({"functionals": -1}, "functionals"),
        ({"places": -1}, "places"),
        ({"num_frames": 0}, "num_frames"),
        ({"limit": -1.0}, "limit"),
        ({"own_scale": "yes"}, "own_scale"),
    ],
)
def test_errors_name_the_argument(options, message):
    with pytest.raises(ValueError, match=message):
        FilterBank(3, 2, **options)
