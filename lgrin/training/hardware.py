"""Where to train."""

import torch

from lgrin.extras import optional
from lgrin.options import check_option

with optional("train"):
    from lightning.pytorch.accelerators import AcceleratorRegistry


def split_device(device: str) -> tuple[str, int | None]:
    """Splits the name of a device from its number.

    Args:
        device: Such as ``"cuda"`` or ``"cuda:1"``.

    Returns:
        The name and the number; ``None`` where no number was given.

    Example:
        >>> split_device("cuda:1"), split_device("cpu")
        (('cuda', 1), ('cpu', None))
    """
    name, _, number = str(device).partition(":")
    return (name, int(number)) if number.isdecimal() else (str(device), None)


def check_device(device: str) -> None:
    """Raises unless a device is known and here.

    Args:
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or another accelerator that Lightning knows, or one of several, such
            as ``"cuda:1"``.

    Raises:
        ValueError: If it is not.

    Example:
        >>> check_device("cpu")
    """
    name, number = split_device(device)
    known = AcceleratorRegistry.available_accelerators()
    if name not in known:
        check_option("device", device, ("auto", *sorted(known)))
        return
    accelerator = AcceleratorRegistry[name]["accelerator"]
    if not accelerator.is_available():
        raise ValueError(f"device is {device!r}, which PyTorch does not find here; it may be 'auto' or 'cpu'")
    count = accelerator.auto_device_count()
    if number is not None and number >= count:
        raise ValueError(f"device is {device!r}, but here the last one is '{name}:{count - 1}'")


def find_device(device: str) -> torch.device:
    """Finds a device by the name that Lightning has for it.

    Args:
        device: As for :func:`check_device`; ``"auto"`` and ``"gpu"`` mean the accelerator that is here.

    Returns:
        The device.

    Raises:
        ValueError: If it is unknown or not here.

    Example:
        >>> find_device("cpu")
        device(type='cpu')
    """
    check_device(device)
    if device not in ("auto", "gpu"):
        return torch.device(device)
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return torch.device("cpu") if accelerator is None else accelerator
