"""The reusable layers of L-GrIN."""

from lgrin.nn.adjacency import Adjacency, AttentionAdjacency, LearnableAdjacency, LowRankAdjacency, StationaryAdjacency
from lgrin.nn.gstar_conv import GStarConv
from lgrin.nn.inception import GraphInception
from lgrin.nn.instance_norm import MaskedInstanceNorm
from lgrin.nn.loss import LGrINLoss
from lgrin.nn.norm import MaskedBatchNorm
from lgrin.nn.pool import GraphReadout, LearnablePool
from lgrin.nn.structure import PriorLoss, SparsityLoss, StructureLoss, prior_loss, sparsity_loss, structure_loss

__all__ = [
    "Adjacency",
    "AttentionAdjacency",
    "GStarConv",
    "GraphInception",
    "GraphReadout",
    "LGrINLoss",
    "LearnableAdjacency",
    "LearnablePool",
    "LowRankAdjacency",
    "MaskedBatchNorm",
    "MaskedInstanceNorm",
    "PriorLoss",
    "SparsityLoss",
    "StationaryAdjacency",
    "StructureLoss",
    "prior_loss",
    "sparsity_loss",
    "structure_loss",
]
