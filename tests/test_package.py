"""The package as a user meets it: what an import loads, what the README says, what the main job leaves."""

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
import torch

import lgrin
from lgrin.training.recipes import RECIPES

ROOT = Path(__file__).parent.parent
MANUAL = [path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *MANUAL])


def test_import_loads_torch_and_pyg_and_nothing_heavier():
    program = (
        "import sys, torch, torch_geometric; before = set(sys.modules); import lgrin; lgrin.LGrIN, lgrin.nn; "
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"lightning", "torchmetrics", "sklearn", "pandas", "matplotlib", "aeon", "numba", "tensorboard"}
    assert not heavy & set(loaded)


def test_the_version_stands_in_one_place():
    assert importlib.metadata.version("lgrin") == lgrin.__version__
    assert f"version: {lgrin.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## {lgrin.__version__}\n" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_python_block_of_the_pages_runs(page):
    scope = {}
    with mock.patch.dict(RECIPES):  # a page adds a recipe
        for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
            exec(compile(block, str(page), "exec"), scope)
    if page.name == "README.md":
        assert scope["adjacency"].weight.grad.abs().sum() > 0
        edges = {(edge.source, edge.target) for edge in scope["strongest_edges"](scope["adjacency"], scope["names"], 3)}
        assert edges == {("boiler", "pump"), ("pump", "radiator"), ("radiator", "hall")}
        assert scope["classifier"].score(*scope["load_japanese_vowels"](split="test")) >= 0.98


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_the_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_the_design_decisions_name_tests_that_exist():
    written = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "decisions.md").read_text()))
    assert named
    assert not named - set(re.findall(r"^def (test_\w+)", written, re.MULTILINE))


def test_the_main_job_leaves_what_it_promises(tmp_path):
    command = [sys.executable, ROOT / "examples" / "train.py", "--dataset", "BasicMotions", "--epochs", "2"]
    command += ["--root", tmp_path / "data", "--out", tmp_path / "run", "--seed", "1", "--device", "cpu"]
    first = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "BasicMotions: accuracy" in first.stdout
    assert "Epoch 1" in first.stdout + first.stderr, "a progress bar"
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert {"accuracy", "uar", "parameters", "seconds", "versions", "seed"} <= set(metrics)
    checkpoint = torch.load(tmp_path / "run" / "checkpoints" / "model.ckpt", weights_only=True)
    model = lgrin.models.from_config(checkpoint["hyper_parameters"]["model"])
    assert metrics["parameters"] == sum(p.numel() for p in model.parameters() if p.requires_grad)
    for picture in ("adjacency.png", "confusion.png"):
        assert (tmp_path / "run" / picture).read_bytes().startswith(b"\x89PNG")
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode != 0
    assert "resume" in again.stderr
    resumed = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=True)
    assert f"accuracy {metrics['accuracy']:.3f}" in resumed.stdout


def test_the_help_of_the_main_job_reads_well():
    command = [sys.executable, ROOT / "examples" / "train.py", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for option in ("--dataset", "--epochs", "--seed", "--device", "--out", "--resume"):
        assert option in shown
    assert "(default: JapaneseVowels)" in shown
    assert "None" not in shown
    assert "default: False" not in shown


def test_the_package_shows_the_house_and_hides_its_internals():
    program = (
        "import sys, lgrin; shown = [name for name in dir(lgrin) if not name.startswith('_')]; "
        "assert 'torch' not in sys.modules; "
        "assert all(getattr(lgrin, name) is not None for name in shown); print(*shown)"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert shown == sorted(lgrin.__all__)
    assert lgrin.LGrINClassifier is lgrin.sklearn.LGrINClassifier
    with pytest.raises(AttributeError, match=r"has no attribute 'LGrin'; it has .*LGrIN, "):
        lgrin.LGrin  # noqa: B018


def test_names_of_extras_that_are_absent_are_not_shown(monkeypatch):
    for library in ("lightning", "aeon", "onnx", "huggingface_hub"):
        monkeypatch.setitem(sys.modules, library, None)
    assert not {"LGrINClassifier", "aeon", "export", "hub", "sklearn", "training"} & set(dir(lgrin))
    assert {"LGrIN", "nn", "datasets", "visualization"} <= set(dir(lgrin))
