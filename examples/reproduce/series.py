"""Series made by code: Gaussian processes, oscillators, walks, pulses, steps, and lagged mixtures of two."""

import numpy as np

LENGTH = 256


def gaussian_process(random):
    """A draw from a process whose kernel is a sum or product of up to three."""
    apart = np.subtract.outer(np.arange(LENGTH), np.arange(LENGTH))

    def kernel():
        width, period = np.exp(random.uniform(0.5, 4.5)), np.exp(random.uniform(1.2, 4))
        kinds = (
            lambda: np.exp(-0.5 * (apart / width) ** 2),
            lambda: np.exp(-2 * np.sin(np.pi * apart / period) ** 2 / np.exp(random.uniform(-0.5, 1.5))),
            lambda: np.exp(-np.abs(apart) / width),
            lambda: (1 + np.sqrt(3) * np.abs(apart) / width) * np.exp(-np.sqrt(3) * np.abs(apart) / width),
        )
        return kinds[random.integers(4)]()

    covariance = kernel()
    for _ in range(random.integers(3)):
        covariance = covariance + kernel() if random.random() < 0.5 else covariance * kernel()
    jitter = 1e-3 * covariance[0, 0] * np.eye(LENGTH)
    return np.linalg.cholesky(covariance + jitter) @ random.standard_normal(LENGTH)


def oscillator(random):
    """Up to four harmonics whose amplitude and frequency waver."""
    time, total = np.arange(LENGTH), np.zeros(LENGTH)
    frequency = 2 * np.pi * np.exp(random.uniform(np.log(0.008), np.log(0.35)))
    for harmonic in range(1, random.integers(2, 5)):
        slow, other = (np.sin(frequency * random.uniform(0.05, 0.4) * time + random.uniform(0, 6.3)) for _ in range(2))
        wave = np.sin(harmonic * frequency * time + random.uniform(0, 1.5) * slow + random.uniform(0, 6.3))
        total += random.uniform(0.2, 1) * (1 + random.uniform(0, 0.9) * other) * wave
    return total


def walk(random):
    """An autoregression of order 1 or 2, driven by noise or by rare jumps."""
    drive = random.standard_normal(LENGTH + 50) * (random.random(LENGTH + 50) < random.choice([1, 1, 0.1]))
    radius, angle = random.uniform(0.3, 1), random.uniform(0, np.pi)
    first, second = (
        (2 * radius * np.cos(angle), -(radius**2)) if random.random() < 0.6 else (random.uniform(-0.5, 1), 0)
    )
    x = np.zeros(LENGTH + 50)
    for index in range(2, len(x)):
        x[index] = 0.999 * (first * x[index - 1] + second * x[index - 2]) + drive[index]
    return x[50:]


def pulses(random):
    """One shape, again and again at regular or random distances, in noise."""
    width, gap = int(np.exp(random.uniform(1, 3.4))), int(np.exp(random.uniform(2.3, 4.2)))
    shape = random.standard_normal(width)
    shape = (np.cumsum(shape) if random.random() < 0.5 else shape) * np.hanning(width + 2)[1:-1]
    shape /= np.abs(shape).max()
    x, place, regular = np.zeros(LENGTH + width), random.integers(gap), random.random() < 0.5
    while place < LENGTH:
        x[place : place + width] += random.uniform(0.7, 1.3) * shape
        place += max(2, int(gap * (random.uniform(0.9, 1.1) if regular else random.exponential())))
    return x[:LENGTH] + random.uniform(0.02, 0.3) * random.standard_normal(LENGTH)


def steps(random):
    """A few levels, one after the other, with smoothed edges, in noise."""
    count = random.integers(2, 12)
    ends = np.concatenate([[0], np.sort(random.integers(0, LENGTH, count - 1)), [LENGTH]])
    x = np.repeat(random.choice(random.standard_normal(random.integers(2, 5)), count), np.diff(ends))
    edge = random.integers(1, 9)
    return np.convolve(x, np.ones(edge) / edge, "same") + random.uniform(0.02, 0.3) * random.standard_normal(LENGTH)


KINDS = (gaussian_process, gaussian_process, oscillator, walk, pulses, steps)


def standardized(x):
    """Scales a series to mean 0 and deviation 1."""
    return (x - x.mean()) / (x.std() + 1e-9)


def series(random):
    """Draws one series ``[256]``: of one kind or coupled with another that lags, with noise or a trend or without."""
    x = standardized(KINDS[random.integers(len(KINDS))](random))
    if random.random() < 0.4:
        other = standardized(KINDS[random.integers(len(KINDS))](random))
        x = x + random.uniform(0.3, 1) * np.roll(other, random.integers(20))
    x = x + random.choice([0, 0.05, 0.2]) * random.standard_normal(LENGTH)
    trend = random.standard_normal() * np.linspace(-1, 1, LENGTH) if random.random() < 1 / 3 else 0
    return standardized(x + trend).astype(np.float32)
