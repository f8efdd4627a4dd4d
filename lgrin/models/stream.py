"""A sequence that arrives frame by frame."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lgrin.nn import Adjacency, GraphInception, GraphReadout, MaskedBatchNorm
from lgrin.nodes import Nodes

State = tuple[Tensor, ...]


class Running(NamedTuple):
    """A summary of a sequence that grows: of two parts it is known from the state of each.

    Attributes:
        state: From the nodes of a part of each sequence, and the module of the readout if there is one, to its state.
        merge: From the states of two parts to that of both.
        read: From the state of a sequence to its summary ``[B, F]``.
    """

    state: Callable[[Nodes, Any], State]
    merge: Callable[[State, State], State]
    read: Callable[[State], Tensor]


def _add(one: State, other: State) -> State:
    return tuple(a + b for a, b in zip(one, other, strict=True))


def _merge_attention(one: State, other: State) -> State:
    largest = torch.maximum(one[0], other[0])
    rescaled = [[part * (state[0] - largest).exp() for part in state[1:]] for state in (one, other)]
    return (largest, *(a + b for a, b in zip(*rescaled, strict=True)))


RUNNING: dict[str, Running] = {
    "max": Running(
        lambda nodes, _: (nodes.largest(),), lambda a, b: (torch.maximum(a[0], b[0]),), lambda state: state[0]
    ),
    "sum": Running(lambda nodes, _: (nodes.sum(nodes.x),), _add, lambda state: state[0]),
    "mean": Running(
        lambda nodes, _: (nodes.sum(nodes.x), nodes.num_present()), _add, lambda state: state[0] / state[1]
    ),
    "attention": Running(lambda nodes, pool: pool.state(nodes), _merge_attention, lambda state: state[2] / state[1]),
}


class Stream:
    r"""Classifies a sequence while it arrives; ``model.stream()`` makes one.

    .. math:: \mathrm{push}(x_t) = \mathrm{model}(x_1, \ldots, x_t)

    After each frame the logits are those of the sequence so far, whatever its length is, at the same cost: layers run
    over the frames that the new one can still change, and over those that these look at. What earlier frames have
    given to the readout is kept as running summaries.

    Args:
        model: An :class:`lgrin.LGrIN` in evaluation mode, without a length.

    Attributes:
        delay: Frames for which what a layer makes of a frame may still change: 0 for a causal graph. Logits never
            wait: they count the frames so far as if none came after.
        window: Frames that a call looks at beside the new ones, and that are kept.
        count: Frames so far.

    Raises:
        ValueError: If the model is training, or a part of it looks at the whole sequence.

    Example:
        >>> from lgrin import LGrIN
        >>> model = LGrIN(3, None, num_classes=2).eval()
        >>> stream, x = model.stream(), torch.rand(20, 3)
        >>> for frame in x:
        ...     logits = stream.push(frame)
        >>> torch.allclose(logits, model(x)[0], atol=1e-5)
        True
    """

    def __init__(self, model: Any) -> None:
        _check(model)
        self.model = model
        past, self.delay = _context(model)
        self.window = past + 1 + self.delay
        self.reset()

    def reset(self) -> None:
        """Begins a new sequence."""
        self._frames: Tensor | None = None
        self._states: list[State] | None = None
        self.count = 0

    @torch.no_grad()
    def push(self, frame: Tensor) -> Tensor:
        """Takes the next frame.

        Args:
            frame: ``[P]``, or ``[B, P]`` of several sequences side by side; with an encoder whatever it takes.

        Returns:
            The logits of the sequences so far, ``[C]`` or ``[B, C]``.

        Raises:
            ValueError: If the number of sequences or the width of frames changes.
        """
        single = frame.dim() == 1
        logits = self.push_block((frame.unsqueeze(0) if single else frame).unsqueeze(1))
        return logits[0] if single else logits

    @torch.no_grad()
    def push_block(self, frames: Tensor) -> Tensor:
        """Takes several frames at once, for the cost of one pass over them and the window.

        Args:
            frames: ``[B, T, P]``, the next T frames of each sequence.

        Returns:
            The logits of the sequences so far, ``[B, C]``.

        Raises:
            ValueError: If the number of sequences or the width of frames changes, or there is no frame.
        """
        if self.model.training:
            raise ValueError("the model of this stream is training; call model.eval()")
        if frames.size(1) == 0:
            raise ValueError("frames holds no frame; give one at least")
        before = frames[:, :0] if self._frames is None else self._frames
        if before.shape[:1] + before.shape[2:] != frames.shape[:1] + frames.shape[2:]:
            raise ValueError(
                f"frame has shape {list(frames[:, 0].shape)}, but this stream has begun with "
                f"{list(before[:, 0].shape)}; call reset() before a new sequence"
            )
        seen = torch.cat([before, frames], dim=1)
        logits: Tensor = self.model.head(self._read_out(seen, before.size(1)))
        self._frames, self.count = seen[:, -self.window :], self.count + frames.size(1)
        return logits

    def _read_out(self, seen: Tensor, known: int) -> Tensor:
        """Reads out the sequences so far, of which the last frames are at hand, so many of them from earlier calls."""
        nodes, _ = self.model._run(*self.model._read(seen, None, None, None, None, None, None))
        x, first = nodes.x, self.count - known  # the place in the sequence of the first row
        count = first + x.size(1)
        before, now = (max(0, end - self.delay) if end >= self.window else 0 for end in (self.count, count))
        if now > before:
            new = self._states_of(x[:, before - first : now - first])
            self._states = new if self._states is None else self._merge(self._states, new)
        states = self._states
        if count > now:
            rest = self._states_of(x[:, now - first :])
            states = rest if states is None else self._merge(states, rest)
        assert states is not None
        return torch.cat([RUNNING[part].read(state) for part, state in zip(self._parts, states, strict=True)], dim=-1)

    @property
    def _parts(self) -> tuple[str, ...]:
        parts: tuple[str, ...] = self.model.readout.parts
        return parts

    def _states_of(self, x: Tensor) -> list[State]:
        nodes, modules = Nodes.read(x), self.model.readout
        return [RUNNING[part].state(nodes, modules._modules.get(part)) for part in self._parts]

    def _merge(self, one: list[State], other: list[State]) -> list[State]:
        return [RUNNING[part].merge(a, b) for part, a, b in zip(self._parts, one, other, strict=True)]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(window={self.window}, delay={self.delay})"


def _check(model: Any) -> None:
    """Raises if something in a model looks at a whole sequence."""
    if model.training:
        raise ValueError("the model is training, and batch norms then look at whole sequences; call model.eval()")
    whole = []
    if model.instance_norm is not None:
        whole.append("input_norm='both' standardises each sequence")
    if not isinstance(model.input_norm, MaskedBatchNorm | None):
        whole.append(f"input_norm is a {type(model.input_norm).__name__}, of which nobody knows")
    if not isinstance(model.adjacency, Adjacency) or model.adjacency.context is None:
        whole.append(f"a {type(model.adjacency).__name__} has weights between all frames")
    readout = model.readout
    if type(readout) is not GraphReadout:
        whole.append(f"the readout is a {type(readout).__name__}, of which nobody knows")
    else:
        whole += [f"the readout has the part {part!r}" for part in readout.parts if part not in RUNNING]
        whole += [f"the readout has segments={readout.segments}"] if readout.segments != (1,) else []
    whole += [f"a layer is a {type(one).__name__}" for one in model.layers if not isinstance(one, GraphInception)]
    if whole:
        raise ValueError(
            f"a stream knows the frames so far, but {'; '.join(whole)}; build the model with num_nodes=None, "
            f"input_norm=True or False, and readout parts of {', '.join(map(repr, RUNNING))}"
        )


def _context(model: Any) -> tuple[int, int]:
    """How many frames before and after a frame all layers together look at."""
    past, future = model.adjacency.context
    reaches = {"neighbor_max": (past, future), "line_max": (max(past, 1), max(future, 1))}
    steps = []
    for layer in model.layers:
        method = layer.neighbors.method
        if method not in reaches:
            raise ValueError(f"a layer takes its maximum by {method!r}, of which nobody knows how far it looks")
        steps.append(reaches[method])
    return sum(step[0] for step in steps), sum(step[1] for step in steps)
