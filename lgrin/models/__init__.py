"""Whole networks."""

from lgrin.models.bank import FilterBank
from lgrin.models.blend import Blend
from lgrin.models.fold import fold
from lgrin.models.lgrin import LGrIN
from lgrin.models.multimodal import MultimodalLGrIN
from lgrin.models.registry import from_config

__all__ = ["Blend", "FilterBank", "LGrIN", "MultimodalLGrIN", "fold", "from_config"]
