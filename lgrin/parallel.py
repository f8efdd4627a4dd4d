"""Jobs that run side by side: in processes of this machine, or on any backend of joblib."""

from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar

from lgrin.extras import optional

Result = TypeVar("Result")


class WorkerLost(RuntimeError):
    """A process died while it ran a job, most often because memory ran out."""


def run_jobs(
    run: Callable[..., Result], jobs: Sequence[tuple[Any, ...]], workers: int | None, extra: str
) -> Generator[Result, None, None]:
    """Runs jobs side by side and yields their results in the order in which they are ready.

    A backend of joblib may run a job again whose worker was lost, and may run several in threads of one process.

    Args:
        run: Called with the arguments of a job; a function that other processes can import.
        jobs: The arguments of each.
        workers: Jobs at a time. 1 runs them one by one in this process. ``None`` leaves the number to
            ``joblib.parallel_config`` where it says one, and takes one per core elsewhere.
        extra: The extra of lgrin that installs joblib.

    Yields:
        What ``run`` returned.

    Raises:
        ImportError: If joblib is not installed.
        WorkerLost: If a process of this machine died. Other backends replace it.

    Example:
        >>> list(run_jobs(pow, [(2, 3), (3, 2)], workers=1, extra="train"))
        [8, 9]
    """
    if workers == 1 or len(jobs) < 2:
        yield from (run(*job) for job in jobs)
        return
    with optional(extra):
        from joblib import Parallel, delayed
        from joblib.externals.loky.process_executor import TerminatedWorkerError
        from joblib.parallel import get_active_backend
    n_jobs = workers or get_active_backend()[1] or -1
    results = Parallel(n_jobs, return_as="generator_unordered")(delayed(run)(*job) for job in jobs)
    try:
        yield from results
    except TerminatedWorkerError as error:
        raise WorkerLost("a process died; take fewer workers if memory ran out") from error
    finally:
        results.close()
