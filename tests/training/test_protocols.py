import functools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data

from lgrin import LGrIN
from lgrin.training import PROTOCOLS, Candidate, Fold, Training, cross_validate, folds, normalize_groups, outer_folds

DRAWN = tuple(protocol for protocol in PROTOCOLS if protocol != "own")
SMALL = Training(num_nodes=5, classes=["calm", "glad"], epochs=3, patience=2, batch_size=8)


def corpus(num_groups=5, num_texts=4, takes=2, copies=1, num_frames=5, seed=0):
    """Every group says every sentence in both classes; each recording may be there in several copies."""
    generator = torch.Generator().manual_seed(seed)
    return [
        Data(
            x=torch.randn(num_frames, 3, generator=generator) + label,
            y=torch.tensor([label]),
            group=torch.tensor([group]),
            text=f"s{text}",
            recording=f"{group}-{text}-{label}-{take}",
            split="train" if group < num_groups - 1 else "test",
        )
        for group in range(num_groups)
        for text in range(num_texts)
        for label in (0, 1)
        for take in range(takes)
        for _ in range(copies)
    ]


def build(num_features, num_nodes, num_classes):
    return LGrIN(num_features, num_nodes, num_classes, branch_channels=(4, 4))


SMALL_MODEL = Candidate("small", build)


def unit(data, protocol):
    fields = {"group": "group", "group-kfold": "group", "sentence": "text", "recording": "recording"}
    return str(data[fields[protocol]])


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(DRAWN), st.integers(4, 7), st.integers(3, 5), st.integers(1, 2), st.integers(0, 9))
def test_no_unit_stands_on_two_sides_and_nothing_is_tested_twice(protocol, num_groups, num_texts, copies, seed):
    data = corpus(num_groups, num_texts, copies=copies)
    made = folds(protocol, data, num_folds=3, seed=seed)
    tested = sorted(index for fold in made for index in fold.test)
    assert tested == list(range(len(data)))
    for fold in made:
        parts = [set(part) for part in fold[1:]]
        assert all(parts)
        assert sum(map(len, parts)) == len(set().union(*parts))
        if protocol != "group-sentence":
            assert set().union(*parts) == set(range(len(data)))
        for first, second in ((0, 1), (0, 2), (1, 2)):
            for name in {"group-sentence": ("group", "sentence"), "paper": ()}.get(protocol, (protocol,)):
                sides = [{unit(data[index], name) for index in parts[side]} for side in (first, second)]
                assert sides[0].isdisjoint(sides[1])
        assert {int(data[index].y) for index in fold.train} == {0, 1}


def test_the_papers_protocol_alone_splits_recordings():
    data = corpus(copies=2)
    split = {}
    for protocol in PROTOCOLS:
        sides = [
            ({data[i].recording for i in fold.train} & {data[i].recording for i in fold.test})
            for fold in folds(protocol, data, num_folds=4)
        ]
        split[protocol] = any(sides)
    assert split == {protocol: protocol == "paper" for protocol in PROTOCOLS}


def test_the_own_split_is_tested_once_and_validated_by_whole_recordings():
    data = corpus(copies=2)
    (fold,) = folds("own", data)
    assert [index for index, one in enumerate(data) if one.split == "test"] == fold.test
    assert sorted([*fold.train, *fold.validation, *fold.test]) == list(range(len(data)))
    assert {data[i].recording for i in fold.train}.isdisjoint(data[i].recording for i in fold.validation)
    for one in data:
        one.split = "train"
    with pytest.raises(ValueError, match=r"needs data\.split to be 'train' or 'test', and some sequences of each"):
        folds("own", data)


def test_folds_repeat_with_their_seed():
    data = corpus()
    assert folds("group-kfold", data, 3, seed=4) == folds("group-kfold", data, 3, seed=4)
    assert folds("paper", data, 3, seed=4) != folds("paper", data, 3, seed=5)


def test_what_cannot_be_split_says_why():
    data = corpus()
    with pytest.raises(ValueError, match="protocol is 'loso'; it may be 'paper', 'recording', 'group'"):
        folds("loso", data)
    with pytest.raises(ValueError, match="there are 5 units to make 8 folds of; take num_folds=5 or less"):
        folds("group-kfold", data, num_folds=8)
    with pytest.raises(ValueError, match="sequence 0 has no text, by which protocol 'sentence' splits"):
        folds("sentence", [Data(x=one.x, y=one.y, group=one.group) for one in data])
    alone = [Data(x=one.x, y=one.group, group=one.group) for one in data]
    with pytest.raises(ValueError, match="leaves class 0 of group 0 without a training sequence"):
        folds("group", alone)
    with pytest.raises(ValueError, match="single unit"):
        folds("group", corpus(num_groups=2))


