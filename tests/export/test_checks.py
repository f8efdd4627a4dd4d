"""The comparison of a file with its network: rounding passes, also at a threshold, and faults do not."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from lgrin import LGrIN
from lgrin.export import load, to_onnx, translate
from lgrin.export.description import Description
from lgrin.models import Blend, FilterBank
from lgrin.sklearn import FilterBankClassifier, LGrINClassifier

SIZES = {"in_channels": 3, "num_classes": 2}


def bank():
    """A bank whose thresholds all lie on responses to the very frames by which files are checked."""
    torch.manual_seed(0)
    model = FilterBank(**SIZES, dilations=(1, 2, 4), thresholds=5).eval()
    torch.nn.init.normal_(model.head.weight, std=0.1)
    description = Description("FilterBank", "float32", 1, 3, None, ["a", "b"])
    x, mask = translate._random_inputs(3, description, translate.LENGTHS[2])
    with torch.no_grad():
        responses = model.responses(model.standardized(x, mask), mask)[mask]
    random = torch.Generator().manual_seed(1)
    for threshold in model.threshold:
        place = torch.randint(len(responses), threshold.shape, generator=random)
        threshold.copy_(responses.gather(0, place.unsqueeze(0))[0])
    return model


def blend():
    torch.manual_seed(0)
    return Blend(LGrIN(3, 20, 2, branch_channels=(4,)), bank(), weight=0.5).eval()


MODELS = {"bank": bank, "blend": blend, "thinned blend": lambda: Blend(blend().network, bank(), thin="max").eval()}


def bank_of(model):
    return getattr(model, "bank", model)


@pytest.fixture(scope="module", params=MODELS)
def checked(request, tmp_path_factory):
    """What was compared before a file was written: program, content of the file, and its description."""
    with pytest.MonkeyPatch.context() as patch:
        parts, check = [], translate._check_outputs
        patch.setattr(translate, "_check_outputs", lambda *given: parts.extend(given) or check(*given))
        to_onnx(MODELS[request.param](), tmp_path_factory.mktemp("checked") / "model.onnx")
    return parts


def test_a_value_on_a_threshold_may_fall_to_either_side_and_that_is_more_than_the_tolerance(checked, monkeypatch):
    program, content, description = checked
    other = deepcopy(program)  # rounds otherwise, as the kernels of another machine do
    one = bank_of(other.network)
    wide = deepcopy(one).double()
    one.responses = lambda z, present: wide.responses(z.double(), present).float()
    translate._check_outputs(other, content, description)
    monkeypatch.setattr(translate, "SPREAD", 0)
    with pytest.raises(RuntimeError, match="differs from the model"):
        translate._check_outputs(other, content, description)


def raise_thresholds(model):
    bank_of(model).threshold += 0.02


def forget_a_tap(model):
    bank_of(model).filters[0].weight[0, 3] = 0


def swap_mixes(model):
    bank_of(model).mix = bank_of(model).mix.flip(1)


def count_from_the_other_side(model):
    bank_of(model).head.weight[:, : bank_of(model).blocks["share"]] *= -1


def move_the_bias(model):
    bank_of(model).head.bias += 0.01


FAULTS = [raise_thresholds, forget_a_tap, swap_mixes, count_from_the_other_side, move_the_bias]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_wrong_translation_is_refused(checked, fault):
    program, content, description = checked
    other = deepcopy(program)
    with torch.no_grad():
        fault(other.network)
    with pytest.raises(RuntimeError, match=r"differs from the model by .* a layer of .* is translated wrongly"):
        translate._check_outputs(other, content, description)


def test_files_are_checked_on_frames_like_those_of_training(tmp_path, monkeypatch):
    """Far from the training frames every filter is beyond its thresholds, and no fault of the thresholds would show."""
    seen = []
    check = translate._outputs_and_moves

    def watch(program, x, mask):
        seen.append((x.mean((0, 1)), x.std((0, 1))))
        return check(program, x, mask)

    monkeypatch.setattr(translate, "_outputs_and_moves", watch)
    random = np.random.default_rng(0)
    X = [random.normal(size=(2, 30)) * [[1e-3], [50.0]] + [[0.0], [900.0]] for _ in range(8)]
    to_onnx(FilterBankClassifier(random_state=0).fit(X, [0, 1] * 4), tmp_path / "model.onnx")
    mean, deviation = seen[-1]
    assert mean[1] == pytest.approx(900, rel=0.01)
    assert deviation.tolist() == pytest.approx([1e-3, 50.0], rel=0.2)


@pytest.mark.filterwarnings("ignore:.*of the values of X are missing")
def test_an_estimator_names_its_classes_and_a_bare_model_numbers_them(tmp_path):
    random, names = np.random.default_rng(0), np.array(["calm", "glad"])
    X = random.normal(size=(12, 2, 20))
    fitted = FilterBankClassifier(random_state=0).fit(X, names[np.arange(12) % 2])
    assert to_onnx(fitted, tmp_path / "named.onnx").classes == ["calm", "glad"]
    assert to_onnx(fitted.model_, tmp_path / "bare.onnx").classes == ["0", "1"]
    for name in ("named", "bare"):
        found = load(tmp_path / f"{name}.onnx")(X.transpose(0, 2, 1)).probabilities
        assert np.abs(found - fitted.predict_proba(X)).max() < 1e-6
    for kind in (FilterBankClassifier, LGrINClassifier):
        with pytest.raises(TypeError, match=f"model is a {kind.__name__} without classes; .*: call its fit first"):
            to_onnx(kind(), tmp_path / "a.onnx")
