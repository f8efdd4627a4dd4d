"""The model, its loss and its optimiser as one Lightning module."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import Identity, Module, ModuleDict
from torch_geometric.data import Data, HeteroData
from torch_geometric.data.storage import NodeStorage

from lgrin import validate
from lgrin.bounds import check_build, check_counts
from lgrin.extras import optional
from lgrin.models.registry import MODEL, from_config, settings_of
from lgrin.nn import Adjacency, LGrINLoss, MaskedBatchNorm
from lgrin.nodes import frames_from_start, frames_in_order
from lgrin.options import check_number, check_path, check_whole
from lgrin.text import one_line
from lgrin.training.augment import Augment
from lgrin.training.checkpoints import SETTINGS, WholeCheckpoints
from lgrin.training.rebuild import check_rebuilds, difference_from_config
from lgrin.training.schedule import NOT_GIVEN, Schedule, make_schedule, name_schedule, schedule_settings
from lgrin.transforms import Standardize
from lgrin.transforms.standardize import Fitting

with optional("train"):
    from lightning import LightningModule
    from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
    from torchmetrics.classification import MulticlassAccuracy, MulticlassRecall


class SequenceClassifier(LightningModule):
    r"""Trains a model on PyG batches of sequences with Eq. (7)-(9) and Adam.

    The features are standardised by statistics that :meth:`fit_normalization` takes from training data and that the
    checkpoint carries; frames for an encoder go to it as they are. The checkpoint also holds the keywords of the model,
    so that ``SequenceClassifier.load_from_checkpoint(path)`` needs nothing else; it loads with ``weights_only=True``.

    Args:
        model: A model with ``in_channels``, ``num_nodes`` and ``num_classes`` that is called like
            :class:`lgrin.LGrIN`, a :class:`lgrin.MultimodalLGrIN`, or the keywords of one of the two.
        num_sequences: The number N of training sequences in Eq. (7).
        loss: Keywords of :class:`lgrin.nn.LGrINLoss`: ``{"reduction": "sum"}`` is the paper's scaling,
            ``{"reduction": "mean"}`` the released code's.
        lr: Learning rate of Adam.
        weight_decay: Decoupled weight decay; 0 makes it plain Adam.
        halve_every: Epochs after each of which the learning rate is halved, where ``schedule`` is ``None``; 50 if it is
            not given.
        augment: Keywords of :class:`Augment`, which changes training sequences after they were standardised.
        classes: Names of the classes.
        features: The settings of the extractor that made the features, see :class:`lgrin.features.Extractor`.
        transform: The settings of the transform to a fixed length, see :func:`lgrin.transforms.from_settings`. The
            checkpoint keeps both, so that :func:`lgrin.training.predict` can do the same to another file.
        schedule: The schedule of the learning rate, a name, a dictionary of its name and settings, or an object of
            :mod:`lgrin.training.schedule`: ``"step"``
            halves it (``{"name": "step", "halve_every": 50}``), ``"cosine"`` lets it rise over the first twentieth of
            the steps and fall along half a cosine to 0 over the rest. ``None`` means ``"step"`` with ``halve_every``.

    Shapes:
        - **batch:** ``x [N, P]`` (``[N, ...]`` for a model with an encoder), ``y [B]``, and ``frame [N]``, ``mask [N]``
          where there are any, and ``weight [B]`` where sequences count differently; for several modalities a
          ``HeteroData`` with such nodes for each and one ``y [B]``, see :func:`lgrin.datasets.join`
        - **output:** logits ``[B, C]``

    Raises:
        TypeError: If the model is neither a module nor keywords.
        ValueError: If there are more or fewer names than classes, or an option is out of range.

    Source:
        "Implementation details" in Sec. IV-A of Shirian, Tripathi and Guha, 2021: Adam, 0.01, halved every 50 epochs.

    Example:
        >>> from torch_geometric.data import Batch
        >>> classifier = SequenceClassifier({"in_channels": 2, "num_nodes": 3, "num_classes": 2}, num_sequences=2)
        >>> classifier(Batch.from_data_list([Data(x=torch.rand(3, 2)), Data(x=torch.rand(3, 2))])).shape
        torch.Size([2, 2])
    """

    def __init__(
        self,
        model: Module | Mapping[str, Any],
        num_sequences: int,
        loss: Mapping[str, Any] | None = None,
        lr: float = 0.01,
        weight_decay: float = 0.0,
        halve_every: int | str | None = NOT_GIVEN,
        augment: Mapping[str, Any] | None = None,
        classes: Sequence[str] | None = None,
        features: Mapping[str, Any] | None = None,
        transform: Mapping[str, Any] | None = None,
        schedule: str | Mapping[str, Any] | Schedule | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(model, Module | Mapping):
            raise TypeError(
                f"model is a {type(model).__name__}; it may be a module or the keywords of LGrIN. A checkpoint of a "
                f"model with modules as arguments holds no keywords: pass model= beside the path"
            )
        classes = None if classes is None else [str(name) for name in classes]
        network: Any = model if isinstance(model, Module) else from_config(model)
        if classes is not None and len(classes) != network.num_classes:
            raise ValueError(
                f"classes is {classes}; the model has num_classes={network.num_classes}: name each of them"
            )
        changes = Augment(**(augment or {}))
        rate = schedule_settings(schedule, halve_every)
        self.save_hyperparameters(
            {
                "model": settings_of(MODEL, network),
                "num_sequences": check_whole("num_sequences", num_sequences),
                "loss": dict(loss or {}),
                "lr": check_number("lr", lr),
                "weight_decay": check_number("weight_decay", weight_decay),
                "halve_every": rate.get("halve_every"),
                "augment": {name: getattr(changes, name) for name in augment or {}},
                "classes": classes,
                "features": None if features is None else dict(features),
                "transform": None if transform is None else dict(transform),
                "schedule": rate,
            }
        )
        self.model = network
        self.label_names = classes
        self._difference: str | None = None
        self.normalize = _scaling(self.frame_channels)
        self.augment = changes
        self.loss = LGrINLoss(num_sequences, **(loss or {}))
        num_classes = network.num_classes
        self.val_accuracy = MulticlassAccuracy(num_classes, average="micro")
        self.val_uar = MulticlassRecall(num_classes, average="macro")

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]  # options go by name alone
        cls, checkpoint_path: str | Path, map_location: str | torch.device = "cpu", **options: Any
    ) -> Self:
        """Loads a classifier that was trained.

        Args:
            checkpoint_path: The file ``best.ckpt`` or ``last.ckpt`` of a run.
            map_location: The device to load to.
            **options: Arguments of the class that replace those of the checkpoint, such as ``model=`` for one that was
                trained with modules as arguments.

        Returns:
            The classifier.

        Raises:
            FileNotFoundError: If there is no such file.
            TypeError: If the checkpoint holds a network that no keywords build, with what it is and the way out.
            ValueError: If the file is damaged or no checkpoint of a run.
        """
        checkpoint = WholeCheckpoints().load_checkpoint(str(check_path("checkpoint_path", checkpoint_path)))
        if options.get("model") is None:
            _check_model(checkpoint, checkpoint_path)
        settings = name_schedule(checkpoint[SETTINGS])
        options = {name: settings[name] for name in settings.keys() - checkpoint[SETTINGS].keys()} | options
        options.setdefault("weights_only", True)
        return super().load_from_checkpoint(checkpoint_path, map_location, **options)

    @property
    def frame_channels(self) -> int | dict[str, int | None] | None:
        """Features of a frame, P, that the model takes; ``None`` for an encoder's frames; by name for modalities."""
        return getattr(self.model, "frame_channels", self.model.in_channels)

    def fit_normalization(self, sequences: Iterable[Data]) -> None:
        """Takes the statistics of the features from training sequences, and from no others."""
        fittings = [(name, Fitting(scale)) for name, scale in _scales(self.normalize)]
        for data in sequences:
            for name, fitting in fittings:
                fitting.add(data if name is None else data[name])
        for _, fitting in fittings:
            fitting.finish()

    @property
    def schedule(self) -> Schedule:
        """The schedule of the learning rate."""
        return make_schedule(self.hparams["schedule"])

    def setup(self, stage: str) -> None:
        """Shares the statistics of batch norms among the processes that train together."""
        self._difference = difference_from_config(self.model)
        MaskedBatchNorm.synchronize(self.model, enabled=stage == "fit" and self.trainer.world_size > 1)

    def teardown(self, stage: str) -> None:
        """Leaves a model that trains alone."""
        self._difference = None
        MaskedBatchNorm.synchronize(self.model, enabled=False)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what the network is where its keywords do not build it; empty where they do."""
        known = self._difference
        checkpoint["network"] = difference_from_config(self.model) if known is None else known

    def forward(self, batch: Data) -> Tensor:
        """Computes logits ``[B, C]`` of a PyG batch."""
        return self.logits_of(_inputs(batch))

    def training_step(self, batch: Data, batch_idx: int) -> Tensor:
        """Computes the loss of one batch."""
        if batch.num_graphs == 1:
            self.check_lone(batch)
        loss = self.loss_of(batch.y, _inputs(batch), batch.get("weight"))
        settings = {"batch_size": batch.num_graphs, "sync_dist": self.trainer.world_size > 1}
        self.log("train_loss", loss, on_step=False, on_epoch=True, prog_bar=True, **settings)
        return loss

    def check_lone(self, batch: Data) -> None:
        """Raises if a training batch is one sequence of one frame, of which batch norms can take no statistics."""
        validate.batch(
            batch, self.model.num_nodes, self.model.num_classes, training=True, may_lack=self.frame_channels is not None
        )

    def loss_of(self, target: Tensor, inputs: dict[str, Any], weight: Tensor | None = None) -> Tensor:
        """Computes the loss of a training step from tensors, which is what :func:`lgrin.training.fit` can compile."""
        if _reads_features(self.model):
            logits, graph = self.logits_of(inputs, return_graph=True)
            return self.loss(logits, target, self.model, graph, weight)
        return self.loss(self.logits_of(inputs), target, self.model, weight=weight)

    def logits_of(self, inputs: dict[str, Any], **options: Any) -> Any:
        """Computes logits from the arguments of the model by name, the features not standardised yet."""
        if not isinstance(self.normalize, ModuleDict):
            num_nodes = self.model.num_nodes
            return self.model(**_stacked(num_nodes, self._prepared(self.normalize, num_nodes, inputs)), **options)
        prepared = {}
        for name, one in inputs.items():
            num_nodes = self.model.num_nodes[name]
            prepared[name] = _stacked(num_nodes, self._prepared(self.normalize[name], num_nodes, one))
        return self.model(prepared, **options)

    def _prepared(self, scaling: Module, num_nodes: int | None, inputs: dict[str, Any]) -> dict[str, Any]:
        """Scales the features and, in training, changes the sequences."""
        x, mask = self.augment(scaling(inputs["x"]), inputs["batch"], inputs["mask"], inputs["batch_size"])
        return _told_longest(num_nodes, {**inputs, "x": x, "mask": mask})

    def validation_step(self, batch: Data, batch_idx: int) -> None:
        """Measures cross-entropy, accuracy and unweighted average recall of one batch."""
        logits = self(batch)
        self.val_accuracy.update(logits, batch.y)
        self.val_uar.update(logits, batch.y)
        loss = torch.nn.functional.cross_entropy(logits, batch.y)
        settings = {"prog_bar": True, "batch_size": batch.num_graphs}
        self.log("val_loss", loss, sync_dist=self.trainer.world_size > 1, **settings)
        self.log("val_accuracy", self.val_accuracy, **settings)
        self.log("val_uar", self.val_uar, batch_size=batch.num_graphs)

    def predict_step(self, batch: Data, batch_idx: int) -> Tensor:
        """Computes the class probabilities ``[B, C]`` of one batch."""
        return self(batch).softmax(dim=-1)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Builds Adam and the schedule of its learning rate."""
        optimizer, rates = self.make_optimizer(lambda: int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": rates}

    def make_optimizer(
        self, count_steps: Callable[[], int], kind: Callable[..., torch.optim.AdamW] = torch.optim.AdamW
    ) -> tuple[torch.optim.Optimizer, Any]:
        """Builds Adam, whose weights move together, and the schedule of its learning rate.

        Args:
            count_steps: Returns the number of steps of the run.
            kind: The class of the optimiser, called like PyTorch's.

        Returns:
            The optimiser, and what Lightning takes as ``lr_scheduler``.
        """
        lr, decay = self.hparams["lr"], self.hparams["weight_decay"]
        optimizer = kind(self.parameters(), lr, weight_decay=decay, foreach=True)
        return optimizer, self.schedule.configure(optimizer, count_steps)


def _check_model(checkpoint: Mapping[str, Any], path: str | Path) -> None:
    """Raises unless the keywords of a checkpoint build its model, which is as large as its weights."""
    config, weights = checkpoint[SETTINGS].get("model"), checkpoint["state_dict"]
    try:
        check_counts(config, len(weights))
    except ValueError as error:
        raise ValueError(f"checkpoint {path} is damaged ({one_line(error)}); give another") from error
    check_rebuilds(checkpoint, path)
    held = {name.removeprefix("model."): one for name, one in weights.items() if name.startswith("model.")}
    try:
        check_build(lambda: from_config(config), config, held)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"checkpoint {path} is damaged ({one_line(error)}); give another") from error