def noisy(data, test):
    """The same sequences, the features of the test fold replaced by noise and its labels permuted."""
    generator = torch.Generator().manual_seed(99)
    labels = torch.tensor([int(data[index].y) for index in test])[torch.randperm(len(test), generator=generator)]
    changed = [one.clone() for one in data]
    for index, label in zip(test, labels, strict=True):
        changed[index].x = 100 * torch.randn(changed[index].x.shape, generator=generator)
        changed[index].y = label.view(1)
    return changed


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_training_never_sees_the_test_fold(protocol, tmp_path):
    data = corpus()
    candidate = Candidate("tuned", build, space={"lr": [0.01, 0.001], "weight_decay": [0.0, 0.1]})
    training = SMALL._replace(budget=2)
    fold = folds(protocol, data, num_folds=3)[0]
    runs = [
        cross_validate(candidate, sequences, [fold], training, tmp_path / name, workers=1, progress=False)[0]
        for name, sequences in (("clean", data), ("noise", noisy(data, fold.test)))
    ]
    for name in ("weights", "epoch", "setting", "validation_loss"):  # the weights contain the normaliser
        assert runs[0][name] == runs[1][name], name
    assert runs[0]["predicted"] != runs[1]["predicted"]


def test_choosing_by_the_test_fold_is_caught_by_the_same_check(tmp_path):
    data = corpus()
    fold = folds("group", data)[0]
    leaking = fold._replace(validation=fold.test)
    runs = [
        cross_validate(SMALL_MODEL, sequences, [leaking], SMALL, tmp_path / name, workers=1, progress=False)[0]
        for name, sequences in (("clean", data), ("noise", noisy(data, fold.test)))
    ]
    assert runs[0]["validation_loss"] != runs[1]["validation_loss"]


def test_runs_in_parallel_equal_runs_one_by_one_and_are_not_repeated(tmp_path):
    data = corpus()
    made = folds("group", data)[:2]
    options = {"seeds": (0, 1), "progress": False}
    alone = cross_validate(SMALL_MODEL, data, made, SMALL, tmp_path / "alone", workers=1, **options)
    together = cross_validate(SMALL_MODEL, data, made, SMALL, tmp_path / "together", workers=2, **options)
    assert [run["predicted"] for run in alone] == [run["predicted"] for run in together]
    assert [(run["fold"], run["seed"]) for run in alone] == [
        ("group 0", 0),
        ("group 1", 0),
        ("group 0", 1),
        ("group 1", 1),
    ]
    files = sorted((tmp_path / "alone").glob("*.json"))
    assert len(files) == 4
    before = [file.stat().st_mtime_ns for file in files]
    files[2].unlink()
    again = cross_validate(SMALL_MODEL, data, made, SMALL, tmp_path / "alone", workers=1, **options)
    assert [run["weights"] for run in again] == [run["weights"] for run in alone]
    after = [file.stat().st_mtime_ns for file in files]
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, True, False, True]
    cross_validate(SMALL_MODEL, data, made[:1], SMALL._replace(epochs=2), tmp_path / "alone", workers=1, progress=False)
    assert len(list((tmp_path / "alone").glob("*.json"))) == 5, "another setting is another result"


def test_models_that_differ_in_anything_have_results_of_their_own(tmp_path):
    data = corpus()
    made = folds("group", data)[:1]
    for norm in ("batch_norm", "layer_norm", None):
        candidate = Candidate("same name", functools.partial(LGrIN, branch_channels=(4,), norm=norm))
        cross_validate(candidate, data, made, SMALL, tmp_path, workers=1, progress=False)
    assert len(list(tmp_path.glob("*.json"))) == 3
    for one in data:
        one.group = one.group + 100
    run = cross_validate(candidate, data, made, SMALL, tmp_path, workers=1, progress=False)[0]
    assert set(run["group"]) == {100}


def test_further_test_sets_are_seen_after_training_alone(tmp_path):
    def silence(data):
        data.x = torch.zeros_like(data.x)
        return data

    data = corpus()
    made = folds("group", data)[:1]
    options = {"workers": 1, "progress": False}
    plain = cross_validate(SMALL_MODEL, data, made, SMALL, tmp_path, **options)[0]
    more = cross_validate(SMALL_MODEL, data, made, SMALL, tmp_path, variants={"silence": silence}, **options)[0]
    assert plain["weights"] == more["weights"]
    assert plain["predicted"] == more["predicted"]
    assert len(set(more["variants"]["silence"])) == 1


def test_every_setting_of_the_budget_is_drawn_from_the_space():
    candidate = Candidate("any", build, space={"lr": [0.1, 0.2], "weight_decay": [0.0, 0.1]})
    drawn = candidate.settings(budget=5, seed=3)
    assert drawn[0] == {}
    assert len({tuple(sorted(setting.items())) for setting in drawn}) == 5
    assert candidate.settings(5, seed=3) == drawn
    assert Candidate("plain", build).settings(budget=4, seed=0) == [{}]


