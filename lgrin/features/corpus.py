"""Feature extraction from many files: in parallel, with a progress bar and a cache."""

import hashlib
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from tqdm import tqdm

from lgrin.checksum import load_tensors, read_if_whole, read_kept, save_tensors
from lgrin.features.extractor import Extractor, Frames, SignalError, SignalWarning
from lgrin.options import check_option, check_path, check_whole
from lgrin.parallel import WorkerLost, run_jobs
from lgrin.text import one_line

ON_ERROR = ("raise", "skip")
_listening = Lock()  # warnings are caught for a whole process, so threads take turns


class Extraction(NamedTuple):
    """The result of feature extraction from several files.

    Attributes:
        frames: For each file its frames, or ``None`` where there are none.
        failures: For each file without frames the reason.
    """

    frames: list[Frames | None]
    failures: dict[str, str]


def extract(
    extractor: Extractor,
    paths: Sequence[str | Path],
    cache: str | Path | None = None,
    *,
    on_error: str = "raise",
    workers: int | None = None,
    progress: bool = True,
) -> Extraction:
    """Extracts frames from several files in parallel.

    With a cache, each result is saved as soon as it is computed. Its file name is a hash of the file's content and of
    everything that the extractor's results depend on. A run that was interrupted therefore continues where it stopped;
    changed files and settings are processed again, moved files are not. Damaged cache files are computed again, with a
    warning.

    Args:
        extractor: Any extractor, for example ``Speech()``.
        paths: The files.
        cache: Folder for results; ``None`` saves none.
        on_error: ``"raise"`` stops at the first file without frames; ``"skip"`` continues, whatever a file raises, and
            lists these files in one warning at the end.
        workers: Number of processes. 1 uses this process alone. ``None`` starts one per core, or leaves the number to
            ``joblib.parallel_config``, whose backend may be other machines that see the same folders.
        progress: Whether to show a progress bar.

    Returns:
        Frames and failures.

    Raises:
        FileNotFoundError: If one of the files is not there.
        ConnectionError: If weights that the extractor needs cannot be fetched.
        ImportError: If a library is not installed, with the extra that brings it.
        RuntimeError: If a process died, with the files that were not finished.
        SignalError: Under ``"raise"``, with the file and the reason.

    Example:
        >>> import tempfile, numpy, soundfile
        >>> path = f"{tempfile.mkdtemp()}/noise.wav"
        >>> soundfile.write(path, numpy.random.default_rng(0).normal(0, 0.1, 16_000), 16_000)
        >>> from lgrin.features import Speech
        >>> extract(Speech(), [path], workers=1, progress=False).frames[0].x.shape
        torch.Size([98, 34])
    """
    check_option("on_error", on_error, ON_ERROR)
    if workers is not None:
        check_whole("workers", workers)
    files = [check_path(f"paths[{index}]", path) for index, path in enumerate(paths)]
    folder = None if cache is None else Path(cache) / extractor.fingerprint
    cache_paths = [_cache_path(path, folder) for path in files]
    kept = read_kept([place for place in cache_paths if place is not None], _load_cached, "cached features")
    outcomes = [None if place is None else kept.get(place) for place in cache_paths]
    todo = [index for index, outcome in enumerate(outcomes) if outcome is None]
    with tqdm(total=len(files), initial=len(files) - len(todo), unit="file", disable=not progress) as bar:
        bar.set_description(type(extractor).__name__)
        remarks: list[str] = []
        jobs = [(index, extractor, files[index].absolute(), _absolute(cache_paths[index])) for index in todo]
        _raise_first_failure(outcomes, files, on_error)
        for index, outcome, said in _extract_all(jobs, workers):
            outcomes[index] = outcome
            remarks += said
            bar.update()
            if isinstance(outcome, str):
                _raise_first_failure([outcome], [files[index]], on_error)
    if remarks:
        warnings.warn("\n".join(sorted(map(one_line, remarks))), SignalWarning, stacklevel=2)
    failures = {str(path): reason for path, reason in zip(files, outcomes, strict=True) if isinstance(reason, str)}
    if failures:
        listed = "\n".join(f"  {one_line(path, 5_000)}: {one_line(reason)}" for path, reason in failures.items())
        warnings.warn(
            f"{len(failures)} of {len(files)} files yield no frames and are left out:\n{listed}", stacklevel=2
        )
    return Extraction([None if isinstance(outcome, str) else outcome for outcome in outcomes], failures)


