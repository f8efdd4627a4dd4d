"""All studies by name."""

from typing import NamedTuple


class Study(NamedTuple):
    """A study that ``python -m examples.reproduce`` runs.

    Attributes:
        module: The module whose ``main(name, arguments)`` runs it.
        summary: One line for ``--help``.
    """

    module: str
    summary: str


STUDIES = {
    "table1": Study("paper", "Table I: L-GrIN beside its competitors, faces"),
    "table2": Study("paper", "Table II: L-GrIN beside its competitors, speech"),
    "table3": Study("paper", "Table III: L-GrIN beside its competitors, body motion"),
    "table4": Study("paper", "Table IV: readouts on the line graph"),
    "table5": Study("paper", "Table V: the learned graph, the line, a graph of feature distances"),
    "table6": Study("paper", "Table VI: the ten networks between a GCN and L-GrIN"),
    "table7": Study("paper", "Table VII: widths and number of layers"),
    "table8": Study("paper", "Table VIII: transfer from one corpus to another"),
    "fig4": Study("paper", "Figure 4: learned graphs beside three controls"),
    "fig6": Study("paper", "Figure 6: a sweep of the weights of the structure loss"),
    "fig7": Study("paper", "Figure 7: the salient frame of each class"),
    "graphs": Study("paper", "learned graphs and given ones, frames in order and shuffled"),
    "optimism": Study("paper", "the same data split in four ways"),
    "missing": Study("paper", "frames missing at test or in training too, the paper's recipe beside an LSTM"),
    "planted": Study("paper", "whether a known graph is recovered"),
    "kinds": Study("kinds", "what each kind of graph recovers of a planted one"),
    "accuracy": Study("accuracy", "the default classifier beside other methods, on the same folds"),
    "bank": Study("bank", "the default, its parts, and other libraries' methods on the same splits"),
    "suite": Study("suite", "tasks from training data alone, on which settings are chosen"),
    "bank-parts": Study("bank_parts", "what each part of the bank is worth, on the same tasks"),
    "adaptation": Study("adaptation", "how many clips of a new speaker a classifier needs to be adapted"),
    "pretraining": Study("pretraining", "few labels with and without pretraining on sequences without labels"),
    "encoder": Study("encoder", "an encoder trained on series made by code, beside the bank"),
    "ablation": Study("ablation", "parts of the recommended recipe, compared inside the training data"),
    "missing-recommended": Study("missing_recommended", "frames missing at test, the recommended recipe"),
    "missing-values": Study("missing_values", "single values missing: filled, flagged by channels, frames left out"),
    "lengths": Study("lengths", "sequences of other lengths than those of training, nothing stretched"),
    "refine": Study("refine", "whether training repairs a graph with missing and false edges"),
    "sensors": Study("sensors", "hidden pairs of sensors: what the learned graph names"),
    "statistics": Study("statistics", "coverage of the intervals and false alarms of the tests, by simulation"),
}
