"""One recipe, decided on training data alone, whichever door one comes through."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from examples.reproduce import accuracy
from examples.reproduce.corpora import Corpus
from lgrin import LGrIN
from lgrin.command.data import CORPORA
from lgrin.datasets import from_arrays
from lgrin.sklearn import LGrINClassifier
from lgrin.training import (
    RECIPES,
    Candidate,
    Fold,
    SequenceClassifier,
    Training,
    affordable_nodes,
    cross_validate,
    hold_out,
    recommended,
    train_and_test,
)
from lgrin.training.blend import without_bank
from lgrin.training.recipe import Survey
from lgrin.training.recipes import find_recipe
from lgrin.training.structure import structure
from lgrin.transforms import Resample

EXAMPLES = Path(__file__).parents[2] / "examples"


def arrays(lengths, channels, classes, level=0.0, groups=None, missing=0.0):
    """Sequences ``[T, P]``, each class at a level of its own, and what else ``from_arrays`` takes."""
    generator = np.random.default_rng(0)
    found = []
    for index, length in enumerate(lengths):
        x = generator.normal(size=(length, channels)).astype(np.float32) + level * (index % classes)
        x[1:][generator.random(length - 1) < missing] = np.nan
        found.append(x)
    labels = [f"class {index % classes:02}" for index in range(len(lengths))]
    members = None if groups is None else [f"group {index // groups}" for index in range(len(lengths))]
    return {"arrays": found, "labels": labels, "groups": members}


DATA = {
    "short": arrays([3, 8, 5, 6] * 5, 3, 2),
    "long": arrays([700, 300, 420, 650] * 4, 2, 2, level=2.0),
    "many channels": arrays([150] * 32, 300, 8),
    "grouped": arrays([20 + i % 7 for i in range(40)], 5, 2, groups=8),
    "frames missing": arrays([30 + i % 3 for i in range(24)], 4, 3, missing=0.2),
    "one channel": arrays([70 + i for i in range(24)], 1, 2, level=1.0),
    "many classes": arrays([40 + i for i in range(72)], 2, 12, level=1.0),
}


@pytest.fixture
def train(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    import train

    return train


class Built:
    """Builds networks and keeps them."""

    def __init__(self, build=LGrIN):
        self.build, self.models = build, []

    def __call__(self, *arguments, **keywords):
        self.models.append(self.build(*arguments, **keywords))
        return self.models[-1]


def by_the_example(train, dataset, monkeypatch, folder):
    monkeypatch.setitem(CORPORA, "ours", lambda *arguments, **options: dataset)
    dataset.features = SimpleNamespace(settings={"name": "ours"})
    train.main(["--dataset", "ours", "--epochs", "1", "--out", str(folder), "--no-progress"])
    return SequenceClassifier.load_from_checkpoint(folder / "checkpoints" / "best.ckpt").model


def by_the_estimator(given, learn):
    X = [given["arrays"][index].T for index in learn]
    y = [given["labels"][index] for index in learn]
    return without_bank(LGrINClassifier(epochs=1, random_state=0).fit(X, y).classifier_).model


def by_folds(candidate, corpus, training, folder):
    built = Built()
    cross_validate(
        candidate._replace(build=built),
        corpus.sequences,
        corpus.folds,
        training._replace(epochs=1),
        folder,
        workers=1,
        progress=False,
    )
    return built.models[-1]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", DATA)
def test_all_doors_lead_to_one_network(name, train, monkeypatch, tmp_path):
    dataset = from_arrays(**DATA[name])
    parts = [[int(data.name) for data in part] for part in hold_out(dataset, seed=0)]
    corpus = Corpus("ours", dataset.classes, list(dataset), [Fold("one", parts[0], [], parts[1])])
    training = Training(None, dataset.classes, refit=True, recipe="recommended")
    models = {
        "train.py": by_the_example(train, dataset, monkeypatch, tmp_path / "run"),
        "LGrINClassifier": by_the_estimator(DATA[name], parts[0]),
        "cross_validate": by_folds(Candidate("ours", LGrIN, choose=recommended), corpus, training, tmp_path / "folds"),
        "studies": by_folds(accuracy.candidate(accuracy.DEFAULT), corpus, corpus.training, tmp_path / "study"),
    }
    for door, model in models.items():
        bank = door in ("train.py", "LGrINClassifier")
        plan = RECIPES["recommended"].plan([dataset[index] for index in parts[0]], dataset.num_classes, bank=bank)
        expected = LGrIN(dataset.num_features, plan.num_nodes, dataset.num_classes, **plan.network)
        assert model.num_nodes == plan.num_nodes, door
        assert structure(model, "") == structure(expected, ""), door
        assert model.config == expected.config, door
        assert sum(one.numel() for one in model.parameters()) == sum(one.numel() for one in expected.parameters())


def test_the_sizes_of_these_data_differ_in_all_that_the_recipe_decides():
    plans = []
    for given in DATA.values():
        dataset = from_arrays(**given)
        plans.append(RECIPES["recommended"].plan(dataset, dataset.num_classes))
    assert len({plan.num_nodes for plan in plans}) == 6  # two have 32
    assert {str(plan.network["input_norm"]) for plan in plans} == {"True", "both"}
    assert {"adjacency" in plan.network for plan in plans} == {True, False}
    assert len({plan.epochs for plan in plans}) > 2


def test_a_graph_is_as_large_as_it_may_be_whatever_kind_it_is():
    for options in ({}, {"input_norm": "both"}, {"num_layers": 4}, {"adjacency": {"bandwidth": 40}}):
        for channels, classes in ((400, 6), (300, 8), (700, 3), (40, 30)):
            found = affordable_nodes(10_000, channels, classes, **options)
            sizes = [
                sum(one.numel() for one in LGrIN(channels, nodes, classes, **options).parameters())
                for nodes in (found, found + 1)
            ]
            assert found in (32, 200) or sizes[0] <= 108_000 < sizes[1], (options, channels, found)
            assert found > 32 or sizes[1] > 108_000
            assert found < 200 or sizes[0] <= 108_000


def test_the_size_of_a_graph_leaves_random_numbers_alone():
    before = torch.get_rng_state()
    affordable_nodes(1_000, 400, 6)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_survey_sees_what_is_there_in_one_pass():
    mask = torch.tensor([True, True, False])
    data = [
        Data(x=torch.tensor([[1.0, 0.0], [3.0, 0.0], [torch.nan, 9.0]]), y=torch.tensor([1]), mask=mask),
        Data(x=torch.tensor([[4.0, 2.0]]), y=torch.tensor([0])),
    ]
    survey = Survey.of(iter(data))
    assert survey[:3] == (2, 3, 2)
    assert survey.levels.tolist() == [[2.0, 0.0], [4.0, 2.0]]
    assert survey.labels.tolist() == [1, 0]
    assert survey.lacks_frames
    assert not Survey.of(data[1:]).lacks_frames
    with pytest.raises(ValueError, match="train is empty"):
        Survey.of([])


def test_what_the_caller_has_fixed_stays():
    data = list(from_arrays(**DATA["grouped"]))
    recipe = RECIPES["recommended"]
    free = recipe.plan(data, 2)
    assert (free.num_nodes, free.batch_size, free.averaging, free.epochs) == (26, 32, 0.98, 300)
    assert recipe.plan(data, 2, num_nodes=12).num_nodes == 12
    assert recipe.plan(data, 2, longest=20).num_nodes == 20
    assert recipe.plan(data, 2, epochs=3, batch_size=8)[3:5] == (3, 8)
    assert recipe.plan(data, 2, batch_size=8).epochs == 120
    assert recipe.plan(data, 2, network={"input_norm": False}).network == {"input_norm": False}


def test_a_network_beside_a_bank_takes_a_quarter_of_the_steps_at_twice_the_learning_rate():
    data, recipe = list(from_arrays(**DATA["grouped"])), RECIPES["recommended"]
    alone, beside = (recipe.plan(data, 2, bank=bank) for bank in (False, True))
    assert (alone.epochs, alone.options["lr"]) == (300, 0.003)
    assert (beside.epochs, beside.options["lr"]) == (75, 0.006)
    assert {**beside.options, "lr": 0.003} == alone.options == recipe.options
    chosen = recipe.plan(data, 2, bank=True, epochs=40)
    assert (chosen.epochs, chosen.options["lr"]) == (40, 0.003)
    one_channel = [Data(x=one.x[:, :1], y=one.y) for one in data]
    assert recipe.plan(one_channel, 2, bank=True)[2:4] == (recipe.options, 38)
    assert find_recipe({"lr": 0.1}).plan(data, 2, bank=True).options == {"lr": 0.2}
    assert find_recipe({"weight_decay": 0.1}).plan(data, 2, bank=True).options == {"weight_decay": 0.1}


@pytest.mark.parametrize("given", [{"epochs": 0}, {"num_nodes": 0}, {"batch_size": 0}])
def test_numbers_that_the_caller_gives_are_checked(given):
    (name,) = given
    data = [Data(x=torch.randn(9, 2), y=torch.tensor([label])) for label in (0, 1)]
    with pytest.raises(ValueError, match=f"{name} is 0; it has to be a whole number, 1 or larger"):
        find_recipe("recommended").plan(data, 2, **given)
    with pytest.raises(TypeError, match="epoch was given, which a recipe does not know; it may be epochs, batch_size"):
        find_recipe("recommended").plan(data, 2, epoch=3)


def test_what_is_tested_decides_nothing(tmp_path):
    def run(change, name):
        data = [change(index, one.clone()) for index, one in enumerate(from_arrays(**DATA["grouped"]))]
        fold = Fold("one", list(range(30)), [], list(range(30, 40)))
        training = Training(None, ["a", "b"], epochs=1, batch_size=None, refit=True, recipe="recommended")
        candidate = Candidate("L-GrIN", LGrIN, choose=recommended)
        return cross_validate(candidate, data, [fold], training, tmp_path / name, workers=1, progress=False)[0]

    def otherwise(index, data):
        if index < 30:
            return data
        return Data(x=torch.randn(90, 5) + 9 * data.y, y=data.y, mask=torch.arange(90) > 3)

    plain, noisy = run(lambda index, data: data, "plain"), run(otherwise, "noisy")
    assert plain["weights"] == noisy["weights"]
    assert plain["parameters"] == noisy["parameters"]


def test_an_unknown_recipe_is_named(tmp_path):
    data = list(from_arrays(**DATA["short"]))
    message = "recipe is 'magic'; it may be 'recommended'"
    with pytest.raises(ValueError, match=message):
        LGrINClassifier(recipe="magic").fit([one.T for one in DATA["short"]["arrays"]], DATA["short"]["labels"])
    with pytest.raises(ValueError, match=message):
        train_and_test(LGrIN(3, 8, 2), data, data, tmp_path, recipe="magic")
    fold = Fold("one", [0, 1, 2, 3], [], [4, 5])
    with pytest.raises(ValueError, match=message):
        cross_validate(Candidate("a", LGrIN), data, [fold], Training(8, ["a", "b"], recipe="magic"), tmp_path)


OWN = """
from dataclasses import replace

