"""The check of the manual's pages finds what it says."""

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def prose():
    """The script, whose name has no ending."""
    loader = SourceFileLoader("prose", str(ROOT / ".ci" / "prose"))
    module = module_from_spec(spec_from_loader("prose", loader))
    loader.exec_module(module)
    return module


@pytest.fixture
def page(tmp_path):
    (tmp_path / "other.md").write_text("# One `title`, of two\n```python\n# no title\n```\n")
    return tmp_path / "page.md"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[a](nowhere.md)", "nowhere.md leads to no file"),
        ("[a](other.md#no-title)", "other.md#no-title leads to no heading"),
        ("[a](#there)", "#there leads to no heading"),
        ("A [link over two\nlines](#there)", "#there leads to no heading"),
        ("[a](http://example.org)", "is no whole https address"),
        ("[a](https://example)", "is no whole https address"),
        ("See {doc}`other`.", "{doc} is dead text outside Sphinx"),
        ("A {class}`lgrin.LGrIN`.", "{class} is dead text outside Sphinx"),
        (51 * "a word " + "ends.", "a sentence of 103 words begins"),
        ("word " * 21, "has 105 characters; wrap it at 100"),
        ("Formats, e.g. this one.", "write 'for example'"),
        ("It it works.", "a word stands twice"),
        ("This simply works.", "leave it out"),
    ],
)
def test_each_fault_is_found_with_its_line(prose, page, text, fault):
    page.write_text(f"# A title\n\n{text}\n")
    found = prose.check(page)
    last = 3 + text.count("\n")
    assert any(line.startswith(f"{page}:{last}: ") and fault in line for line in found), found


@pytest.mark.parametrize(
    "text",
    [
        "[a](other.md#one-title-of-two), [b](https://example.org/page#part) and [c](#a-title)",
        "```python\nx = 1  # e.g. " + 100 * "x" + "\n```",
        "| a row | " + "of a table " * 20 + "|",
        "Write `x x` and `e.g.` as they are.",
    ],
)
def test_what_is_right_is_left_alone(prose, page, text):
    page.write_text(f"# A title\n\n{text}\n")
    assert prose.check(page) == []


def test_an_included_file_has_a_link_above_it(prose, page):
    block = "```{literalinclude} other.md\n:language: python\n```\n"
    page.write_text(f"# A title\n\n{block}")
    assert prose.check(page) == [f"{page}:3: other.md is shown by Sphinx alone; link to it above"]
    page.write_text(f"# A title\n\n[Here](other.md):\n\n{block}")
    assert prose.check(page) == []


def test_the_pages_of_the_manual_have_no_fault(prose, capsys):
    assert prose.main([]) == 0, capsys.readouterr().out
