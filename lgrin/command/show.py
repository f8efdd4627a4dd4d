"""``lgrin show``: one page about a run, in one file, for any browser."""

import argparse
from pathlib import Path

from lgrin.command.page import write_page


def run(options: argparse.Namespace) -> Path:
    """Writes the page of a run.

    Args:
        options: The options of ``lgrin show``.

    Returns:
        The file.

    Raises:
        FileNotFoundError: If the folder holds no run.
        ValueError: If what it holds is damaged.
    """
    out = Path(options.out) if options.out else Path(options.run) / "report.html"
    write_page(options.run, out)
    print(f"{out}: {out.stat().st_size / 1000:,.0f} kB; open it in a browser")
    return out
