"""Trained models as ONNX files that describe themselves. Needs the extra ``export``."""

from lgrin.export.description import Description
from lgrin.export.quantize import quantize
from lgrin.export.runtime import ExportedModel, load
from lgrin.export.script import write_script
from lgrin.export.translate import to_onnx

__all__ = ["Description", "ExportedModel", "load", "quantize", "to_onnx", "write_script"]
