"""Training without the notes of Lightning."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LOGGERS = ("lightning.pytorch", "lightning.fabric")


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Hides what Lightning notes and warns of: what hardware there is, what it deprecates, what one might install.

    lgrin checks its own arguments, so that a note of Lightning's names nothing that its user could change. A logger
    that was set to ``DEBUG`` says everything.

    Example:
        >>> with quiet_lightning():
        ...     logging.getLogger("lightning.pytorch").info("GPU available: False")
    """
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [(logger, logger.level) for logger in loggers if logger.getEffectiveLevel() > logging.DEBUG]
    for logger, level in levels:
        logger.setLevel(max(level, logging.WARNING))
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        for logger, level in levels:
            logger.setLevel(level)
