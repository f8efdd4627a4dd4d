"""The page of a run: HTML that holds its pictures, and asks no server for anything."""

import base64
import csv
import html
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lgrin.command import score
from lgrin.extras import optional
from lgrin.files import write_atomically
from lgrin.text import one_line
from lgrin.training.results import interval_to_show
from lgrin.visualization import (
    plot_adjacency,
    plot_change,
    plot_confusion,
    plot_edge_distance,
    plot_learning_curves,
)
from lgrin.visualization.figure import BLUE, axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 0 auto; max-width: 60rem;
  padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; border-top: 1px solid #bbb; padding-top: 1rem; }
p, li { max-width: 42rem; }
dl.figures { display: flex; flex-wrap: wrap; gap: 1rem 2rem; margin: 1rem 0; }
dl.figures div { min-width: 7rem; }
dl.figures dt { font-size: .85rem; color: #444; }
dl.figures dd { font-size: 1.5rem; margin: 0; font-variant-numeric: tabular-nums; }
th { overflow-wrap: normal; }
table { border-collapse: collapse; margin: .5rem 0; font-size: .95rem; }
th, td { text-align: left; padding: .15rem .8rem .15rem 0; border-bottom: 1px solid #ddd; vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr)); gap: 1rem; }
figure { margin: 0; } img { width: 100%; height: auto; } figcaption { font-size: .9rem; color: #333; }
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
    parts = [section(run) for section in (_figures, _data, _results, _curves, _graph, _salient, _absent)]
    title = _text(Path(folder).resolve().name)
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}: a run of lgrin</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n"
        f"<h1>{title}</h1>\n{''.join(parts)}{_footer(run)}</body>\n</html>\n"
    )
    write_atomically(out, lambda name: Path(name).write_text(page, encoding="utf-8"))


def _figures(run: Run) -> str:
    """The figures of the run, and what a trivial classifier would have."""
    found = run.metrics
    known = {
        "accuracy": ("accuracy", ".3f"),
        "mean recall of the classes (UAR)": ("uar", ".3f"),
        "weights": ("parameters", ",d"),
        "seconds": ("seconds", ".0f"),
    }
    shown = [(title, format(found[key], style)) for title, (key, style) in known.items() if found.get(key) is not None]
    names = ("dataset", "recipe", "seed")
    data, recipe, seed = (_text(found.get(name, "unknown")) for name in names)
    told = f"<p>Data set {data}, recipe {recipe}, seed {seed}.</p>\n"
    told += "".join(f"<div><dt>{title}</dt><dd>{value}</dd></div>" for title, value in shown).join(
        ('<dl class="figures">', "</dl>\n")
    )
    told += f"<p>{_text(score.tested_on(found))}.</p>\n"
    counts = _confusion(run)
    if counts is None:
        return told
    largest = counts.sum(1).max() / max(counts.sum(), 1)
    told += _interval(interval_to_show(found))
    told += "".join(f'<p class="note">{_text(one.capitalize())}.</p>\n' for one in found.get("cautions", ()))
    told += f"<p>Always naming the most frequent class of the test set would have an accuracy of {largest:.3f}.</p>\n"
    if (counts.sum(0) > 0).sum() == 1:
        told += (
            '<p class="note">This model predicts one class only. It has learned nothing yet: look whether the training '
            "loss below has fallen, train longer, and check that labels and files belong together.</p>\n"
        )
    return told


def _interval(found: Mapping[str, Any] | None) -> str:
    """How far the accuracy may be off."""
    if not found:
        return ""
    low, high = (f"{found[name]:.3f}" for name in ("low", "high"))
    return f"<p>Accuracy from {low} to {high}: {_text(found['method'])}.</p>\n"


def _data(run: Run) -> str:
    data, classes = run.metrics.get("data"), run.metrics.get("classes")
    if not data or not classes:
        return ""
    rows = list(zip(classes, data["train"], data["test"], strict=True))
    rows.append(("all", sum(data["train"]), sum(data["test"])))
    frames, count = data["frames"], data.get("sequences", sum(data["train"]) + sum(data["test"]))
    told = (
        f"<p>{count} sequences of {frames['shortest']} to {frames['longest']} frames "
        f"(median {frames['median']}), {data['features']} features a frame"
        + (f", {data['groups']} people or groups" if data["groups"] else "")
        + ".</p>\n"
    )
    told += _table(("class", "training", "test"), rows)
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
    return _section("Training", f'<div class="pictures">{picture}</div>\n')


def _graph(run: Run) -> str:
    if not run.graphs:
        return ""
    start, learned = run.graphs["start"], run.graphs["learned"]
    moved = float(np.abs(learned - start).sum() / max(np.abs(start).sum(), 1e-12))
    told = f"<p>{learned.shape[-1]} frames. Training moved {moved:.0%} of the weight of the start.</p>\n"
    pictures = _one_graph(start, learned) if learned.ndim == 2 else _heads(start, learned)
    told += f'<div class="pictures">{"".join(pictures)}</div>\n'
    return _section("The graph", told + _largest_changes(start, learned))


def _one_graph(start: np.ndarray, learned: np.ndarray) -> list[str]:
    changed = "What training changed: blue where a weight grew, red (up to 50 frames marked by a minus) where it fell."
    return [
        _picture(
            plot_adjacency(learned), "The learned graph.", "The learned graph A: row i weights what frame i reads."
        ),
        _picture(plot_change(start, learned), "The change of the graph from its start.", changed),
        _picture(
            plot_edge_distance(learned), "Weights by distance.", "Weight of an edge by the distance of its frames."
        ),
    ]


def _heads(start: np.ndarray, learned: np.ndarray) -> list[str]:
    return [
        _picture(plot_change(before, after), f"The change of head {head}.", f"What training changed in head {head}.")
        for head, (before, after) in enumerate(zip(start, learned, strict=True))
    ]


def _largest_changes(start: np.ndarray, learned: np.ndarray) -> str:
    """A table of the weights that changed most."""
    order = np.argsort(-np.abs(learned - start), axis=None, kind="stable")[:8]
    places = list(zip(*np.unravel_index(order, learned.shape), strict=True))
    names = ("head", "target frame", "source frame")[-learned.ndim :]
    rows = [(*map(int, place), f"{start[place]:.3f}", f"{learned[place]:.3f}") for place in places]
    return "<p>The weights that changed most:</p>\n" + _table((*names, "at the start", "learned"), rows)


def _salient(run: Run) -> str:
    """Where the salient frames of each class lie."""
    by_class: dict[str, list[float]] = {}
    for row in run.rows:
        if row.get("salient"):
            by_class.setdefault(row["true"], []).append(float(row["salient"]))
    if not by_class:
        return ""
    ax = axes(None)
    for level, places in enumerate(by_class.values()):
        spread = (np.arange(len(places)) % 9 - 4) / 14  # dots of one place lie beside each other
        ax.scatter(places, level + spread, s=25, color=BLUE, alpha=0.6, linewidths=0)
        ax.plot([np.median(places)] * 2, [level - 0.4, level + 0.4], color="black", linewidth=2)
    ax.set_yticks(range(len(by_class)), list(map(one_line, by_class)), parse_math=False)
    ax.set(xlabel="place in the sequence, 0 is its first frame, 1 its last", xlim=(-0.03, 1.03))
    ax.invert_yaxis()
    caption = "A dot is a test sequence; a black line is the median of its class."
    picture = _picture(ax, "Places of the salient frames by class.", caption)
    told = "<p>The salient frame of a sequence wins most channels of the maximum readout.</p>\n"
    return _section("Salient frames", f'{told}<div class="pictures">{picture}</div>\n')


def _absent(run: Run) -> str:
    """What the page does not show, and why."""
    reasons = {
        "Figures, data and confusions": (
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
