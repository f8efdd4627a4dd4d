"""The library's own training of a model whose frames go through an encoder."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch.nn import AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Flatten, Sequential, Unflatten
from torch_geometric.data import Data

from lgrin import LGrIN, validate
from lgrin.features import Extractor, Frames
from lgrin.training import SequenceClassifier, evaluate, fit, predict
from lgrin.transforms import Patches


def network():
    torch.manual_seed(0)
    encoder = Sequential(Unflatten(1, (1, 3)), Conv2d(1, 4, 3), BatchNorm2d(4), AdaptiveAvgPool2d(1), Flatten())
    return LGrIN(4, 6, 2, branch_channels=(8, 4), encoder=encoder)


def sequences(count, seed=0):
    """Patches of 3 x 5; the class is the sign of a diagonal stripe. Some are missing."""
    generator = torch.Generator().manual_seed(seed)
    stripe = torch.eye(3, 5)
    data = []
    for index in range(count):
        length = 3 + index % 4
        x = 0.3 * torch.randn(length, 3, 5, generator=generator) + stripe * (1 if index % 2 else -1)
        mask = torch.rand(length, generator=generator) > 0.2
        mask[0] = True
        x = x.masked_fill(~mask.view(-1, 1, 1), torch.nan)
        data.append(Data(x=x, mask=mask, frame=torch.arange(length), y=torch.tensor([index % 2])))
    return data


def test_it_trains_resumes_and_tells_the_classes_apart(tmp_path):
    train, test = sequences(40), sequences(20, seed=1)
    options = {"batch_size": 8, "progress": False}
    fit(SequenceClassifier(network(), 40), train, test, tmp_path, epochs=2, **options)
    classifier = SequenceClassifier(network(), 40)
    best = fit(classifier, train, test, tmp_path, epochs=6, resume=True, **options)
    again = SequenceClassifier.load_from_checkpoint(best, model=network(), weights_only=True)
    assert evaluate(again, test).accuracy > 0.9


def test_a_checkpoint_without_keywords_says_what_to_pass(tmp_path):
    best = fit(SequenceClassifier(network(), 8), sequences(8), sequences(4), tmp_path, epochs=1, progress=False)
    with pytest.raises(TypeError, match="pass model= beside the path"):
        SequenceClassifier.load_from_checkpoint(best, weights_only=True)


def test_patches_are_validated_like_other_sequences(tmp_path):
    broken = sequences(4)
    broken[2].x[0, 1, 1] = torch.inf
    classifier = SequenceClassifier(network(), 4)
    with pytest.raises(ValueError, match=r"dataset\[2\]: x\[0, 1, 1\] is inf"):
        fit(classifier, broken, sequences(4), tmp_path, progress=False)
    with pytest.raises(ValueError, match=r"dataset\[0\]: frame has shape \[2\]"):
        evaluate(classifier, [Data(x=torch.zeros(3, 3, 5), frame=torch.arange(2), y=torch.tensor([0]))])
    with pytest.raises(ValueError, match=r"dense x .* needs none"):
        validate.dataset([Data(x=torch.zeros(3, 3, 5))], num_nodes=6, in_channels=5)


@dataclass(frozen=True)
class Counting(Extractor):
    """Nine frames of whatever a file holds."""

    num_features: ClassVar[int] = 5

    def read(self, path):
        x = torch.arange(45.0).view(9, 5) / path.stat().st_size
        return Frames(x, torch.ones(9, dtype=torch.bool), 100.0)


def test_a_file_is_cut_into_patches_as_training_did(tmp_path):
    settings = {"features": Counting().settings, "transform": Patches(6, width=3).settings}
    classifier = SequenceClassifier(network(), 4, classes=["a", "b"], **settings).eval()
    path = tmp_path / "clip.txt"
    path.write_text("clip")
    prediction = predict(classifier, path)
    x = Patches(6, width=3)(Data(x=Counting()(path).x)).x
    assert torch.allclose(prediction.probabilities, classifier.model(x.unsqueeze(0))[0].softmax(-1))
    assert 0 <= prediction.seconds <= 0.08
