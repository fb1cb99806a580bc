"""What pilots of the published study would have lost."""

import numpy as np
import pytest
from teachergrid.replication import pilot, published


def test_lost_by_hand():
    ap = [5.0, 4.0, 1.0]
    assert pilot.ap_lost(ap, [1, 2, 3], 1) == 4 and pilot.ap_lost(ap, [1, 2, 3], 2) == 1
    # one of the two that tie for the last place, each as often
    assert pilot.ap_lost(ap, [1, 1, 3], 2) == 0.5


def test_size_without_a_stated_one():
    with pytest.raises(ValueError, match="states no size"):
        pilot.size("Mystery-Instruct")


def test_drawn_rankings_have_the_published_correlation():
    orders = pilot.rankings(19, 0.8842, seed=0)
    places = np.argsort(orders, axis=1)
    rhos = 1 - 6 * ((places - np.arange(19)) ** 2).sum(1) / (19 * (19 * 19 - 1))
    assert len(orders) == pilot.DRAWS and np.abs(rhos - 0.8842).max() <= pilot.TOLERANCE + 1e-12


@pytest.mark.slow
def test_published_tables():
    losses = pilot.study(published.rows())
    by_metric = {}
    for loss in losses:
        if loss.kind == "computed":
            by_metric.setdefault((loss.metric, loss.k), []).append(loss.lost)
    mean = {key: np.mean(values) for key, values in by_metric.items()}
    # the largest is always Llama-3.1-405B (6.28); the first three hold Qwen2.5-72B (0.52), and so do five
    assert [round(mean["size", k], 2) for k in (1, 3, 5)] == [6.28, 0.52, 0.52]
    # a borrowed ranking misses the bases whose own instruct version is the best teacher, by 1.19 and 0.99 points
    assert mean["borrowed", 5] == pytest.approx((12.915 - 11.725 + 19.795 - 18.805) / 5)
    assert len({loss.metric for loss in losses if loss.kind == "simulated"}) == 9 + 2


def test_what_a_pilot_would_have_saved_reads_the_same_tables():
    ap = pilot.tables(published.rows())
    assert {base: len(of) for base, of in ap.items()} == dict.fromkeys(ap, 19) and len(ap) == 5
    assert ap["Qwen2.5-3B"]["Qwen2.5-3B-Instruct"] == 19.795
