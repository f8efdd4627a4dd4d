"""Whether modules have changed since somebody looked at them."""

from itertools import chain

from torch.nn import Module


class Watched:
    """Notices whether modules have changed since.

    Args:
        modules: The modules; none of them is kept.

    Example:
        >>> import torch
        >>> linear = torch.nn.Linear(2, 1)
        >>> watched = Watched(linear)
        >>> with torch.no_grad():
        ...     _ = linear.weight.mul_(2)
        >>> watched.is_current()
        False
    """

    def __init__(self, *modules: Module) -> None:
        parts = [vars(one) for module in modules for one in module.modules()]
        kinds = "_modules", "_parameters", "_buffers"
        self._modules, *self._tensors = ([one[kind] for one in parts if one[kind]] for kind in kinds)
        self._state = self._read_state()

    def is_current(self) -> bool:
        """Says whether no weight, statistic or submodule has changed."""
        return self._state == self._read_state()

    def _read_state(self) -> list[int]:
        """What changes with the submodules, the tensors, where they lie, and their values."""
        state: list[int] = []
        for modules in self._modules:
            state += map(id, modules.values())
        for tensors in chain(*self._tensors):
            for tensor in tensors.values():
                state += [0] if tensor is None else [id(tensor), tensor.data_ptr(), tensor._version]
        return state
