"""The guard around imports of optional libraries names the extra where one is absent, and hides no other error."""

import re
import sys

import pytest

from lgrin.extras import optional

MESSAGE = 'is not installed; it comes with an extra of lgrin: pip install "lgrin[train]"'


@pytest.mark.parametrize("statement", ["import absent", "import absent.part", "from absent.part import Thing"])
def test_an_absent_library_is_one_error_that_names_the_extra(statement, tmp_path, monkeypatch):
    (tmp_path / "user.py").write_text(f"from lgrin.extras import optional\nwith optional('train'):\n    {statement}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match=re.escape(f"absent {MESSAGE}")) as caught:
        __import__("user")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_a_library_that_lacks_one_of_its_own_keeps_its_error(tmp_path, monkeypatch):
    (tmp_path / "installed.py").write_text("import absent\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'absent'$"), optional("train"):
        import installed  # noqa: F401


def test_a_library_that_lacks_a_part_keeps_its_error():
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'json\.absent'"), optional("train"):
        import json.absent  # noqa: F401
    with pytest.raises(ImportError, match="cannot import name 'absent' from 'json'"), optional("train"):
        from json import absent  # noqa: F401


def test_a_library_that_is_broken_keeps_its_error(tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text("raise OSError('no such processor')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(OSError, match=r"^no such processor$"), optional("train"):
        import broken  # noqa: F401


def test_a_library_that_is_blocked_counts_as_absent(monkeypatch):
    monkeypatch.setitem(sys.modules, "absent", None)
    with pytest.raises(ImportError, match=re.escape(f"absent {MESSAGE}")), optional("train"):
        import absent.part  # noqa: F401


def test_what_is_there_is_imported(monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with optional("train"):
        import colorsys
    assert colorsys.rgb_to_hsv(1, 1, 1) == (0, 0, 1)
