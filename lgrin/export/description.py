"""The metadata of an exported model."""

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lgrin
from lgrin.features import from_settings as extractor_from
from lgrin.features.audio import SAMPLING_RATE
from lgrin.features.speech import COLUMNS, DESCRIBE, STEP, STOCK, window_of
from lgrin.text import one_line

FORMATS = (1, 2, 3)  # those that are read; 2 has sequences of any length, 3 an offset, which older readers misread
PREFIX = "lgrin."
MAX_ENTRY_LENGTH = 1 << 20  # characters
PRECISIONS = ("float32", "8-bit")


@dataclass(frozen=True)
class Description:
    """All that is needed to use an exported model; kept in the file, as one JSON value under each name.

    Args:
        network: The class of the network.
        precision: ``"float32"`` or ``"8-bit"``.
        parameters: Trained parameters.
        in_channels: Features per frame, P.
        num_nodes: Frames per sequence, M; ``None`` takes sequences of any length.
        classes: Names of the classes.
        features: The settings of the extractor, see :class:`lgrin.features.Extractor`; ``None`` if it is not known.
        fingerprint: The extractor's fingerprint; extractors with the same one give the same frames.
        transform: The settings of the transform to M frames, see :func:`lgrin.transforms.from_settings`.
        opensmile: For speech the settings of openSMILE, so that a device does not need lgrin: ``config``,
            ``columns``, ``sampling_rate`` in hertz, ``window`` and ``step`` in samples, and for the
            sets that openSMILE ships ``descriptors``, a file in its own folder.
        offset: What to subtract from each feature in float64 before the network sees it in float32, ``[P]``; ``None``
            where float32 holds the features themselves.

    Example:
        >>> description = Description("LGrIN", "float32", 1000, 34, 120, ["calm", "glad"])
        >>> Description.from_properties("model.onnx", description.properties) == description
        True
    """

    network: str
    precision: str
    parameters: int
    in_channels: int
    num_nodes: int | None
    classes: Sequence[str]
    features: Mapping[str, object] | None = None
    fingerprint: str | None = None
    transform: Mapping[str, object] | None = None
    opensmile: Mapping[str, object] | None = None
    offset: Sequence[float] | None = None

    @property
    def properties(self) -> dict[str, str]:
        """The entries of the file's ``metadata_props``."""
        fields = {"format": self._format, "version": lgrin.__version__, **dataclasses.asdict(self)}
        if self.offset is None:
            del fields["offset"]
        return {f"{PREFIX}{name}": json.dumps(value) for name, value in fields.items()}

    @property
    def _format(self) -> int:
        """The oldest format whose readers understand the file."""
        return 3 if self.offset is not None else 2 if self.num_nodes is None else 1

    @classmethod
    def from_properties(cls, path: str, properties: Mapping[str, str]) -> "Description":
        """Reads the entries of a file again.

        Args:
            path: The name of the file in errors.
            properties: Its ``metadata_props``.

        Raises:
            ValueError: If lgrin did not write it, wrote another format, or an entry is missing, cannot be read or is
                not what lgrin writes there.
        """
        values = {name.removeprefix(PREFIX): text for name, text in properties.items() if name.startswith(PREFIX)}
        if "format" not in values:
            raise ValueError(f"{path} was not written by lgrin; make such a file with lgrin.export.to_onnx")
        if values["format"] not in map(str, FORMATS):
            raise ValueError(
                f"{path} has format {one_line(values['format'], 40)}, written by lgrin "
                f"{one_line(values.get('version'), 40)}, and lgrin {lgrin.__version__} reads formats "
                f"{', '.join(map(str, FORMATS))}; export it again with this version, or use that one"
            )
        wanted = [field.name for field in dataclasses.fields(cls)]
        names = wanted if values["format"] == "3" else [name for name in wanted if name != "offset"]
        missing = [name for name in names if name not in values]
        if missing:
            raise ValueError(f"{path} is cut short: it does not say its {missing[0]}; export it again")
        try:
            description = cls(**{name: _parse_entry(values[name]) for name in names})
        except (ValueError, RecursionError):
            description = None
        if description is None or not _is_valid(description) or values["format"] != str(description._format):
            raise ValueError(f"{path} is damaged: what it says about itself cannot be read; export it again")
        return description


def _parse_entry(text: str) -> Any:
    if len(text) > MAX_ENTRY_LENGTH:
        raise ValueError(f"an entry has {len(text):,} characters, where {MAX_ENTRY_LENGTH:,} are allowed")
    return json.loads(text)


def _is_valid(description: Description) -> bool:
    """Says whether every entry has the type that lgrin writes."""
    sizes = [size for size in (description.num_nodes, description.in_channels) if size is not None]
    settings = (description.features, description.transform)
    offset = description.offset
    return (
        all(type(size) is int and size > 0 for size in sizes)
        and description.in_channels is not None
        and type(description.parameters) is int
        and isinstance(description.network, str)
        and description.network.isidentifier()
        and description.precision in PRECISIONS
        and isinstance(description.classes, list)
        and all(isinstance(name, str) for name in description.classes)
        and isinstance(description.fingerprint, str | None)
        and isinstance(description.opensmile, dict | None)
        and (offset is None or _are_numbers(offset, description.in_channels))
        and all(one is None or (isinstance(one, dict) and isinstance(one.get("name"), str)) for one in settings)
    )


def _are_numbers(given: object, count: int) -> bool:
    """Whether something is a list of so many finite numbers."""
    numbers, largest = given if isinstance(given, list) else [], sys.float_info.max
    return len(numbers) == count and all(type(one) in (int, float) and abs(one) <= largest for one in numbers)


def describe_features(features: Mapping[str, object] | None) -> dict[str, Any]:
    """Describes how frames are extracted.

    Args:
        features: The settings of an extractor, or ``None``.

    Returns:
        ``features``, ``fingerprint`` and ``opensmile`` of a :class:`Description`.

    Example:
        >>> describe_features(None)
        {}
        >>> from lgrin.features import Speech
        >>> describe_features(Speech().settings)["opensmile"]["sampling_rate"]
        16000
    """
    if features is None:
        return {}
    described = {"features": dict(features), "fingerprint": extractor_from(features).fingerprint}
    if features["name"] == "Speech":
        described["opensmile"] = _describe_opensmile(str(features["layout"]))
    return described


def _describe_opensmile(layout: str) -> dict[str, Any]:
    """The settings of openSMILE for a layout of speech; those that it ships name its own file of descriptors."""
    smile = DESCRIBE[layout]
    included = {} if smile.descriptors is None else {"descriptors": smile.descriptors}
    return {
        "config": smile.configuration.read_text(encoding="utf-8"),
        "columns": COLUMNS.get(layout) or list(range(STOCK[layout])),
        "sampling_rate": SAMPLING_RATE,
        "window": window_of(layout),
        "step": STEP,
        **included,
    }
