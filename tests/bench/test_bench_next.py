"""What `teachergrid next` proposes is better than chance where the truth is known; the whole of it is tests/bench/bench_next.py."""

import sys

import pytest
from workspace import ROOT

sys.path.insert(0, str(ROOT / "tests/bench"))
import bench_next


def test_its_first_proposals_beat_random_ones():
    studies = [bench_next.simulated(i, 0.12, 0.12) for i in range(30)]
    rates = bench_next.compare("small", studies, 4)
    assert rates["next, one by one", 3] > 1.5 * rates["random", 3]


def test_one_seed_is_shown_first_and_the_truth_is_of_seeds_that_nobody_saw():
    cube = bench_next.simulated(0, 0.12, 0.12).cube
    five = bench_next.np.concatenate([cube, cube[:, :, :2] * 0], axis=2)
    study = bench_next.hidden(five, 3)
    assert study.cube.shape[2] == 3
    left = 100 * (five.sum(2) - study.cube.sum(2)).mean(2) / 2
    assert study.truth == pytest.approx(left)
