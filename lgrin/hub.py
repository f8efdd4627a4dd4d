"""Trained classifiers in folders and repositories of the Hugging Face Hub. Needs the extra ``hub``."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

import lgrin
from lgrin.bounds import check_build
from lgrin.checksum import BLANK, verify, write_with_checksum
from lgrin.extras import optional
from lgrin.files import remove_leftovers, write_atomically
from lgrin.options import check_path
from lgrin.text import one_line
from lgrin.training import SequenceClassifier
from lgrin.training.rebuild import difference_from_config
from lgrin.training.schedule import name_schedule

with optional("hub"):
    import safetensors.torch as safetensors_torch
    from huggingface_hub import PyTorchModelHubMixin, hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError
    from safetensors import SafetensorError

CONFIG, WEIGHTS = "config.json", "model.safetensors"
CARD = """---
{{ card_data }}
---

A classifier of sequences, trained with lgrin: an L-GrIN (Shirian, Tripathi and Guha, IEEE Transactions on Multimedia
2021). `config.json` says how its features are made, how many frames it takes, and which classes it knows.

```python
from lgrin.hub import PretrainedClassifier
from lgrin.training import predict

classifier = PretrainedClassifier.from_pretrained("OWNER/NAME")  # or this folder
predict(classifier, "clip.wav")  # where config.json says how features are made
```
"""
DOWNLOAD = ("revision", "cache_dir", "force_download", "local_files_only", "token")


class PretrainedClassifier(
    SequenceClassifier,
    PyTorchModelHubMixin,
    library_name="lgrin",
    tags=["graph-learning", "pytorch_geometric"],
    model_card_template=CARD,
):
    """A :class:`lgrin.training.SequenceClassifier` that can be saved to a folder, pushed to the Hub, and fetched again.

    A folder holds a checkpoint without the state of the optimiser: ``model.safetensors`` (weights, statistics
    of norms and of the standardisation) and ``config.json`` (the keywords of the model and of the classifier: classes,
    how features are made, the transform). The first carries a checksum of itself and of what the second says, so a
    configuration that was edited is refused: change the classifier, and save it again. A loaded classifier is in
    evaluation mode, and :func:`lgrin.training.predict` takes it.

    Args:
        arguments: Those of :class:`lgrin.training.SequenceClassifier`.

    Raises:
        FileNotFoundError: If there is no such folder or repository, or a folder lacks one of the two files.
        ImportError: If huggingface_hub is not installed (extra ``hub``).
        ValueError: If a model has modules or tensors as arguments, which JSON cannot hold; on loading, if
            ``config.json`` is of something else, or one of the two is damaged or of another model.

    Source:
        https://huggingface.co/docs/huggingface_hub/guides/integrations

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> classifier = SequenceClassifier({"in_channels": 2, "num_nodes": 3, "num_classes": 2}, num_sequences=9)
        >>> PretrainedClassifier.of(classifier).save_pretrained(folder)
        >>> PretrainedClassifier.from_pretrained(folder).model.num_nodes
        3
    """

    @classmethod
    def of(cls, classifier: Any) -> "PretrainedClassifier":
        """Copies a trained classifier.

        Args:
            classifier: A :class:`lgrin.training.SequenceClassifier`, one that was loaded from a checkpoint included, or
                a fitted :class:`lgrin.sklearn.LGrINClassifier`.

        Returns:
            The copy, in evaluation mode.

        Raises:
            TypeError: If it is something else.
        """
        classifier = getattr(classifier, "classifier_", classifier)  # that of a fitted estimator
        if not isinstance(classifier, SequenceClassifier):
            raise TypeError(
                f"classifier is a {type(classifier).__name__}; it may be a SequenceClassifier, such as the "
                f"classifier_ of a fitted LGrINClassifier"
            )
        settings = dict(classifier.hparams)
        _check_storable(classifier)
        copy = cls(**settings)
        copy.load_state_dict(classifier.state_dict())
        return copy.eval()

    def save_pretrained(self, save_directory: str | Path, **options: Any) -> str | None:
        """Saves to a folder. Each file is complete or not there, and a folder without ``config.json`` is refused.

        Args:
            save_directory: The folder; made if need be.
            **options: Of ``huggingface_hub.PyTorchModelHubMixin.save_pretrained``, such as ``push_to_hub=True``.

        Returns:
            The address on the Hub, if it was pushed there.
        """
        _check_storable(self)
        check_path("save_directory", save_directory)
        return super().save_pretrained(save_directory, **options)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **options: Any) -> "PretrainedClassifier":
        """Loads from a folder or a repository of the Hub.

        Args:
            pretrained_model_name_or_path: The folder, or the repository's name.
            **options: Of ``huggingface_hub.PyTorchModelHubMixin.from_pretrained``, such as ``revision`` or ``token``.

        Returns:
            The classifier, in evaluation mode.
        """
        place = check_path("pretrained_model_name_or_path", pretrained_model_name_or_path)
        if not place.is_dir() and (place.exists() or place.is_absolute() or len(place.parts) > 2):
            raise FileNotFoundError(
                f"there is no folder {place}; give one that save_pretrained has written, or OWNER/NAME"
            )
        for name in (CONFIG, WEIGHTS):
            if place.is_dir() and not (place / name).is_file():
                raise FileNotFoundError(f"{place} holds no {name}; save it with PretrainedClassifier.save_pretrained")
        try:
            return super().from_pretrained(pretrained_model_name_or_path, **options)
        except LocalEntryNotFoundError as error:
            raise FileNotFoundError(
                f"there is no folder {place}, and no repository of this name could be fetched ({error})"
            ) from error
        except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, RecursionError) as error:
            raise ValueError(f"{CONFIG} of {place} is damaged or of something else ({error})") from error

    def _save_pretrained(self, save_directory: Path) -> None:
        settings = {"library_name": "lgrin", "lgrin_version": lgrin.__version__, **self.hparams}
        content = json.dumps(settings, indent=2) + "\n"
        weights = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
        metadata = {"checksum": BLANK, "config": _digest(json.loads(content))}
        write_with_checksum(save_directory / WEIGHTS, lambda name: safetensors_torch.save_file(weights, name, metadata))
        write_atomically(save_directory / CONFIG, lambda name: Path(name).write_text(content, encoding="utf-8"))

    @classmethod
    def _from_pretrained(
        cls, *, model_id: str, config: object = None, map_location: str = "cpu", **options: Any
    ) -> "PretrainedClassifier":
        if not isinstance(config, Mapping) or config.get("library_name") != "lgrin":
            raise ValueError(f"{CONFIG} of {model_id} is not one of lgrin's; it may be of another library's model")
        download = {name: options.pop(name) for name in DOWNLOAD}
        path = Path(model_id) / WEIGHTS
        if not Path(model_id).is_dir():
            path = Path(hf_hub_download(model_id, WEIGHTS, **download))
        weights, made_with = _read_weights(path)
        settings = name_schedule(_tuples(options))
        try:
            check_build(lambda: SequenceClassifier(**settings), settings["model"], weights)
            classifier = cls(**settings)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{CONFIG} of {model_id} describes no classifier of lgrin ({one_line(error)})") from error
        if made_with not in (None, _digest(config)):
            raise ValueError(
                f"{CONFIG} of {model_id} was edited, or it or {WEIGHTS} is damaged or of another model (that holds a "
                f"checksum of both); fetch them again, or change the classifier and save it again"
            )
        try:
            classifier.load_state_dict(weights)
        except RuntimeError as error:
            raise ValueError(f"{path} is damaged or of another model ({error}); save or fetch it again") from error
        return classifier.to(map_location).eval()


def _read_weights(path: Path) -> tuple[dict[str, Tensor], str | None]:
    """Reads the weights of a file, and the digest of the configuration that they were saved with."""
    remove_leftovers(path)
    content = path.read_bytes()
    verify(content, path, "is damaged or of another model", "save it again")
    try:
        weights = safetensors_torch.load(content)
    except (SafetensorError, RuntimeError, ValueError) as error:
        raise ValueError(f"{path} is damaged or of another model ({error}); save or fetch it again") from error
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return weights, header.get("__metadata__", {}).get("config")


def _digest(config: object) -> str:
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def _check_storable(classifier: SequenceClassifier) -> None:
    config = classifier.hparams["model"]
    try:
        plain = config is not None and json.dumps(config) is not None
    except TypeError:
        plain = False
    if not plain:
        raise ValueError(
            f"the model has modules or tensors as arguments, which {CONFIG} cannot hold; build it from plain keywords, "
            f"or keep its checkpoint"
        )
    if found := difference_from_config(classifier.model):
        raise ValueError(f"the model is {found}, which {CONFIG} cannot hold; take an LGrIN, or keep its checkpoint")


def _tuples(value: object) -> Any:
    """Turns lists back into tuples, which JSON writes as lists."""
    if isinstance(value, Mapping):
        return {name: _tuples(one) for name, one in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
