"""The network and the training that the paper's experiments share.

The network has the paper's widths, A starts as a band, and training stops by a validation split. Every competitor can
be trained in the same way. The recommended network and training differ: :class:`lgrin.LGrIN` with the
options of :func:`lgrin.training.recommended`, trained by :func:`lgrin.training.train_and_test`.
"""

import functools

from lgrin import LGrIN

WIDTHS = {"branch_channels": (128, 64), "input_norm": True}
BAND = {"init": "temporal", "normalize": "row"}
RECIPE = {"lr": 0.003, "weight_decay": 0.05}
network = functools.partial(LGrIN, **WIDTHS, adjacency=BAND)
