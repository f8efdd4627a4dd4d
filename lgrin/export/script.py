"""The script that runs an exported model of speech on a device, without torch and lgrin."""

from pathlib import Path

from lgrin.files import write_atomically
from lgrin.options import check_path

SCRIPT = Path(__file__).parent / "device" / "classify.py"


def write_script(folder: str | Path) -> Path:
    """Writes the script ``classify.py``, which classifies recordings of speech with an exported model.

    On the device, ``pip install numpy onnxruntime opensmile`` is all that it needs. ``lgrin export`` writes it beside
    the model.

    Args:
        folder: The folder.

    Returns:
        The script, ``folder/classify.py``.

    Raises:
        FileExistsError: If another file has this name; an older version of the script is replaced.

    Example:
        >>> import tempfile
        >>> write_script(tempfile.mkdtemp()).name
        'classify.py'
    """
    place, content = check_path("folder", folder) / SCRIPT.name, SCRIPT.read_bytes()
    title = content.partition(b"\n")[0]
    if place.exists() and not place.read_bytes().startswith(title):
        raise FileExistsError(f"{place} is another file; move it, or copy {SCRIPT} under another name")
    write_atomically(place, lambda name: Path(name).write_bytes(content))
    return place