def _raise_first_failure(outcomes: Sequence[Frames | str | None], paths: Sequence[Path], on_error: str) -> None:
    for path, outcome in zip(paths, outcomes, strict=True):
        if isinstance(outcome, str) and on_error == "raise":
            raise SignalError(path, f"{outcome} (on_error='skip' leaves such files out and lists them)")


def _extract_all(
    jobs: list[tuple[int, Extractor, Path, Path | None]], workers: int | None
) -> Iterator[tuple[int, Frames | str, list[str]]]:
    """Yields the outcomes in the order in which they are ready."""
    waiting = {index: path for index, _, path, _ in jobs}
    outcomes = run_jobs(_extract_and_listen, jobs, workers, extra="signals")
    try:
        for index, outcome, said in outcomes:
            del waiting[index]
            yield index, outcome, said
    except WorkerLost as error:
        names = ", ".join(str(path) for path in list(waiting.values())[:8])
        raise RuntimeError(
            f"a process died while it read one of {len(waiting)} files, among them {names}; run them with workers=1 "
            f"to see which, or with fewer workers if memory ran out"
        ) from error
    finally:
        outcomes.close()


def _extract_and_listen(
    index: int, extractor: Extractor, path: Path, place: Path | None
) -> tuple[int, Frames | str, list[str]]:
    """Extracts one file, and returns what the extractor remarked, which a process of its own could not show."""
    with _listening, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _, outcome = _extract_one(index, extractor, path, place)
    said = [str(warning.message) for warning in caught if issubclass(warning.category, SignalWarning)]
    for warning in caught:
        if not issubclass(warning.category, SignalWarning):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return index, outcome, said


def _extract_one(index: int, extractor: Extractor, path: Path, place: Path | None) -> tuple[int, Frames | str]:
    if place is not None and (kept := read_if_whole(place, _load_cached)) is not None:
        return index, kept  # a worker that was lost, or another run, has left it
    try:
        outcome: Frames | str = extractor(path)
    except SignalError as error:
        outcome = error.reason
    except (FileNotFoundError, ImportError, ConnectionError):
        raise  # every other file would fail alike
    except (PermissionError, IsADirectoryError, MemoryError) as error:
        return index, f"it cannot be opened ({type(error).__name__}: {error})"  # that may change, so it is not cached
    except Exception as error:  # media libraries may raise anything; the reason is not cached either
        return index, f"it cannot be read ({type(error).__name__}: {error})"
    if place is not None:
        content = {"reason": outcome} if isinstance(outcome, str) else outcome._asdict()
        save_tensors(content, place)
    return index, outcome


def _absolute(path: Path | None) -> Path | None:
    """The path as a process in another folder has to name it."""
    return None if path is None else path.absolute()


def _cache_path(path: Path, folder: Path | None) -> Path | None:
    """The cache file for the present content of a file; ``None`` without a folder, or if the file cannot be read."""
    if folder is None or (path.exists() and not (path.is_file() and os.access(path, os.R_OK))):
        return None
    with open(path, "rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()[:32]
    return folder / f"{content}.pt"


def _load_cached(place: Path) -> Frames | str:
    content = load_tensors(place, "file", "delete it")
    if not isinstance(content, dict) or content.keys() not in ({"reason"}, set(Frames._fields)):
        raise ValueError("it holds something else")
    return str(content["reason"]) if "reason" in content else Frames(**content)
