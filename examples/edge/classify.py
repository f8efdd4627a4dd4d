"""Classifies recordings with an exported model, by the script that `lgrin export` writes beside the model.

python examples/edge/classify.py model.onnx clip.wav

The script itself is lgrin/export/device/classify.py, the one file to copy to a device.
"""

import runpy
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "lgrin" / "export" / "device" / "classify.py"

if __name__ == "__main__":
    runpy.run_path(str(SCRIPT), run_name="__main__")
