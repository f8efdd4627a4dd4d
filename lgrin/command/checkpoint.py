"""From what a user types to a trained classifier."""

from pathlib import Path

from lgrin.training import SequenceClassifier


def load(name: str) -> SequenceClassifier:
    """Loads the classifier of a run: network and bank, or the network where it was trained alone.

    Args:
        name: The folder of the run, or the file of a checkpoint.

    Returns:
        The classifier.

    Raises:
        FileNotFoundError: If there is none.
        TypeError: If the checkpoint cannot build its network.
        ValueError: If the file is damaged.

    Example:
        >>> load("/nowhere")
        Traceback (most recent call last):
        ...
        FileNotFoundError: there is no checkpoint /nowhere, and no run of lgrin train, which holds checkpoints/best.ckpt
    """
    path = Path(name)
    if path.is_dir():
        whole, network = (path / "checkpoints" / one for one in ("model.ckpt", "best.ckpt"))
        path = whole if whole.exists() else network
    if not path.exists():
        raise FileNotFoundError(
            f"there is no checkpoint {name}, and no run of lgrin train, which holds checkpoints/best.ckpt"
        )
    return SequenceClassifier.load_from_checkpoint(path)
