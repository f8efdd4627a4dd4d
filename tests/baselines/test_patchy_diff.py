import copy

import numpy as np
import pytest
import torch
from competitors import ragged

from lgrin.baselines import PatchyDiff


def numpy_logits(model, x, mask):
    """The model for one sequence on the line graph: logits, the numerator of the link loss, and the entropies."""
    weights = {name: p.detach().numpy() for name, p in model.named_parameters()}
    size, count = len(mask), model.field_size
    adj = np.zeros((size, size))
    both = np.zeros((size, 16 + model.num_clusters))
    for i in np.flatnonzero(mask):
        adj[i] = (np.abs(np.arange(size) - i) == 1) & mask
        field, sides = [i], [i, i]
        for _ in range(count - 1):  # one frame further on each side, until one is missing
            for side, step in enumerate((-1, 1)):
                j = -1 if sides[side] < 0 else sides[side] + step
                sides[side] = j if 0 <= j < size and mask[j] else -1
            field += [j for j in sides if j >= 0]
        places = weights["fields.weight"].transpose(2, 0, 1)
        both[i] = weights["fields.bias"] + sum(place @ x[j] for place, j in zip(places, field, strict=False))
    S = np.exp(both[:, 16:]) / np.exp(both[:, 16:]).sum(1, keepdims=True) * mask[:, None]
    X, A = S.T @ np.maximum(both[:, :16], 0), S.T @ adj @ S
    clusters = np.repeat(weights["clusters.bias"][:, None], model.num_clusters, axis=1)
    for cluster in range(model.num_clusters):
        others = sorted(set(range(model.num_clusters)) - {cluster}, key=lambda other: -A[cluster, other])
        for place, other in enumerate([cluster, *others][:count]):
            clusters[:, cluster] += weights["clusters.weight"][:, :, place] @ X[other]
    hidden = np.maximum(weights["dense.weight"] @ np.maximum(clusters, 0).ravel() + weights["dense.bias"], 0)
    link = ((adj - S @ S.T) ** 2).sum()
    return weights["head.weight"] @ hidden + weights["head.bias"], link, -(S * np.log(S + 1e-15)).sum(1)


def test_patchy_diff_equals_its_formula_in_numpy():
    torch.manual_seed(0)
    model, (x, mask) = PatchyDiff(4, 12, 3, num_clusters=6).double().eval(), ragged()
    logits = model(x, mask=mask)
    rows = [numpy_logits(model, one, present) for one, present in zip(x.numpy(), mask.numpy(), strict=True)]
    assert np.allclose(logits.detach().numpy(), [row[0] for row in rows], rtol=1e-10)
    link = np.sqrt(sum(row[1] for row in rows)) / (3 * 12 * 12)
    assert model.auxiliary_loss.item() == pytest.approx(link + np.mean([row[2] for row in rows]), rel=1e-10)


def test_the_auxiliary_loss_trains_the_assignment_and_stays_out_of_copies():
    model = PatchyDiff(4, 12, 3)
    assert model.auxiliary_loss is None
    model(torch.randn(2, 12, 4))
    model.auxiliary_loss.backward()
    assert model.fields.weight.grad[16:].any()
    assert not model.fields.weight.grad[:16].any()
    assert copy.deepcopy(model).auxiliary_loss is None
    assert "auxiliary_loss" not in model.state_dict()


def test_there_are_clusters_enough_for_a_field():
    with pytest.raises(ValueError, match="num_clusters is 4; it has to be a whole number, 5 or larger"):
        PatchyDiff(4, 12, 3, num_clusters=4)
