"""Checks of values that a forward pass does not make.

``forward`` checks ranks, dtypes, sizes and the range of indices. Reading features and labels as well would make a GPU
wait and break compilation. Datasets, training and estimators call these functions instead, once, when they get the
data.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data, HeteroData

from lgrin.arguments import check_features, check_index, check_nodes, stand_in


def features(x: Tensor, mask: Tensor | None = None, name: str = "x", batch: Tensor | None = None) -> None:
    """Raises an error if a present frame holds NaN or infinity.

    Args:
        x: Features ``[*, F]``, or frames of any shape, ``[*, ...]``.
        mask: Bool ``[*]``, the frames that are present; ``None`` means all.
        name: The name of the features in the error.
        batch: Int64 ``[N]``, the sequence of each row of x ``[N, F]``. Where it is given, a sequence may lack channels,
            which are NaN in all of its frames, as :class:`lgrin.transforms.Standardize` takes them.

    Raises:
        ValueError: With the index and value of the first such entry.

    Example:
        >>> features(torch.tensor([[0.0, float("nan")]]))
        Traceback (most recent call last):
        ...
        ValueError: x[0, 1] is nan; mark such frames as absent in mask, or repair them
    """
    bad = ~torch.isfinite(x)
    if mask is not None:
        bad = bad & mask.view(*mask.shape, *[1] * (x.dim() - mask.dim()))
    if batch is not None and bad.any():
        bad = bad & ~_lacking(x, mask, batch)[batch]
    if bad.any():
        first = bad.nonzero()[0].tolist()
        raise ValueError(
            f"{name}{first} is {x[tuple(first)].item()}; mark such frames as absent in mask, or repair them"
        )


def _lacking(x: Tensor, mask: Tensor | None, batch: Tensor) -> Tensor:
    """Which channels are NaN in all present frames of a sequence that has others, shaped ``[B, F]``."""
    there = ~x.isnan() if mask is None else ~x.isnan() & mask.view(-1, *[1] * (x.dim() - 1))
    count = torch.zeros(int(batch.max()) + 1, *x.shape[1:], device=x.device).index_add_(0, batch, there.float())
    lacking = count == 0
    return lacking & ~lacking.flatten(1).all(1).view(-1, *[1] * (x.dim() - 1))


def labels(y: Tensor, num_classes: int, name: str = "y") -> None:
    """Raises an error unless every label is one of the classes.

    Args:
        y: Int64 ``[B]``.
        num_classes: Classes, C.
        name: The name of the labels in the error.

    Raises:
        TypeError: If labels are not whole numbers.
        ValueError: With the index and value of the first label outside 0..C-1.

    Example:
        >>> labels(torch.tensor([0, 2]), num_classes=2)
        Traceback (most recent call last):
        ...
        ValueError: y[1] is 2; with num_classes=2 a label is one of 0..1
    """
    if y.is_floating_point() or y.is_complex() or y.dtype == torch.bool:
        raise TypeError(f"{name} is {y.dtype}; labels are whole numbers: pass {name}.long()")
    _check_range(y, num_classes, name, f"with num_classes={num_classes} a label is one of 0..{num_classes - 1}")


def frames(frame: Tensor, num_nodes: int | None, batch: Tensor | None = None, mask: Tensor | None = None) -> None:
    """Raises an error unless every frame exists in the graph and occurs once in its sequence.

    Args:
        frame: Int64 ``[N]``, or ``[B, L]`` beside dense features.
        num_nodes: Frames per sequence, M; ``None`` where sequences may have any number.
        batch: Int64 ``[N]``, each node's sequence; ``None`` means one sequence, or one a row.
        mask: Bool, shaped like frame; absent nodes may have any frame.

    Raises:
        ValueError: With the index and value of the first invalid frame.

    Example:
        >>> frames(torch.tensor([0, 7]), num_nodes=5)
        Traceback (most recent call last):
        ...
        ValueError: frame[1] is 7; with num_nodes=5 a frame is one of 0..4: pad or shorten with ...
    """
    check_index("frame", frame)
    here = torch.ones_like(frame, dtype=torch.bool) if mask is None else mask
    counted = frame.masked_fill(~here, 0)
    if num_nodes is None:
        num_nodes = int(counted.max()) + 1 if counted.numel() else 1
        _check_range(counted, num_nodes, "frame", "a frame is 0 or more: count from 0")
    else:
        way_out = f"pad or shorten with lgrin.transforms.CyclicPad({num_nodes}, longer='resample')"
        limits = f"with num_nodes={num_nodes} a frame is one of 0..{num_nodes - 1}"
        _check_range(counted, num_nodes, "frame", f"{limits}: {way_out}")
    if batch is None:
        rows = frame.view(-1, frame.size(-1)) if frame.numel() else frame.view(1, -1)
        batch = torch.arange(rows.size(0), device=frame.device).unsqueeze(-1).expand_as(rows).reshape(-1)
    place = batch.reshape(-1) * num_nodes + frame.reshape(-1)
    order = place.sort(stable=True)[1]
    order = order[here.reshape(-1)[order]]
    again = order[1:][place[order][1:] == place[order][:-1]]
    if again.numel():
        node = int(again.min())
        raise ValueError(
            f"frame {int(frame.reshape(-1)[node])} stands twice in sequence {int(batch.reshape(-1)[node])}, again at "
            f"node {node}; a frame is one node of its sequence"
        )


def sequences(batch: Tensor | None, mask: Tensor | None, batch_size: int) -> None:
    """Raises an error if a sequence has no present frame.

    Args:
        batch: Int64 ``[N]``, each node's sequence, sorted; ``None`` where mask is ``[B, M]``.
        mask: Bool, shaped like the nodes; ``None`` means that all are present.
        batch_size: The number of sequences.

    Raises:
        ValueError: With the index of the first such sequence, or if the batch vector is not sorted or out of range.

    Example:
        >>> sequences(torch.tensor([0, 0, 2]), None, batch_size=3)
        Traceback (most recent call last):
        ...
        ValueError: sequence 1 has no present frame; leave it out
    """
    _refuse_empty(_num_present(batch, mask, batch_size))


def _refuse_empty(count: Tensor) -> None:
    if bool((count == 0).any()):
        raise ValueError(f"sequence {int((count == 0).nonzero()[0])} has no present frame; leave it out")


def _num_present(batch: Tensor | None, mask: Tensor | None, batch_size: int) -> Tensor:
    """Counts the present frames of each sequence."""
    if batch is None:
        return torch.ones(batch_size) if mask is None else mask.reshape(batch_size, -1).sum(-1)
    if batch.numel() and bool((batch[1:] < batch[:-1]).any()):
        raise ValueError("batch is not sorted; put the nodes of a sequence next to each other")
    _check_range(batch, batch_size, "batch", f"with batch_size={batch_size} it is one of 0..{batch_size - 1}")
    return torch.bincount(batch if mask is None else batch[mask], minlength=batch_size)


def batch(
    data: Data | HeteroData,
    num_nodes: int | Mapping[str, int] | None,
    num_classes: int | None = None,
    in_channels: int | Mapping[str, int | None] | None = None,
    training: bool = False,
    may_lack: bool = False,
) -> None:
    """Checks a PyG sequence or batch of sequences before it is passed to a model.

    If sequences have several modalities, each modality is checked separately. A sequence may lack some, but not all.

    Args:
        data: With ``x [N, F]`` and optionally ``frame``, ``batch``, ``mask`` and ``y``. For several modalities, a
            ``HeteroData`` with such nodes for each; ``num_nodes`` and ``in_channels`` are then mappings by name.
        num_nodes: Frames per sequence of the model, M; ``None`` where sequences may have any number.
        num_classes: Classes, C; ``None`` skips the labels.
        in_channels: Features per frame, P; ``None`` takes frames of any shape, ``x [N, ...]``, as an encoder does.
        training: Whether batch norm will compute statistics from this batch.
        may_lack: Whether a sequence may lack channels, which are NaN in all of its frames; standardisation fills them.

    Raises:
        TypeError: If labels are not whole numbers.
        ValueError: If features are not finite, a sequence is empty, a label or frame is out of range, or a batch norm
            would get a single frame.

    Example:
        >>> batch(Data(x=torch.rand(3, 2), y=torch.tensor([1])), num_nodes=3, num_classes=2)
    """
    if isinstance(data, HeteroData):
        batch_size = data.num_graphs if isinstance(data, Batch) else 1
        count = _modalities(data, num_nodes, in_channels, batch_size, training, may_lack)
    elif isinstance(num_nodes, Mapping):
        raise ValueError(f"data has no modalities, but the model has {list(num_nodes)}; see lgrin.datasets.join")
    else:
        batch_size = data.num_graphs if data.get("batch") is not None else 1
        count = _nodes(data, num_nodes, in_channels, batch_size, training, may_lack)
    _refuse_empty(count)
    y = data.get("y")
    if num_classes is not None:
        if y is None or y.shape != (batch_size,):
            shape = None if y is None else list(y.shape)
            raise ValueError(f"y has shape {shape}; {batch_size} sequences need one label each, [{batch_size}]")
        labels(y, num_classes)


def _nodes(
    data: Any, num_nodes: Any, in_channels: Any, batch_size: int, training: bool, may_lack: bool = False
) -> Tensor:
    """Checks the frames of sequences and counts those that are present in each."""
    x, mask, frame = data.get("x"), data.get("mask"), data.get("frame")
    if in_channels is None:
        x = stand_in(x, leading=1)
    check_features(x)
    check_nodes(x, frame, _batch_vector(data), mask, batch_size)
    if in_channels is not None and data.x.size(-1) != in_channels:
        raise ValueError(
            f"x has {data.x.size(-1)} features a frame, but in_channels={in_channels}; build the model for them"
        )
    features(data.x, mask, batch=_batch_vector(data) if may_lack else None)
    count = _num_present(_batch_vector(data), mask, batch_size)
    if frame is not None:
        frames(frame, num_nodes, _batch_vector(data), mask)
    if training and int(count.sum()) == 1:
        raise ValueError(
            "x holds a single present frame, and batch norm cannot learn from one; use a larger batch or "
            "norm='layer_norm'"
        )
    return count


def _modalities(
    data: HeteroData, num_nodes: Any, in_channels: Any, batch_size: int, training: bool, may_lack: bool
) -> Tensor:
    """Checks every modality and counts the frames of each sequence that are present in any."""
    if not isinstance(num_nodes, Mapping):
        raise ValueError(f"data has the modalities {data.node_types}; train a MultimodalLGrIN on them")
    if set(data.node_types) != set(num_nodes):
        raise ValueError(
            f"data has the modalities {data.node_types}, but the model has {list(num_nodes)}; one that is missing has "
            f"an x without rows"
        )
    total = torch.zeros(batch_size, dtype=torch.long)
    for name in num_nodes:
        channels = None if in_channels is None else in_channels[name]
        try:
            fills = may_lack and channels is not None  # what an encoder reads is not standardised
            total += _nodes(data[name], num_nodes[name], channels, batch_size, training, fills).cpu()
        except (TypeError, ValueError) as error:
            raise type(error)(f"{name}: {error}") from error
    return total


def dataset(
    data: Iterable[Data | HeteroData],
    num_nodes: int | Mapping[str, int] | None,
    num_classes: int | None = None,
    in_channels: int | Mapping[str, int | None] | None = None,
    may_lack: bool = False,
) -> None:
    """Checks every sequence of a dataset, and names the first invalid one.

    Args:
        data: Sequences, as for :func:`batch`.
        num_nodes: Frames per sequence of the model, M; ``None`` where sequences may have any number.
        num_classes: Classes, C; ``None`` skips the labels.
        in_channels: Features per frame, P; ``None`` takes frames of any shape.
        may_lack: As for :func:`batch`.

    Raises:
        TypeError: If labels are not whole numbers.
        ValueError: As :func:`batch`, with the index of the sequence, or if the dataset is empty.

    Example:
        >>> dataset([Data(x=torch.zeros(0, 2))], num_nodes=3)
        Traceback (most recent call last):
        ...
        ValueError: dataset[0]: sequence 0 has no present frame; leave it out
    """
    for _ in checked(data, num_nodes, num_classes, in_channels, may_lack):
        continue


def checked(
    data: Iterable[Data | HeteroData],
    num_nodes: int | Mapping[str, int] | None,
    num_classes: int | None = None,
    in_channels: int | Mapping[str, int | None] | None = None,
    may_lack: bool = False,
) -> Iterator[Data | HeteroData]:
    """Yields the sequences of a dataset, each checked as by :func:`dataset`, so that one pass can check and use them.

    Args:
        data: Sequences, as for :func:`batch`.
        num_nodes: Frames per sequence of the model, M; ``None`` where sequences may have any number.
        num_classes: Classes, C; ``None`` skips the labels.
        in_channels: Features per frame, P; ``None`` takes frames of any shape.
        may_lack: As for :func:`batch`.

    Yields:
        The sequences in order.

    Raises:
        TypeError: If labels are not whole numbers.
        ValueError: As :func:`batch`, with the index of the sequence, or if there is none.

    Example:
        >>> sum(len(one.x) for one in checked([Data(x=torch.zeros(3, 2))] * 2, num_nodes=3))
        6
    """
    index = -1
    for index, sequence in enumerate(data):
        try:
            batch(sequence, num_nodes, num_classes, in_channels, may_lack=may_lack)
        except (TypeError, ValueError) as error:
            name = f" ({sequence.name})" if sequence.get("name") is not None else ""
            raise type(error)(f"dataset[{index}]: {error}{name}") from error
        yield sequence
    if index < 0:
        raise ValueError("dataset is empty; give it at least one sequence")


def _batch_vector(data: Data) -> Tensor:
    vector = data.get("batch")
    return torch.zeros(data.x.size(0), dtype=torch.long, device=data.x.device) if vector is None else vector


def _check_range(values: Tensor, stop: int, name: str, rule: str) -> None:
    wrong = (values < 0) | (values >= stop)
    if wrong.any():
        first = wrong.nonzero()[0].tolist()
        raise ValueError(f"{name}{first} is {values[tuple(first)].item()}; {rule}")
