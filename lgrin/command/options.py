"""The commands and their options. Nothing here imports torch."""

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

import lgrin
from lgrin.command.parser import Parser

CORPORA = {  # names of data sets of recordings, and their classes in lgrin.datasets
    "emodb": "EmoDB",
    "enterface05": "ENTERFACE05",
    "iemocap": "IEMOCAP",
    "mpi": "MPIBodyExpressions",
    "ravdess": "RAVDESS",
    "rml": "RML",
    "audio": "AudioFolder",
    "video": "VideoFolder",
    "mocap": "MocapFolder",
    "table": "TableFolder",
}
FOLDERS = ("audio", "video", "mocap", "table")  # those that are a user's own
FEATURES = {  # names of extractors: their classes in lgrin.features, and arguments
    "paper": ("Speech", ("paper",)),
    "released": ("Speech", ("released",)),
    "is09": ("Speech", ("is09",)),
    "compare": ("Speech", ("compare",)),
    "face-alignment": ("FaceLandmarks", ()),
    "dlib": ("FaceLandmarks", ("dlib",)),
    "openface": ("OpenFace", ()),
    "mocap": ("Mocap", ()),
}
RECIPES = ("recommended", "any_length")
LAYOUT = """\
layout of your own folder, for audio, video, mocap and table (groups, such as
speakers, are optional):
  my-recordings/angry/anna/1.wav    class / group / file
  my-recordings/angry/bert/1.wav
  my-recordings/calm/anna/1.wav

"""


class Command(NamedTuple):
    """One command; the module of its name in :mod:`lgrin.command` runs it.

    Attributes:
        summary: One line for ``lgrin --help``.
        add_arguments: Adds its options to a parser.
        epilog: What ``--help`` says below the options.
    """

    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    epilog: str = ""


def add_data_arguments(parser: argparse.ArgumentParser, default: str | None = "JapaneseVowels") -> None:
    """Adds the arguments that choose a data set.

    Args:
        parser: The parser.
        default: The data set that is taken without any choice; ``None`` requires one.

    Example:
        >>> parser = Parser("lgrin")
        >>> add_data_arguments(parser)
        >>> parser.parse_args([]).dataset
        'JapaneseVowels'
    """
    parser.add_argument(
        "--dataset",
        default=default,
        required=default is None,
        metavar="NAME",
        help=f"{', '.join(CORPORA)} (the last four: your own folders), or of the UEA or UCR archive"
        + (" (default: %(default)s)" if default else ""),
    )
    parser.add_argument(
        "--root", default="data", metavar="DIR", help="folder of the corpus or the archive (default: %(default)s)"
    )
    parser.add_argument(
        "--cache", default="data/processed", metavar="DIR", help="folder of cached features (default: %(default)s)"
    )
    parser.add_argument(
        "--features", choices=FEATURES, metavar="NAME", help=f"{', '.join(FEATURES)} (default: those of the corpus)"
    )
    parser.add_argument("--time", metavar="COLUMN", help="column of times of your own tables, which is no channel")
    parser.add_argument("--skip-broken", action="store_true", help="skip broken files of a corpus and list them")


def _folds(text: str) -> int | str:
    """Reads the value of ``--folds``."""
    if text == "groups":
        return text
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of folds; it may be a whole number from 2, or groups")
    return int(text)


