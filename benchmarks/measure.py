"""Measures time in turn and memory in separate processes, and makes rows that tell whether a goal is met."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch


def times(functions: Mapping[str, Callable[[], Any]], repeats: int = 9, calls: int = 1) -> dict[str, float]:
    """The median seconds of each function. Functions run in turn, so that a slow moment of the machine affects all.

    Short functions are called several times in a row at each turn, as a device calls them.
    """
    for function in functions.values():
        function()
    taken: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            wait()
            start = time.perf_counter()
            for _ in range(calls):
                function()
            wait()
            taken[name].append((time.perf_counter() - start) / calls)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def resident() -> int:
    """The bytes that this process holds now."""
    return _status("VmRSS")


def peak() -> int:
    """The most bytes that this process ever held. The value of getrusage would include those of its parent."""
    return _status("VmHWM")


def _status(name: str) -> int:
    with open("/proc/self/status", encoding="utf-8") as file:  # of Linux alone
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name))


def in_process(module: str, *arguments: Any, **environment: str) -> Any:
    """Runs ``python -m module arguments`` and reads the JSON that it prints last."""
    command = [sys.executable, "-W", "ignore", "-m", module, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{result.stderr}")
    return json.loads(result.stdout.splitlines()[-1])


def row(what: str, value: float, unit: str, goal: float | None = None, most: bool = True, **also: Any) -> dict:
    """One line of the table; the goal is the most or the least that the value may be."""
    met = "" if goal is None else ("yes" if (value <= goal if most else value >= goal) else "no")
    wanted = "" if goal is None else f"{'at most' if most else 'at least'} {goal:g}"
    details = ", ".join(f"{name.replace('_', ' ')} {_short(number)}" for name, number in also.items())
    return {"what": what, "measured": f"{_short(value)} {unit}", "goal": wanted, "met": met, "details": details}


def _short(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
