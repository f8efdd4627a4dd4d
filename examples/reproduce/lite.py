"""LITE, a small deep network for time series, as a classifier of arrays.

Ismail-Fawaz, Devanne, Berretti, Weber and Forestier, "LITE: Light Inception with boosTing tEchniques for Time Series
Classification", DSAA 2023. Sizes and training are those of aeon's, which needs TensorFlow: 1,500 epochs, though here
no more than 3,000 steps. Weights start as PyTorch has them.
"""

import copy

import numpy as np
import torch
from torch import nn
from torch.nn.functional import conv1d, cross_entropy, pad

FILTERS, LONGEST = 32, 40  # of each convolution; taps of the longest one that is learned
BATCH, EPOCHS, STEPS = 64, 1_500, 3_000
RATE, LOWEST_RATE, PATIENCE = 1e-3, 1e-4, 50


def hand_made():
    """Taps that find rises, falls and peaks at several lengths; 17 filters."""
    taps = []
    for length in (2, 4, 8, 16, 32, 64):
        rise = torch.where(torch.arange(length) % 2 == 0, -1.0, 1.0)
        taps += [rise, -rise]
        if length > 2:
            half = torch.linspace(0, 1, length // 4 + 1)[1:].square()
            hill = torch.cat([half, half.flip(0)])
            taps.append(torch.cat([-hill, 2 * hill, -hill]))
    return taps


def convolution(channels, filters, kernel_size, **options):
    """A convolution that keeps the length."""
    return nn.Conv1d(channels, filters, kernel_size, padding="same", bias=False, **options)


class EachChannel(nn.Conv1d):
    """A convolution of each channel by itself that keeps the length, by Fourier transforms.

    On a processor it takes a third of the time of PyTorch's.
    """

    def __init__(self, channels, kernel_size, dilation):
        super().__init__(channels, channels, kernel_size, dilation=dilation, groups=channels, bias=False)

    def forward(self, x):
        (step,), (taps,), length = self.dilation, self.kernel_size, x.size(-1)
        reach = step * (taps - 1)
        size = 1 << (length + reach - 1).bit_length()
        spread = self.weight.new_zeros(x.size(1), reach + 1)
        spread[:, ::step] = self.weight[:, 0]
        x = pad(x, (reach // 2, reach - reach // 2))
        return torch.fft.irfft(torch.fft.rfft(x, size) * torch.fft.rfft(spread, size).conj(), size)[..., :length]


def separable(channels, kernel_size, dilation):
    """A convolution of each channel by itself, and a mix of the channels."""
    alone = EachChannel(channels, kernel_size, dilation)
    return nn.Sequential(alone, convolution(channels, FILTERS, 1), nn.BatchNorm1d(FILTERS), nn.ReLU())


class LITE(nn.Module):
    """Learned and hand-made filters beside each other, two separable convolutions, and the mean over time.

    Shapes:
        - **x:** ``[B, channels, time]``; **output:** ``[B, num_classes]``
    """

    def __init__(self, channels, num_classes):
        super().__init__()
        self.learned = nn.ModuleList(convolution(channels, FILTERS, LONGEST // 2**power) for power in range(3))
        self.fixed = nn.ModuleList(convolution(channels, 1, len(taps)) for taps in hand_made()).requires_grad_(False)
        for filters, taps in zip(self.fixed, hand_made(), strict=True):
            filters.weight.copy_(taps.expand_as(filters.weight))
        width = 3 * FILTERS + len(self.fixed)
        self.first = nn.Sequential(nn.BatchNorm1d(width), nn.ReLU())
        self.rest = nn.Sequential(separable(width, LONGEST // 2, 2), separable(FILTERS, LONGEST // 4, 4))
        self.head = nn.Linear(FILTERS, num_classes)

    def forward(self, x):
        total = x.sum(1, keepdim=True)  # quicker, since hand-made filters have the same taps on every channel
        fixed = (conv1d(total, part.weight[:, :1], padding="same").relu() for part in self.fixed)
        x = torch.cat([*(part(x) for part in self.learned), *fixed], 1)
        return self.head(self.rest(self.first(x)).mean(-1))


class LITEClassifier:
    """Trains a LITE with Adam, and keeps the weights of the epoch with the lowest training loss."""

    def __init__(self, random_state=0, epochs=None):
        self.random_state, self.epochs = random_state, epochs

    def fit(self, X, y):
        torch.manual_seed(self.random_state)
        self.classes_, labels = np.unique(y, return_inverse=True)
        x, labels, lowest = torch.from_numpy(X).float(), torch.from_numpy(labels), np.inf
        self.model_ = LITE(x.size(1), len(self.classes_))
        adam = torch.optim.Adam(self.model_.parameters(), lr=RATE)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(adam, factor=0.5, patience=PATIENCE, min_lr=LOWEST_RATE)
        for _ in range(self.epochs or min(EPOCHS, STEPS // -(-len(x) // BATCH))):
            total = 0.0
            for batch in torch.randperm(len(x)).split(BATCH):
                loss = cross_entropy(self.model_(x[batch]), labels[batch])
                adam.zero_grad()
                loss.backward()
                adam.step()
                total += loss.item() * len(batch)
            plateau.step(total)
            if total < lowest:
                lowest, best = total, copy.deepcopy(self.model_.state_dict())
        self.model_.load_state_dict(best)
        return self

    @torch.no_grad()
    def predict(self, X):
        return self.classes_[self.model_.eval()(torch.from_numpy(X).float()).argmax(1).numpy()]

    @property
    def weights_(self):
        """Trained numbers."""
        return sum(one.numel() for one in self.model_.parameters() if one.requires_grad)
