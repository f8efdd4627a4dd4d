"""Runs one study: an experiment of the paper, one that it lacks, or a comparison of the recommended recipe.

python -m examples.reproduce table2 --dataset emodb --root corpora/emodb --protocol group
python -m examples.reproduce accuracy --emodb corpora/emodb
python -m examples.reproduce accuracy --help
"""

import argparse
import importlib

STUDIES = {  # by name: the module whose main runs it, and what it is
    "table1": ("paper", "Table I: L-GrIN beside its competitors, faces"),
    "table2": ("paper", "Table II: L-GrIN beside its competitors, speech"),
    "table3": ("paper", "Table III: L-GrIN beside its competitors, body motion"),
    "table4": ("paper", "Table IV: readouts on the line graph"),
    "table5": ("paper", "Table V: the learned graph, the line, a graph of feature distances"),
    "table6": ("paper", "Table VI: the ten networks between a GCN and L-GrIN"),
    "table7": ("paper", "Table VII: widths and number of layers"),
    "table8": ("paper", "Table VIII: transfer from one corpus to another"),
    "fig4": ("paper", "Figure 4: learned graphs beside three controls"),
    "fig6": ("paper", "Figure 6: a sweep of the weights of the structure loss"),
    "fig7": ("paper", "Figure 7: the salient frame of each class"),
    "graphs": ("paper", "learned graphs and given ones, frames in order and shuffled"),
    "optimism": ("paper", "the same data split in four ways"),
    "missing": ("paper", "frames missing at test or in training too, the paper's recipe beside an LSTM"),
    "planted": ("paper", "whether a known graph is recovered"),
    "accuracy": ("accuracy", "the default classifier beside other methods, on the same folds"),
    "ablation": ("ablation", "parts of the recommended recipe, compared inside the training data"),
    "missing-recommended": ("missing_recommended", "frames missing at test, the recommended recipe"),
    "statistics": ("statistics", "coverage of the intervals and false alarms of the tests, by simulation"),
}


def main(arguments=None):
    width = max(map(len, STUDIES))
    parser = argparse.ArgumentParser(
        prog="python -m examples.reproduce",
        description=__doc__.split("\n\n")[0],
        epilog="\n".join(["studies:", *(f"  {name:{width}}  {line}" for name, (_, line) in STUDIES.items())]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("study", choices=STUDIES, metavar="STUDY", help="one of those below")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="of the study: see STUDY --help")
    chosen = parser.parse_args(arguments)
    module, _ = STUDIES[chosen.study]
    return importlib.import_module(f"examples.reproduce.{module}").main(chosen.study, chosen.options)


if __name__ == "__main__":
    main()
