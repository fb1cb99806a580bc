"""The noise of all engines: its numbers, and the token that a number selects."""

import hashlib
import random

import pytest
import torch
from generations import DRAWN
from teachergrid.models import noise


def test_seed_id_sample_and_place_decide_a_number():
    rng = random.Random(hashlib.sha256(b"7/abc/2").digest())
    by_hand = [rng.random() for _ in range(200)]
    numbers = noise.Numbers(7, ("abc", 2))
    # in any order, as engines ask for them
    assert [numbers[place] for place in (150, 3, 0, 199, 64, 63)] == [
        by_hand[place] for place in (150, 3, 0, 199, 64, 63)
    ]
    others = [noise.Numbers(8, ("abc", 2)), noise.Numbers(7, ("abd", 2)), noise.Numbers(7, ("abc", 1))]
    assert len({numbers[0], *(other[0] for other in others)}) == 4


def test_the_number_selects_among_cumulated_probabilities():
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log().repeat(6, 1)
    numbers = torch.tensor([[0.0], [0.49], [0.51], [0.79], [0.81], [0.96]], dtype=torch.float64)
    plain = DRAWN | {"top_p": 1, "top_k": 0}
    assert noise.chosen(logits, numbers, plain)[:, 0].tolist() == [0, 0, 1, 1, 2, 3]
    # without the last token the others share its probability
    assert noise.chosen(logits, numbers, plain | {"top_k": 3})[:, 0].tolist() == [0, 0, 0, 1, 1, 2]


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"top_k": 2}, [0, 2]),
        ({"top_k": 3}, [0, 1, 2, 3]),  # 1 and 3 are equal
        ({"top_p": 0.4}, [0]),
        ({"top_p": 0.5}, [0, 2]),
        ({"top_p": 0.9}, [0, 1, 2, 3]),
        ({"top_k": 2, "top_p": 0.5}, [0]),  # of the two that top_k leaves, 0 has 0.4 / 0.7
        ({"temperature": 0.1, "top_p": 0.9}, [0]),  # 0.4^10 : 0.3^10 = 0.946 : 0.053
    ],
)
def test_filters(settings, kept):
    logits = torch.tensor([[0.4, 0.12, 0.3, 0.12, 0.06]]).log()
    left = noise.filtered(logits, {"temperature": 1.0, "top_p": 1, "top_k": 0} | settings)
    assert left.isfinite()[0].nonzero()[:, 0].tolist() == kept
