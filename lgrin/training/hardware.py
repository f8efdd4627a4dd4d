"""Where to train."""

import torch

from lgrin.extras import optional
from lgrin.options import check_option

with optional("train"):
    from lightning.pytorch.accelerators import AcceleratorRegistry


def check_device(device: str) -> None:
    """Raises unless a device is known and here.

    Args:
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or another accelerator that Lightning knows.

    Raises:
        ValueError: If it is not.

    Example:
        >>> check_device("cpu")
    """
    known = AcceleratorRegistry.available_accelerators()
    check_option("device", device, ("auto", *sorted(known)))
    if device != "auto" and not AcceleratorRegistry[device]["accelerator"].is_available():
        raise ValueError(f"device is {device!r}, which PyTorch does not find here; pass device='auto' or 'cpu'")


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
