"""From a file to classes, with everything that training did to its features."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Data

from lgrin.features import SignalError
from lgrin.features import from_settings as extractor_from
from lgrin.gaps import fill_gaps
from lgrin.training.classifier import SequenceClassifier
from lgrin.transforms import from_settings as transform_from


class Prediction(NamedTuple):
    """What a classifier says of a file.

    Attributes:
        classes: The names of the classes.
        probabilities: ``[C]``, in the order of the classes.
        seconds: When the frame begins that the max readout answers to most; ``None`` for models without one.
    """

    classes: list[str]
    probabilities: Tensor
    seconds: float | None


@torch.no_grad()
def predict(
    classifier: SequenceClassifier, path: str | Path, spontaneous: bool | None = None, device: str | None = None
) -> Prediction:
    """Classifies a file: extracts its features, fixes its length and standardises it as training did.

    Args:
        classifier: A classifier that was trained with ``features`` and ``transform``; left in evaluation mode.
        path: The file.
        spontaneous: Whether the speech is spontaneous, for models that were told so (those of IEMOCAP).
        device: Where the extractor runs, if it is one that can run elsewhere than it did for training.

    Returns:
        The prediction.

    Raises:
        FileNotFoundError: If there is no such file.
        SignalError: If it yields no frames, with the reason.
        ValueError: If the classifier does not know how its features are made, or the file's do not fit it.

    Example:
        >>> import tempfile, numpy, soundfile
        >>> from lgrin.features import Speech
        >>> from lgrin.transforms import Resample
        >>> path = f"{tempfile.mkdtemp()}/noise.wav"
        >>> soundfile.write(path, numpy.random.default_rng(0).normal(0, 0.1, 16_000), 16_000)
        >>> network = {"in_channels": 34, "num_nodes": 50, "num_classes": 2}
        >>> settings = {"features": Speech().settings, "transform": Resample(50).settings}
        >>> classifier = SequenceClassifier(network, num_sequences=1, classes=["calm", "glad"], **settings)
        >>> predict(classifier, path).probabilities.shape
        torch.Size([2])
    """
    settings = classifier.hparams
    any_length = getattr(classifier.model, "num_nodes", 0) is None
    if settings.get("features") is None or (settings.get("transform") is None and not any_length):
        raise ValueError(
            "classifier does not know how its features are made; train it with SequenceClassifier(..., "
            "features=dataset.features.settings, transform=transform.settings)"
        )
    frames = extractor_from(_override(settings["features"], spontaneous, device))(path)
    x = torch.from_numpy(fill_gaps(frames.x.numpy()))
    time = torch.arange(len(frames.x)) / frames.frame_rate
    data = Data(x=x, mask=frames.mask, time=time)
    if settings.get("transform") is not None:
        transform = transform_from(settings["transform"])
        data = transform(data)
        if not bool(data.mask.any()):
            raise SignalError(path, f"none of its {int(frames.mask.sum())} frames is left after {transform!r}")
    model = classifier.eval().model
    if classifier.frame_channels not in (None, data.x.size(1)):
        raise ValueError(
            f"{path} has {data.x.size(1)} features a frame, but in_channels={model.in_channels}; give spontaneous=True "
            f"or False to a model that was told which speech is spontaneous, and to no other"
        )
    data = data.to(classifier.device)
    x = classifier.normalize(data.x)
    batch, mask = x.unsqueeze(0), data.mask.unsqueeze(0)
    logits = model(batch, mask=mask)
    classes = settings["classes"] or [str(label) for label in range(model.num_classes)]
    finds = hasattr(model, "salient_frames")
    seconds = float(data.time[int(model.salient_frames(batch, mask=mask))]) if finds else None
    return Prediction(classes, logits[0].softmax(-1).cpu(), seconds)


def _override(features: Mapping[str, object], spontaneous: bool | None, device: str | None) -> dict[str, object]:
    """The extractor's settings with those that the caller gives."""
    given = {"spontaneous": spontaneous, "device": device}
    for name, value in given.items():
        if value is not None and name not in features:
            raise ValueError(f"{name} is {value!r}, but {features['name']} takes no {name}; leave it out")
    return {**features, **{name: value for name, value in given.items() if value is not None}}
