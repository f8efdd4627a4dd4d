import pytest
import torch

from lgrin.export import to_onnx
from lgrin.features import Speech
from lgrin.training import SequenceClassifier
from lgrin.transforms import Resample


@pytest.fixture(scope="module")
def exported_speech(tmp_path_factory):
    """A classifier of speech and the file that was made of it."""
    torch.manual_seed(0)
    settings = {"features": Speech().settings, "transform": Resample(20).settings}
    network = {"in_channels": 34, "num_nodes": 20, "num_classes": 3, "branch_channels": (16,), "num_layers": 1}
    classifier = SequenceClassifier(network, num_sequences=1, classes=["calm", "glad", "sad"], **settings)
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    to_onnx(classifier, path)
    return classifier, path