from lgrin.training.recipes.recommended import RECOMMENDED


def network(survey):
    return {"branch_channels": (4,), "num_layers": 1, "dropout": 0.1, "input_norm": survey.num_sequences > 5}


def frames(longest, in_channels, num_classes, **network):
    return min(longest, 7)


def epochs(num_sequences, batch_size):
    return 2


GENTLE = replace(
    RECOMMENDED,
    network=network,
    frames=frames,
    epochs=epochs,
    options={"lr": 0.001, "weight_decay": 0.0, "schedule": "step", "augment": {"crop": 0.1}},
    averaging=0.5,
    batch_size=4,
)
"""


@pytest.fixture
def gentle(tmp_path, monkeypatch):
    """A new recipe: a file, and a line in the table."""
    (tmp_path / "gentle_recipe.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    import gentle_recipe

    monkeypatch.setitem(RECIPES, "gentle", gentle_recipe.GENTLE)
    yield gentle_recipe.GENTLE
    del sys.modules["gentle_recipe"]


def test_a_new_recipe_is_one_file_and_one_line_in_the_table(gentle, train, tmp_path, monkeypatch):
    given = DATA["grouped"]
    dataset = from_arrays(**given)
    estimator = LGrINClassifier(recipe="gentle", bank=False, random_state=0)
    estimator.fit([x.T for x in given["arrays"]], given["labels"])
    plan = gentle.plan(dataset, 2)
    data = [Resample(plan.num_nodes)(one) for one in dataset]
    torch.manual_seed(0)
    model = LGrIN(5, plan.num_nodes, 2, **plan.network)
    classifier, _ = train_and_test(model, data, data, tmp_path / "run", recipe="gentle", progress=False)
    weights = estimator.classifier_.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in classifier.state_dict().items())
    found = classifier.hparams
    assert (found["lr"], found["weight_decay"], found["schedule"]["name"]) == (0.001, 0.0, "step")
    assert classifier.model.config["branch_channels"] == (4,)
    assert classifier.model.num_nodes == 7
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert (last["epoch"], last["global_step"]) == (1, 20)

    training = Training(None, dataset.classes, epochs=None, batch_size=None, refit=True, recipe="gentle")
    fold = Fold("one", list(range(40)), [], list(range(40)))
    candidate = Candidate("L-GrIN", LGrIN, choose=gentle.choose)
    (run,) = cross_validate(candidate, list(dataset), [fold], training, tmp_path / "folds", progress=False)
    assert run["predicted"] == estimator.predict_proba([x.T for x in given["arrays"]]).argmax(1).tolist()
    assert run["parameters"] == sum(one.numel() for one in model.parameters())

    monkeypatch.setitem(CORPORA, "ours", lambda *arguments, **options: dataset)
    dataset.features = SimpleNamespace(settings={"name": "ours"})
    out = tmp_path / "example"
    train.main(["--dataset", "ours", "--recipe", "gentle", "--out", str(out), "--no-progress"])
    assert SequenceClassifier.load_from_checkpoint(out / "checkpoints" / "best.ckpt").model.num_nodes == 7
    saved = tmp_path / "estimator.pt"
    estimator.save(saved)
    assert LGrINClassifier.load(saved).get_params()["recipe"] == "gentle"


def test_results_of_recipes_that_differ_have_files_of_their_own(gentle, tmp_path):
    data = [Resample(8)(one) for one in from_arrays(**DATA["short"])]
    fold = Fold("one", list(range(16)), [], list(range(16, 20)))
    for recipe in ("gentle", "recommended", replace(gentle, averaging=0.9), {"lr": 0.1}):
        training = Training(8, ["a", "b"], epochs=1, refit=True, recipe=recipe)
        for _ in range(2):
            cross_validate(Candidate("L-GrIN", LGrIN), data, [fold], training, tmp_path / "folds", progress=False)
    assert len(list((tmp_path / "folds").glob("*.json"))) == 4


def test_a_recipe_is_found_by_name_value_or_options():
    recipe = RECIPES["recommended"]
    assert find_recipe("recommended") is find_recipe(recipe) is recipe
    assert find_recipe({"lr": 0.1}) == replace(recipe, options={"lr": 0.1})
