"""The page of a run: HTML that holds its pictures, and asks no server for anything."""

import base64
import csv
import html
import io
import json
import shlex
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lgrin import datasets
from lgrin.command import score
from lgrin.command.options import CORPORA
from lgrin.command.pictures import mean_by_distance, plot_by_distance, plot_places
from lgrin.extras import optional
from lgrin.files import write_atomically
from lgrin.text import one_line
from lgrin.training.results import interval_to_show
from lgrin.visualization import plot_adjacency, plot_change, plot_confusion, plot_learning_curves
from lgrin.visualization.graphs import MARKED_NODES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 0 auto; max-width: 84rem;
  padding: 1rem; overflow-wrap: anywhere; }
main { columns: 33rem 2; column-gap: 3rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.2rem; margin: 0 0 .5rem; border-top: 1px solid #bbb; padding-top: 1rem; break-after: avoid; }
section { margin-bottom: 2rem; }
p, li { max-width: 42rem; }
p, dl, pre, table, figure { break-inside: avoid; }
section > p { break-after: avoid; }
dl.figures { display: flex; flex-wrap: wrap; gap: 1rem 2rem; margin: 1rem 0; }
dl.figures div { min-width: 6rem; }
dl.figures dt { font-size: .85rem; color: #444; }
dl.figures dd { font-size: 1.5rem; margin: 0; font-variant-numeric: tabular-nums; }
pre { background: #f3f3f3; padding: .5rem .8rem; margin: .5rem 0; white-space: pre-wrap; font-size: .9rem; }
th { overflow-wrap: normal; }
table { border-collapse: collapse; margin: .5rem 0; font-size: .95rem; }
th, td { text-align: left; padding: .15rem .8rem .15rem 0; border-bottom: 1px solid #ddd; vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr)); gap: 1rem; }
figure { margin: 0 0 1rem; max-width: 32rem; } img { width: 100%; height: auto; }
figcaption { font-size: .9rem; color: #333; }
.note { border-left: 4px solid #1a1a1a; padding-left: .8rem; }
footer { margin-top: 2rem; font-size: .85rem; color: #444; }
""".strip()


class Run(NamedTuple):
    """What the folder of a run holds.

    Attributes:
        folder: The folder.
        metrics: What ``metrics.json`` says; empty where it is absent.
        rows: The rows of ``predictions.csv``; empty where it is absent.
        graphs: The matrices ``start`` and ``learned``; empty where they are absent.
    """

    folder: Path
    metrics: dict[str, Any]
    rows: list[dict[str, str]]
    graphs: dict[str, np.ndarray]


def read_run(folder: str | Path) -> Run:
    """Reads what ``lgrin train`` has written, as far as it is there.

    Args:
        folder: The folder of the run.

    Returns:
        The run.

    Raises:
        FileNotFoundError: If the folder holds no run.
        ValueError: If a file is damaged.

    Example:
        >>> read_run("/nowhere")
        Traceback (most recent call last):
        ...
        FileNotFoundError: /nowhere holds no run (neither metrics.json nor logs/); give the folder ... named
    """
    folder = Path(folder)
    if not (folder / "metrics.json").exists() and not (folder / "logs").is_dir():
        raise FileNotFoundError(
            f"{folder} holds no run (neither metrics.json nor logs/); give the folder that lgrin train named"
        )
    readers: dict[str, Callable[[Path], Any]] = {
        "metrics.json": _read_metrics,
        "predictions.csv": _read_rows,
        "graphs.npz": _read_graphs,
    }
    found: list[Any] = []
    for name, read in readers.items():
        try:
            found.append(read(folder / name) if (folder / name).exists() else read.__annotations__["return"]())
        except (KeyError, OSError, ValueError, csv.Error) as error:
            raise ValueError(f"{folder / name} is damaged ({error}); train again, or delete it") from error
    return Run(folder, *found)


def _read_metrics(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError("its JSON is no object")
    return content


def _read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _read_graphs(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as content:
        return {name: content[name] for name in ("start", "learned")}


def write_page(folder: str | Path, out: str | Path) -> None:
    """Writes the page of a run.

    Args:
        folder: The folder of the run.
        out: The HTML file.

    Raises:
        FileNotFoundError: If the folder holds no run.
        ValueError: If a file of the run is damaged.
    """
    run = read_run(folder)
    sections = (_score, _use, _groups, _data, _results, _graph, _curves, _salient, _absent)
    parts = [f"<section>\n{content}</section>\n" for section in sections if (content := section(run))]
    title = _text(Path(folder).resolve().name)
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}: a run of lgrin</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n"
        f"<h1>{title}</h1>\n<main>\n{''.join(parts)}</main>\n{_footer(run)}</body>\n</html>\n"
    )
    write_atomically(out, lambda name: Path(name).write_text(page, encoding="utf-8"))


def _score(run: Run) -> str:
    """The figures of the run, whom they are of, and what there is to say against them."""
    found, said = run.metrics, []
    data, recipe, seed = (_text(found.get(name, "unknown")) for name in ("dataset", "recipe", "seed"))
    said.append(
        f"<p>Data set {data}, recipe {recipe}, seed {seed}. {_text(score.tested_on(found))}.</p>\n{_figures(run)}"
    )
    if (interval := interval_to_show(found)) is not None:
        low, high = (f"{interval[name]:.3f}" for name in ("low", "high"))
        said.append(f"<p>Accuracy from {low} to {high}: {_text(interval['method'])}.</p>\n")
    said += [_note(f"{one[:1].upper()}{one[1:]}.") for one in found.get("cautions", ())]
    if (better := score.advice(found)) is not None:
        said.append(_note(f"A better test: lgrin train {better}."))
    counts = _confusion(run)
    if counts is not None:
        largest = counts.sum(1).max() / max(counts.sum(), 1)
        said.append(
            f"<p>Always naming the most frequent class of the test set would have an accuracy of {largest:.3f}.</p>\n"
        )
        if (counts.sum(0) > 0).sum() == 1:
            said.append(
                _note(
                    "This model predicts one class only. It has learned nothing yet: look whether the training loss "
                    "below has fallen, train longer, and check that labels and files belong together."
                )
            )
    return "".join(said)


def _figures(run: Run) -> str:
    found = dict(run.metrics)
    if found.get("parameters") is not None:
        found["kilobytes"] = 4 * found["parameters"] / 1000
    known = {
        "accuracy": ("accuracy", ".3f"),
        "mean recall of the classes (UAR)": ("uar", ".3f"),
        "parameters": ("parameters", ",d"),
        "kB of parameters, in float32": ("kilobytes", ",.0f"),
        "seconds for reading, training and testing": ("seconds", ",.0f"),
    }
    shown = [(title, format(found[key], style)) for title, (key, style) in known.items() if found.get(key) is not None]
    rows = "".join(f"<div><dt>{title}</dt><dd>{value}</dd></div>" for title, value in shown)
    return f'<dl class="figures">{rows}</dl>\n'


def _use(run: Run) -> str:
    """What to type next."""
    if not any((run.folder / "checkpoints" / name).exists() for name in ("model.ckpt", "best.ckpt")):
        return ""
    folder, kind = shlex.quote(str(run.folder)), score.kind(run.metrics)
    lines, told = [f"lgrin export {folder} model.onnx"], "Write the model for a device"
    if kind in CORPORA:
        told = "Classify new recordings, or write the model for a device"
        lines.insert(0, f"lgrin predict {folder} {Path(getattr(datasets, CORPORA[kind]).example).name}")
    typed = "".join(f"<pre>{html.escape(one)}</pre>\n" for one in lines)
    return _section("Use the model", f"<p>{told}:</p>\n{typed}")


def _groups(run: Run) -> str:
    rows = [(name, count, f"{accuracy:.3f}") for name, accuracy, count in score.by_group(run.metrics)]
    if not rows:
        return ""
    told = "<p>The groups that were tested, those with the lowest accuracy first:</p>\n"
    return _section("Accuracy by group", told + _table(("group", "sequences", "accuracy"), rows))


def _data(run: Run) -> str:
    data, classes = run.metrics.get("data"), run.metrics.get("classes")
    if not data or not classes:
        return ""
    rows = list(zip(classes, data["train"], data["test"], strict=True))
    rows.append(("all", sum(data["train"]), sum(data["test"])))
    frames, count = data["frames"], data.get("sequences", sum(data["train"]) + sum(data["test"]))
    span = f"{frames['shortest']} to {frames['longest']} (median {frames['median']})"
    if frames["shortest"] == frames["longest"]:
        span = str(frames["longest"])
    told = (
        f"<p>{count} sequences of {span} frames, {data['features']} features a frame"
        + (f", {data['groups']} groups" if data["groups"] else "")
        + ".</p>\n"
    )
    folds = bool(run.metrics.get("folds"))
    told += _table(
        ("class", "training of the model", "tested in folds") if folds else ("class", "training", "test"), rows
    )
    told += f"<p>{len(data['left_out'])} files were left out.</p>\n"
    if data["left_out"]:
        told += _table(("left out", "reason"), list(data["left_out"].items()))
    return _section("Data", told)


def _results(run: Run) -> str:
    counts, classes = _confusion(run), run.metrics.get("classes")
    if counts is None or not classes:
        return ""
    picture = _picture(
        plot_confusion(counts, classes),
        "Confusion matrix of the test set; the table has the same counts.",
        "Rows are true classes, columns predicted ones. Numbers are sequences.",
    )
    wrong = counts - np.diag(np.diag(counts))
    order = sorted(zip(*np.nonzero(wrong), strict=True), key=lambda pair: -int(wrong[pair]))[:8]
    mistakes = [(classes[true], classes[named], int(wrong[true, named])) for true, named in order]
    recalls = [
        (name, f"{counts[i, i]} of {counts[i].sum()}", f"{counts[i, i] / max(counts[i].sum(), 1):.2f}")
        for i, name in enumerate(classes)
    ]
    tables = _table(("class", "recognised", "recall"), recalls)
    tables += _table(("true class", "taken for", "sequences"), mistakes) if mistakes else "<p>No mistake.</p>\n"
    return _section("What is recognised", f'<div class="pictures">{picture}<div>{tables}</div></div>\n')


def _curves(run: Run) -> str:
    if not any(run.folder.glob("logs/version_*/metrics.csv")):
        return ""
    picture = _picture(
        plot_learning_curves(run.folder),
        "Loss of every epoch.",
        "The loss of every epoch. A loss that still falls at the end asks for more epochs.",
    )
    return _section("Training", picture)


def _graph(run: Run) -> str:
    if not run.graphs:
        return ""
    start, learned = run.graphs["start"], run.graphs["learned"]
    moved = float(np.abs(learned - start).sum() / max(np.abs(start).sum(), 1e-12))
    nodes = f"The nodes of the graph are {learned.shape[-1]} frames"
    if run.metrics.get("num_nodes") is not None:
        nodes += ", to which the network resamples each sequence"
    elif "num_nodes" in run.metrics:
        reach = learned.shape[-1] // 2
        nodes = f"Each sequence keeps its own frames; a weight belongs to a distance of up to {reach} frames"
    told = (
        f"<p>{nodes}. A[i, j] is how much frame i gets of frame j. Training moved {moved:.0%} of the weight of the "
        f"start.</p>\n"
    )
    if learned.ndim > 2:
        pictures = [
            _picture(
                plot_by_distance(before, after),
                f"Mean weight by distance in head {head}.",
                f"Head {head}: mean weight by distance in time.",
            )
            for head, (before, after) in enumerate(zip(start, learned, strict=True))
        ]
        return _section("The graph", f'{told}<div class="pictures">{"".join(pictures)}</div>\n')
    return _section("The graph", told + _one_graph(start, learned))


def _one_graph(start: np.ndarray, learned: np.ndarray) -> str:
    """The mean weight by distance first: of many frames, a matrix shows a thin line only."""
    curve = _picture(
        plot_by_distance(start, learned),
        "Mean weight by distance in time; the table has the same means.",
        "Mean weight by distance in time: 0 is a frame itself, -1 the frame before, 1 the frame after.",
    )
    marked = ", which a minus marks" if len(learned) <= MARKED_NODES else ""
    matrices = [
        _picture(plot_adjacency(learned), "The learned graph.", "The learned A: row i has what frame i gets."),
        _picture(
            plot_change(start, learned),
            "The change of the graph from its start.",
            f"What training changed: blue where a weight grew, red where it fell{marked}.",
        ),
    ]
    return f'{curve}{_by_distance(start, learned)}<div class="pictures">{"".join(matrices)}</div>\n'


def _by_distance(start: np.ndarray, learned: np.ndarray) -> str:
    """A table of the mean weights of the nearest frames."""
    before, after = mean_by_distance(start), mean_by_distance(learned)
    middle = len(before) // 2
    reach = min(3, middle)
    words = {0: "the frame itself", -1: "1 frame earlier", 1: "1 frame later"}
    rows = []
    for apart in range(-reach, reach + 1):
        name = words.get(apart, f"{abs(apart)} frames {'earlier' if apart < 0 else 'later'}")
        rows.append((name, f"{before[middle + apart]:.3f}", f"{after[middle + apart]:.3f}"))
    return _table(("source", "mean weight at the start", "learned"), rows)


def _salient(run: Run) -> str:
    """Where the salient frames of each class lie."""
    by_class: dict[str, list[float]] = {}
    for row in run.rows:
        if row.get("salient"):
            by_class.setdefault(row["true"], []).append(float(row["salient"]))
    if not by_class:
        return ""
    caption = "A dot is a test sequence; a black line is the median of its class."
    picture = _picture(plot_places(by_class), "Places of the salient frames by class.", caption)
    told = (
        "<p>The maximum readout takes the largest value of each channel over all frames. The salient frame is the "
        "frame that holds this maximum in most channels.</p>\n"
    )
    return _section("Salient frames", told + picture)


def _absent(run: Run) -> str:
    """What the page does not show, and why."""
    reasons = {
        "Score and mistakes": (
            not run.metrics.get("confusion"),
            "metrics.json holds none; nothing was tested, or the run has not ended",
        ),
        "The graph": (not run.graphs, "graphs.npz is absent; the graph differs by sequence, or the run has not ended"),
        "Salient frames": (
            not any(row.get("salient") for row in run.rows),
            "predictions.csv holds none; nothing was tested, or the network has no maximum readout",
        ),
    }
    rows = [(name, reason) for name, (lacks, reason) in reasons.items() if lacks]
    return _section("Not shown", _table(("part", "reason"), rows)) if rows else ""


def _footer(run: Run) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in run.metrics.get("versions", {}).items())
    return f"<footer>{_text(run.folder)}. {_text(versions)}</footer>\n"


def _confusion(run: Run) -> np.ndarray | None:
    found = run.metrics.get("confusion")
    return None if not found else np.asarray(found, dtype=np.int64)


def _note(text: str) -> str:
    return f'<p class="note">{_text(text)}</p>\n'


def _section(title: str, content: str) -> str:
    return f"<h2>{title}</h2>\n{content}"


def _text(value: object) -> str:
    return html.escape(one_line(value, 2_000))


def _table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    rows = list(rows)
    numeric = [all(_is_number(row[place]) for row in rows) for place in range(len(names))]
    kinds = [' class="number"' if one else "" for one in numeric]
    head = "".join(f"<th{kind}>{_text(name)}</th>" for name, kind in zip(names, kinds, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{_text(one)}</td>" for one, kind in zip(row, kinds, strict=True)) + "</tr>\n"
        for row in rows
    )
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n"


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True


def _picture(ax: "Axes", alternative: str, caption: str) -> str:
    """A picture inside the page, as SVG, the same for the same run."""
    with optional("train"):
        from matplotlib import rc_context
    written = io.BytesIO()
    with rc_context({"svg.hashsalt": "lgrin"}):
        ax.figure.canvas.figure.savefig(written, format="svg", bbox_inches="tight", metadata={"Date": None})
    data = base64.b64encode(written.getvalue()).decode()
    image = f'<img src="data:image/svg+xml;base64,{data}" alt="{_text(alternative)}">'
    return f"<figure>{image}<figcaption>{_text(caption)}</figcaption></figure>\n"