def _reads_features(model: Module) -> bool:
    """Whether the graph of a model, or of one of its modalities, differs by sequence."""
    parts = getattr(model, "modalities", None)
    adjacencies = [getattr(one, "adjacency", None) for one in (parts.values() if parts else [model])]
    return any(isinstance(one, Adjacency) and one.reads_features for one in adjacencies)


def _stacked(num_nodes: int | None, inputs: dict[str, Any]) -> dict[str, Any]:
    """Makes whole flat sequences dense, ``[B, M, P]``, on an accelerator, where laying out nodes takes longer."""
    x, mask, batch, size = (inputs[name] for name in ("x", "mask", "batch", "batch_size"))
    if x.device.type == "cpu" or num_nodes is None or inputs["frame"] is not None or len(x) != size * num_nodes:
        return inputs
    frames_in_order(batch, num_nodes, size)  # asserts that the nodes of each sequence stand in a row
    mask = None if mask is None else mask.view(size, num_nodes)
    return {**inputs, "x": x.unflatten(0, (size, num_nodes)), "mask": mask, "batch": None}


def _told_longest(num_nodes: int | None, inputs: dict[str, Any]) -> dict[str, Any]:
    """Tells a model without a length how long the longest sequence is, which compiled ones and GPUs do not read."""
    if num_nodes is not None:
        return inputs
    frame = inputs["frame"]
    frame = frames_from_start(inputs["batch"], inputs["batch_size"]) if frame is None else frame
    return {**inputs, "max_num_nodes": int(frame.max()) + 1 if frame.numel() else 1}


def _inputs(batch: Data | HeteroData) -> dict[str, Any]:
    """What a model is called with, by name; for several modalities that of each."""
    if isinstance(batch, HeteroData):
        return {name: _arguments(batch[name], batch.num_graphs) for name in batch.node_types}
    return _arguments(batch, batch.num_graphs)


def _arguments(nodes: Data | NodeStorage, batch_size: int) -> dict[str, Any]:
    return {**{name: nodes.get(name) for name in ("x", "frame", "batch", "mask")}, "batch_size": batch_size}


def _scaling(channels: int | Mapping[str, int | None] | None) -> Module:
    """Standardisation of so many features, of each modality where there are several, of none for an encoder."""
    if isinstance(channels, Mapping):
        return ModuleDict({name: _scaling(one) for name, one in channels.items()})
    return Identity() if channels is None else Standardize(channels)


def _scales(scaling: Module) -> list[tuple[str | None, Standardize]]:
    """What is fitted to the training sequences, by the name of its modality where there are several."""
    parts: Any = scaling.items() if isinstance(scaling, ModuleDict) else [(None, scaling)]
    return [(name, one) for name, one in parts if isinstance(one, Standardize)]
