"""Orders with a given Spearman correlation."""

import numpy as np


def with_rank_differences(n, total):
    """An order of 0 .. n - 1 whose squared rank differences sum to `total`, found by random swaps."""
    rng, order = np.random.default_rng(0), np.arange(n)
    while missing := total - ((order - np.arange(n)) ** 2).sum():
        swapped = order.copy()
        pair = rng.choice(n, 2, replace=False)
        swapped[pair] = order[pair[::-1]]
        nearer = abs(total - ((swapped - np.arange(n)) ** 2).sum()) <= abs(missing)
        order = swapped if nearer or rng.random() < 0.05 else order
    return order