def _add_split(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say which groups are tested, of which one may be given."""
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--test-groups", nargs="+", metavar="NAME", help="test these groups (default: a fifth of all)")
    chosen.add_argument(
        "--folds",
        type=_folds,
        metavar="K",
        help="test every group once, in K folds of whole groups, or one group at a time with --folds groups; then "
        "train the model on everything",
    )
    chosen.add_argument("--no-test", action="store_true", help="train on everything and test nothing")


def _add_train(parser: argparse.ArgumentParser) -> None:
    add_data_arguments(parser)
    _add_split(parser)
    number: dict[str, Any] = {"type": int, "metavar": "N"}
    parser.add_argument(
        "--epochs",
        **number,
        help="passes over the training set (default: 150 steps, at least 15 passes; four times as many with --no-bank)",
    )
    parser.add_argument(
        "--seed", default=0, **number, help="seed of weights, batches and splits (default: %(default)s)"
    )
    parser.add_argument("--recipe", default="recommended", metavar="NAME", help=f"{', '.join(RECIPES)} (%(default)s)")
    parser.add_argument(
        "--device", default="auto", metavar="NAME", help="auto, cpu, cuda or cuda:1 (default: %(default)s)"
    )
    parser.add_argument("--devices", default=1, **number, help="processes per host (default: %(default)s)")
    parser.add_argument("--hosts", default=1, **number, help="machines, started by torchrun (default: %(default)s)")
    parser.add_argument("--precision", default="32-true", metavar="NAME", help="such as bf16-mixed (%(default)s)")
    parser.add_argument("--compile", action="store_true", help="compile the training step with torch.compile")
    parser.add_argument("--no-bank", action="store_true", help="train the network alone, without a bank of filters")
    parser.add_argument("--out", metavar="DIR", help="folder of the run (default: runs/<data>-seed<seed>)")
    parser.add_argument("--resume", action="store_true", help="continue an interrupted run")
    parser.add_argument("--no-progress", action="store_true", help="show no progress")


def _add_predict(parser: argparse.ArgumentParser) -> None:
    _add_checkpoint(parser)
    parser.add_argument("recording", nargs="+", help="files of the kind that the model was trained on")
    parser.add_argument(
        "--json", action="store_true", help="print a line of JSON for each recording, in full precision"
    )
    parser.add_argument(
        "--spontaneous", choices=("yes", "no"), help="whether the speech is spontaneous, for models of IEMOCAP"
    )


def _add_export(parser: argparse.ArgumentParser) -> None:
    _add_checkpoint(parser)
    parser.add_argument("out", help="NAME.onnx; beside it come NAME-8bit.onnx, model cards, and for speech classify.py")


def _add_features(parser: argparse.ArgumentParser) -> None:
    add_data_arguments(parser, default=None)
    parser.add_argument("--out", metavar="FILE.csv", help="a table to write: a row for each frame of each recording")
    parser.add_argument("--no-progress", action="store_true", help="show no progress")


def _add_reproduce(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", nargs="?", help="such as table2; without one, all are listed")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="options of the study, see STUDY --help")


def _add_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="folder of a run, such as runs/JapaneseVowels-seed0")
    parser.add_argument("--out", metavar="FILE.html", help="the page to write (default: report.html in the run)")


def _add_checkpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="a run, such as runs/emodb-seed0, or its checkpoints/model.ckpt")


COMMANDS = {
    "train": Command(
        "train L-GrIN on a corpus, your own folder, or a set of the UEA archive",
        _add_train,
        LAYOUT + "A fifth of the groups (speakers, actors, subjects) is held out for the test, or\n"
        "a fifth of the recordings where there are no groups. A set of the archive has\n"
        "a test set of its own. --test-groups, --folds and --no-test say otherwise.\n"
        "The model, metrics.json, predictions.csv and pictures are written to\n"
        "runs/<data>-seed<seed>/.",
    ),
    "predict": Command("classify recordings with a trained model", _add_predict),
    "export": Command("write a trained model as ONNX files for a device, in float32 and in 8 bits", _add_export),
    "features": Command("extract the features of recordings into the cache, and into a table", _add_features, LAYOUT),
    "reproduce": Command("run a study of the paper or of this project, in a clone of its repository", _add_reproduce),
    "show": Command("write one page about a run, for the browser", _add_show),
}


def make_parser() -> Parser:
    """Makes the parser of all commands.

    Returns:
        The parser; what it reads has ``command``, ``traceback`` and the options of the command.

    Example:
        >>> make_parser().parse_args(["train", "--seed", "3"]).seed
        3
    """
    parser = Parser("lgrin", description="Learnable graphs for sequences.", epilog="lgrin COMMAND --help says more.")
    parser.add_argument("--version", action="version", version=f"lgrin {lgrin.__version__}")
    chosen = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    for name, command in COMMANDS.items():
        summary = command.summary[0].upper() + command.summary[1:] + "."
        one = chosen.add_parser(
            name,
            help=command.summary,
            description=summary,
            epilog=command.epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,  # an epilog has lines of its own
        )
        command.add_arguments(one)
        one.add_argument("--traceback", action="store_true", help="show where in the code an error was raised")
        one.set_defaults(parser=one)
    return parser
