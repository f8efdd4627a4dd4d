"""Runs one study: an experiment of the paper, one that the paper lacks, or a comparison of the recommended recipe.

    python -m examples.reproduce table2 --dataset emodb --root corpora/emodb --protocol group
    python -m examples.reproduce accuracy --emodb corpora/emodb
    python -m examples.reproduce accuracy --help

The modules of the studies are imported when they run, so that the list of studies is printed at once.
"""

import argparse
import importlib

from examples.reproduce.studies import STUDIES


def main(arguments=None):
    width = max(map(len, STUDIES))
    parser = argparse.ArgumentParser(
        prog="python -m examples.reproduce",
        description=__doc__.split("\n\n")[0],
        epilog="\n".join(["studies:", *(f"  {name:{width}}  {study.summary}" for name, study in STUDIES.items())]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("study", choices=STUDIES, metavar="STUDY", help="one of the studies below")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="options of the study, see STUDY --help")
    chosen = parser.parse_args(arguments)
    module = importlib.import_module(f"examples.reproduce.{STUDIES[chosen.study].module}")
    return module.main(chosen.study, chosen.options)


if __name__ == "__main__":
    main()
