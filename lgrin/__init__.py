"""Learnable graphs for sequences: L-GrIN as estimators, networks and layers of PyTorch Geometric.

Where to start:

- ``lgrin.LGrINClassifier``: you have sequences and labels; fit and predict as with scikit-learn.
- ``lgrin.FilterBankClassifier``: you have few labels, or seconds to train.
- ``lgrin.LGrIN``: you train networks with PyTorch; ``lgrin.MultimodalLGrIN`` for several modalities.
- ``lgrin.nn``: you write graph neural networks, and want a layer that learns the adjacency matrix.
- ``lgrin.datasets`` and ``lgrin.features``: you have recordings in files.
- ``lgrin.training``: runs that resume, splits by person, cross-validation.
- ``lgrin.visualization``: pictures of what was learned.
- ``lgrin.export``: files for devices.

``lgrin --help`` lists the commands, and ``docs/`` holds the manual. Each of these names is imported when it is first
used, so that ``import lgrin`` takes no time.
"""

import warnings
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

warnings.filterwarnings("ignore", "IProgress not found")  # PyG imports tqdm, which asks notebooks for ipywidgets

if TYPE_CHECKING:
    from lgrin import (
        aeon,
        baselines,
        datasets,
        export,
        features,
        graph,
        hub,
        loader,
        models,
        nn,
        ops,
        sklearn,
        training,
        transforms,
        validate,
        visualization,
    )
    from lgrin.models import LGrIN, MultimodalLGrIN
    from lgrin.sklearn import FilterBankClassifier, LGrINClassifier

__version__ = "0.2.0"

__all__ = [
    "FilterBankClassifier",
    "LGrIN",
    "LGrINClassifier",
    "MultimodalLGrIN",
    "aeon",
    "baselines",
    "datasets",
    "export",
    "features",
    "graph",
    "hub",
    "loader",
    "models",
    "nn",
    "ops",
    "sklearn",
    "training",
    "transforms",
    "validate",
    "visualization",
]

_HOMES = {
    "FilterBankClassifier": "sklearn",
    "LGrIN": "models",
    "LGrINClassifier": "sklearn",
    "MultimodalLGrIN": "models",
}
_NEEDS = {  # a library of the extra without which a name cannot be imported
    "FilterBankClassifier": "lightning",
    "LGrINClassifier": "lightning",
    "aeon": "aeon",
    "export": "onnx",
    "hub": "huggingface_hub",
    "sklearn": "lightning",
    "training": "lightning",
}


def __getattr__(name: str) -> object:
    """Imports a name of the package when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    if name not in _HOMES:
        return import_module(f"{__name__}.{name}")
    found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Lists the names that can be imported here; those of extras that are not installed are left out."""
    here = [name for name in __all__ if name not in _NEEDS or find_spec(_NEEDS[name]) is not None]
    return sorted([*here, "__all__", "__doc__", "__file__", "__name__", "__path__", "__version__"])
