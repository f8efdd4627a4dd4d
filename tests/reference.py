"""The paper's equations in float64 NumPy, with nothing of lgrin in them."""

import numpy as np


def relu(x):
    return np.maximum(x, 0.0)


def gcn(H, A, W):
    """Eq. (3), without its activation."""
    M = len(A)
    A = A + np.eye(M)
    D = np.diag(1 / np.sqrt(A.sum(1)))
    return D @ A @ D @ H @ W


def gstar(H, A, weights, norm=None):
    """Eq. (4): sigma(MLP(ReLU(A) H)), an activation after each linear layer."""
    M = len(H)
    out = np.array([sum(max(A[i, j], 0.0) * H[j] for j in range(M)) for i in range(M)])
    for layer, (W, b) in enumerate(weights):
        out = out @ W.T + b
        if norm is not None:
            out = norm(layer, out)
        out = relu(out)
    return out


def neighbor_max(H, A):
    """The maximum over each node and its 1-hop neighbours."""
    M = len(H)
    return np.array([np.max([H[j] for j in range(M) if j == i or A[i, j] > 0], axis=0) for i in range(M)])


def line_max(H):
    """The maximum over the frames before and after."""
    M = len(H)
    return np.array([np.max([H[j] for j in (i - 1, i + 1) if 0 <= j < M], axis=0) for i in range(M)])


def inception(H, A, branches):
    """Eq. (5)."""
    return np.concatenate([*(gstar(H, A, weights) for weights in branches), neighbor_max(H, A)], axis=1)


def readout(H, p):
    """Eq. (6)."""
    return np.concatenate([H.max(0), H.T @ p, H.mean(0)])


def cross_entropy_sum(logits, labels):
    """Eq. (7)."""
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        row = row - row.max()
        total -= row[label] - np.log(np.exp(row).sum())
    return total


def graph_loss(A, p, lambda1, lambda2, lambda3):
    """Eq. (8) with Eq. (9), of a non-negative A."""
    M = len(A)
    A_d = np.array([[(i - j) ** 2 for j in range(M)] for i in range(M)], dtype=float)
    e = np.ones(M)
    return lambda1 * e @ (A_d * A) @ e + lambda2 * np.linalg.norm(A, "fro") ** 2 + lambda3 * np.sum(p**2)
