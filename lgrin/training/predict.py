"""From a file to classes, with everything that training did to its features."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Data

from lgrin.features import from_settings as extractor_from
from lgrin.training.classifier import SequenceClassifier
from lgrin.transforms import from_settings as transform_from


class Prediction(NamedTuple):
    """What a classifier says of a file.

    Attributes:
        classes: The names of the classes.
        probabilities: ``[C]``, in the order of the classes.
        seconds: When the frame begins that the max readout answers to most.
    """

    classes: list[str]
    probabilities: Tensor
    seconds: float


@torch.no_grad()
def predict(classifier: SequenceClassifier, path: str | Path, spontaneous: bool | None = None) -> Prediction:
    """Classifies a file: extracts its features, fixes its length and standardises it as training did.

    Args:
        classifier: A classifier that was trained with ``features`` and ``transform``; left in evaluation mode.
        path: The file.
        spontaneous: Whether the speech is spontaneous, for models that were told so (those of IEMOCAP).

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
    if settings.get("features") is None or settings.get("transform") is None:
        raise ValueError(
            "classifier does not know how its features are made; train it with SequenceClassifier(..., "
            "features=dataset.features.settings, transform=transform.settings)"
        )
    given = {} if spontaneous is None else {"spontaneous": spontaneous}
    frames = extractor_from({**settings["features"], **given})(path)
    time = torch.arange(len(frames.x)) / frames.frame_rate
    data = transform_from(settings["transform"])(Data(x=frames.x, mask=frames.mask, time=time))
    model = classifier.eval().model
    if data.x.size(1) != model.in_channels:
        raise ValueError(
            f"{path} has {data.x.size(1)} features a frame, but in_channels={model.in_channels}; a model that was told "
            f"which speech is spontaneous needs spontaneous=True or False"
        )
    data = data.to(classifier.device)
    x = classifier.normalize(data.x)
    logits = model(x.unsqueeze(0), mask=data.mask.unsqueeze(0))
    salient = int(model.salient_frames(x.unsqueeze(0), mask=data.mask.unsqueeze(0)))
    classes = settings["classes"] or [str(label) for label in range(model.num_classes)]
    return Prediction(classes, logits[0].softmax(-1).cpu(), float(data.time[salient]))