def test_scaling_by_group_removes_what_groups_differ_in_and_refuses_to_tell_labels():
    data = corpus()
    for one in data:
        one.x = one.x * (1 + int(one.group)) + 10 * int(one.group)
    scaled = normalize_groups(data)
    for group in range(5):
        frames = torch.cat([one.x for one in scaled if int(one.group) == group])
        assert torch.allclose(frames.mean(0), torch.zeros(3), atol=1e-5)
        assert torch.allclose(frames.std(0, correction=0), torch.ones(3), atol=1e-5)
    assert not torch.equal(scaled[0].x, data[0].x)
    with pytest.raises(ValueError, match="each group has a single class, which scaling by group would tell"):
        normalize_groups([Data(x=one.x, y=one.group, group=one.group) for one in data])
    with pytest.raises(ValueError, match="sequences have no group; take normalize='train'"):
        normalize_groups([Data(x=one.x, y=one.y) for one in data])


def test_missing_frames_take_no_part_in_scaling_by_group():
    data = corpus(num_groups=1)
    for one in data:
        one.mask = torch.tensor([True, True, True, True, False])
        one.x[~one.mask] = np.nan
    scaled = normalize_groups(data)
    assert all(torch.isfinite(one.x[one.mask]).all() for one in scaled)


def test_a_fold_is_plain_data():
    assert Fold("a", [0], [1], [2])._asdict() == {"name": "a", "train": [0], "validation": [1], "test": [2]}


@pytest.mark.parametrize("budget", [1, 2])
def test_refitted_models_learn_from_the_validation_sequences_too_and_still_not_from_the_test_fold(tmp_path, budget):
    data, training = corpus(), SMALL._replace(budget=budget, refit=True)
    candidate = SMALL_MODEL._replace(space={"lr": [0.01, 0.003]})
    fold = folds("group", data)[0]

    def weights(name, changed):
        changed = noisy(data, changed) if changed else data
        (run,) = cross_validate(candidate, changed, [fold], training, tmp_path / name, workers=1, progress=False)
        assert run["epoch"] == training.epochs - 1
        assert (run["validation_loss"] is None) == (budget == 1)
        return run["weights"]

    whole = weights("whole", [])
    assert weights("test", fold.test) == whole
    assert weights("validation", fold.validation) != whole


def test_the_cross_entropy_of_a_run_is_that_of_its_true_classes(tmp_path):
    data = corpus()
    fold = folds("group", data)[0]
    (run,) = cross_validate(SMALL_MODEL, data, [fold], SMALL, tmp_path, workers=1, progress=False)
    certain = -np.log(0.5)
    right = np.array(run["target"]) == np.array(run["predicted"])
    assert 0 < run["cross_entropy"] < np.inf
    assert run["cross_entropy"] >= (~right).mean() * certain  # of two classes, a wrong one had less than one half


def test_what_a_candidate_chooses_it_chooses_inside_each_fold(tmp_path):
    seen = []

    def choose(train):
        seen.append({int(one.group) for one in train})
        return {"dropout": 0.1 * int(train[0].group)}

    data, training = corpus(), SMALL._replace(refit=True, epochs=1)
    made = folds("group", data)[:3]
    build_with = functools.partial(LGrIN, branch_channels=(4,))
    chosen = Candidate("chosen", build_with, choose=choose)
    options = {"workers": 1, "progress": False}
    runs = cross_validate(chosen, data, made, training, tmp_path / "chosen", **options)
    assert {frozenset(groups) for groups in seen} == {frozenset({0, 1, 2, 3, 4} - {group}) for group in range(3)}
    for number, fold in enumerate(made):
        first = min({0, 1, 2, 3, 4} - {number})
        by_hand = Candidate("by hand", functools.partial(build_with, dropout=0.1 * first))
        (run,) = cross_validate(by_hand, data, [fold], training, tmp_path / "by hand", **options)
        assert run["weights"] == runs[number]["weights"]


def test_graphs_and_settings_that_no_repr_shows_have_results_of_their_own(tmp_path):
    def on(matrix, *size):
        model = LGrIN(*size, adjacency={"init": matrix}, branch_channels=(4,))
        model.adjacency.requires_grad_(False)
        return model

    data = corpus()
    made = folds("group", data)[:1]
    for matrix in (torch.eye(5), torch.ones(5, 5)):
        candidate = Candidate("given", functools.partial(on, matrix))
        cross_validate(candidate, data, made, SMALL._replace(epochs=1), tmp_path, workers=1, progress=False)
    assert len(list(tmp_path.glob("*.json"))) == 2


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_outer_folds_train_on_what_folds_train_on_and_validate_with(protocol):
    data = corpus()
    for outer, inner in zip(outer_folds(protocol, data), folds(protocol, data), strict=True):
        assert (outer.name, outer.test, outer.validation) == (inner.name, inner.test, [])
        if protocol != "group-sentence":  # of which a validation set leaves sequences out
            assert outer.train == sorted(inner.train + inner.validation)


def test_two_groups_are_enough_where_nothing_is_validated():
    assert [fold.name for fold in outer_folds("group", corpus(num_groups=2))] == ["group 0", "group 1"]
    with pytest.raises(ValueError, match="a single unit, 1, which cannot also validate"):
        folds("group", corpus(num_groups=2))
