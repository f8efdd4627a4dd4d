"""The programs of the page about devices, against the estimator."""

import re
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "device.md"


@pytest.mark.filterwarnings("ignore:.*of the values of X are missing")
def test_the_program_of_the_page_fills_gaps_as_the_estimator_does():
    scope = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), scope)
    classifier, random = scope["classifier"], np.random.default_rng(1)
    for _ in range(20):
        x = random.normal(size=(random.integers(5, 80), 3))
        x[random.random(x.shape) < 0.3] = np.nan
        x[random.random(len(x)) < 0.1] = np.nan
        (expected,) = classifier.predict_proba([x.T])
        found = scope["classify"](x)
        assert list(found) == classifier.classes_.tolist()
        assert np.abs(np.array(list(found.values())) - expected).max() < 1e-6
