"""The check of dependencies against known advisories, which says what it did not check."""

import tomllib
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest
from packaging.version import Version

ROOT = Path(__file__).parents[1]
TABLE = tomllib.loads((ROOT / ".ci" / "advisories.toml").read_text())


@pytest.fixture(scope="module")
def audit():
    """The script, whose name has no ending."""
    loader = SourceFileLoader("audit", str(ROOT / ".ci" / "audit"))
    module = module_from_spec(spec_from_loader("audit", loader))
    loader.exec_module(module)
    return module


def test_versions_with_a_known_fault_are_found(audit):
    assert audit.check_table(TABLE, {"lightning": Version("2.6.6"), "onnx": Version("1.21")}) == []
    findings = audit.check_table(TABLE, {"lightning": Version("2.6.5"), "onnx": Version("1.20.1")})
    assert [finding.split(": ")[0] for finding in findings] == ["lightning 2.6.5", *["onnx 1.20.1"] * 3]
    assert "GHSA-qqmf-gpg7-g8gw" in findings[0]


def test_the_oldest_versions_are_the_lower_bounds(audit):
    extras = {"a": ["One_Two>=1.5,<3", "lgrin[b]"], "b": ["one-two>=1.4"]}
    assert audit.oldest({"dependencies": ["three>=2"], "optional-dependencies": extras}) == {
        "three": Version("2"),
        "one-two": Version("1.4"),
    }


def test_no_version_that_is_admitted_has_a_known_fault(audit):
    lower = audit.oldest(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"])
    assert lower.keys() <= set(TABLE["packages"])
    assert audit.check_table(TABLE, lower) == []
    assert audit.check_table(TABLE, audit.newest((ROOT / "constraints.txt").read_text())) == []


def test_a_service_that_was_not_asked_finds_nothing_in_nobodys_name(audit, monkeypatch, capsys):
    monkeypatch.setattr(audit.sys, "executable", "/bin/false")
    findings, unasked = audit.ask_service(TABLE, {"torch": Version("2.13.0")})
    assert (findings, list(unasked)) == ([], ["torch"])
    assert audit.main([]) == 0
    assert "NOT ASKED about" in capsys.readouterr().out
    assert audit.main(["--service"]) == 1
    assert "pip-audit was not asked about torch" in capsys.readouterr().err
