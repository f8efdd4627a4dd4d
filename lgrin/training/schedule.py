"""Schedules of the learning rate, by name."""

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, StepLR

from lgrin.options import check_option, check_whole

if TYPE_CHECKING:
    from lightning.pytorch.utilities.types import LRSchedulerConfigType

HALVE_EVERY = 50  # epochs, as in the paper
NOT_GIVEN = "not given"
COSINE = {"name": "cosine"}  # what halve_every=None means


class Schedule(Protocol):
    """How the learning rate changes while a model trains. The fields of the dataclass are its settings.

    A new schedule is one such class and one line in :data:`SCHEDULES`.

    Attributes:
        depends_on_epochs: Whether the rates of all steps depend on the number of epochs, so that a run cannot be
            continued for more of them.
    """

    depends_on_epochs: ClassVar[bool]

    def configure(self, optimizer: Optimizer, count_steps: Callable[[], int]) -> "LRScheduler | LRSchedulerConfigType":
        """Builds what Lightning takes as ``lr_scheduler``.

        Args:
            optimizer: The optimiser.
            count_steps: Returns the number of steps of the run.
        """
        ...


@dataclass(frozen=True)
class StepSchedule:
    """Halves the learning rate at regular intervals.

    Args:
        halve_every: Epochs between two halvings.

    Raises:
        ValueError: If it is no whole number, 1 or larger.

    Source:
        "Implementation details" in Sec. IV-A of Shirian, Tripathi and Guha, 2021: halved every 50 epochs.

    Example:
        >>> StepSchedule(90).halve_every
        90
    """

    halve_every: int = HALVE_EVERY
    depends_on_epochs: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "halve_every", check_whole("halve_every", self.halve_every))

    def configure(self, optimizer: Optimizer, count_steps: Callable[[], int]) -> "LRScheduler | LRSchedulerConfigType":
        """Builds what Lightning takes as ``lr_scheduler``."""
        return StepLR(optimizer, self.halve_every, gamma=0.5)


@dataclass(frozen=True)
class CosineSchedule:
    """Lets the learning rate rise over the first twentieth of the steps and fall to 0 along half a cosine.

    Example:
        >>> CosineSchedule().depends_on_epochs
        True
    """

    depends_on_epochs: ClassVar[bool] = True

    def configure(self, optimizer: Optimizer, count_steps: Callable[[], int]) -> "LRScheduler | LRSchedulerConfigType":
        """Builds what Lightning takes as ``lr_scheduler``."""
        steps = count_steps()
        return {"scheduler": LambdaLR(optimizer, lambda step: warmup_cosine(step, steps)), "interval": "step"}


SCHEDULES: dict[str, type[Any]] = {"step": StepSchedule, "cosine": CosineSchedule}


def warmup_cosine(step: int, steps: int) -> float:
    r"""Computes the factor of the learning rate at a step.

    .. math:: \min \left( \frac{t + 1}{\max(1, \lfloor T / 20 \rfloor)},
              \frac{1 + \cos(\pi t / T)}{2} \right)

    Args:
        step: The step, t, from 0.
        steps: All steps of the run, T.

    Returns:
        The factor, from 0 to 1.

    Example:
        >>> [round(warmup_cosine(step, 40), 3) for step in (0, 1, 20, 40)]
        [0.5, 0.998, 0.5, 0.0]
    """
    rising = (step + 1) / max(1, steps // 20)
    return min(rising, 0.5 * (1 + math.cos(math.pi * step / steps)))


def make_schedule(settings: Any) -> Any:
    """Builds a schedule.

    Args:
        settings: Its name, a dictionary of its name and settings, or the schedule itself.

    Returns:
        The schedule.

    Raises:
        TypeError: If it is neither, or the schedule has no such setting.
        ValueError: If there is no schedule of this name, or a setting is out of range.

    Example:
        >>> make_schedule({"name": "step", "halve_every": 90})
        StepSchedule(halve_every=90)
    """
    if type(settings) in SCHEDULES.values():
        return settings
    if not isinstance(settings, str | Mapping):
        raise TypeError(
            f"schedule is a {type(settings).__name__}; it may be a name, or a dictionary with one, or an object of a "
            f"class in lgrin.training.schedule.SCHEDULES"
        )
    given: dict[str, Any] = {"name": settings} if isinstance(settings, str) else dict(settings)
    name: Any = given.pop("name", None)
    check_option("schedule", name, SCHEDULES)
    return SCHEDULES[name](**given)


def schedule_settings(
    schedule: str | Mapping[str, Any] | Schedule | None, halve_every: int | str | None = NOT_GIVEN
) -> dict[str, Any]:
    """Says by name and settings which schedule the arguments of a classifier ask for.

    Args:
        schedule: A name, a dictionary of a name and settings, or a schedule; ``None`` means ``"step"`` with
            ``halve_every``.
        halve_every: The setting of ``"step"``, 50 if it is not given. ``None`` is deprecated and means ``"cosine"``.

    Returns:
        The name and all settings as plain values.

    Raises:
        ValueError: If ``halve_every`` is given beside another schedule, or as :func:`make_schedule`.

    Example:
        >>> schedule_settings("cosine"), schedule_settings(None, 90)
        ({'name': 'cosine'}, {'name': 'step', 'halve_every': 90})
    """
    if schedule is None:
        schedule = _by_halve_every(halve_every)
        if schedule == COSINE:
            warnings.warn(
                "halve_every=None is deprecated and will be refused in a later version; pass schedule='cosine'",
                FutureWarning,
                stacklevel=3,
            )
    made: Any = make_schedule(schedule)
    settings = {"name": next(name for name, kind in SCHEDULES.items() if type(made) is kind), **asdict(made)}
    if halve_every not in (None, NOT_GIVEN, settings.get("halve_every")):
        raise ValueError(
            f"halve_every is {halve_every!r}, but schedule is {schedule!r}; leave one of them out, or pass "
            f"schedule={{'name': 'step', 'halve_every': {halve_every!r}}}"
        )
    return settings


def _by_halve_every(halve_every: int | str | None) -> dict[str, Any]:
    if halve_every is None:
        return COSINE
    return {"name": "step", "halve_every": HALVE_EVERY if halve_every == NOT_GIVEN else halve_every}


def name_schedule(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Adds the schedule to settings of a classifier that version 0.1 wrote, which said it by ``halve_every`` alone.

    Args:
        settings: Settings of a :class:`lgrin.training.SequenceClassifier`.

    Returns:
        The same with ``schedule``.

    Example:
        >>> name_schedule({"lr": 0.01, "halve_every": None})
        {'lr': 0.01, 'halve_every': None, 'schedule': {'name': 'cosine'}}
    """
    if "schedule" in settings or "halve_every" not in settings:
        return dict(settings)
    schedule = _by_halve_every(settings["halve_every"])
    return {**settings, "halve_every": schedule.get("halve_every"), "schedule": schedule}
