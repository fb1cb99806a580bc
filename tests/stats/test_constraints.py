"""Hard and soft rates and consistent levels of groups, by hand, and their noise against a bootstrap over groups."""

import numpy as np
import pytest
from teachergrid.stats.constraints import Answered, hard, rates, soft

YES, NO = True, False


def group(number: int, *levels: tuple[bool, ...] | None) -> list[Answered]:
    return [Answered(number, level, satisfied) for level, satisfied in enumerate(levels, start=1)]


ALL = group(1, *[(YES,) * n for n in range(1, 6)])
SOME = group(2, (YES,), (YES, YES), (YES, NO, YES), (YES,) * 4, (NO,) * 5)
NOTHING = group(3, *[(NO,) * n for n in range(1, 6)])


def test_figures_by_hand():
    assert (hard((YES, NO)), hard((YES,)), soft((YES, NO)), soft((NO, NO, NO))) == (0, 1, 0.5, 0)
    found = rates([*ALL, *SOME, *NOTHING])
    assert found["hard"].mean() == pytest.approx((1 + 3 / 5 + 0) / 3)
    assert found["soft"].mean() == pytest.approx((1 + (3 + 2 / 3) / 5 + 0) / 3)
    assert found["consistent"].mean() == pytest.approx((5 + 2 + 0) / 3 / 5)
    assert len({*found["hard"][:5]}) == 1
    assert [found[f"hard_{level}"].mean() for level in range(1, 6)] == pytest.approx(
        [2 / 3, 2 / 3, 1 / 3, 2 / 3, 1 / 3]
    )


def test_an_unknown_answer_is_no_failure():
    """FollowBench's own scorer adds -1 for a reply of the judge that it cannot read."""
    unknown = group(2, (YES,), None, (YES, NO, YES), (YES,) * 4, (YES,) * 5)
    found = rates([*ALL, *unknown])
    assert found["hard"].mean() == pytest.approx((1 + 3 / 4) / 2)
    # up to which level group 2 is consistent depends on the unknown answer
    assert np.isnan(found["consistent"]).tolist() == [False] * 5 + [True] * 5
    assert np.nanmean(found["consistent"]) == 1
    # an unknown answer above the first failure changes nothing, as a missing one
    later = rates(group(1, (YES,), (NO, YES), None, (YES,) * 4))
    assert later["consistent"].tolist() == [pytest.approx(1 / 5)] * 4
    nothing = rates(group(1, None, None))
    assert np.isnan([*nothing.values()]).all()
    assert rates([])["hard"].shape == (0,)


def test_the_noise_is_that_of_a_bootstrap_over_groups():
    rng = np.random.default_rng(0)
    answers = []
    for number in range(40):
        skill = rng.beta(1, 1)
        answers += group(number, *[tuple((rng.random(n) < skill**0.3).tolist()) for n in range(1, 6)])
    found = rates(answers)
    for values in found.values():
        of_group = values[::5]
        mean = values.mean()
        own = mean + (of_group - mean) / 5**0.5  # before they were stretched
        bootstrap = own[rng.integers(40, size=(4000, 40))].mean(1).std()
        assert values.std(ddof=1) / len(values) ** 0.5 == pytest.approx(bootstrap, rel=0.05)
    by_hand = np.mean([[hard(one.satisfied) for one in answers[i : i + 5]] for i in range(0, 200, 5)])
    assert found["hard"].mean() == pytest.approx(by_hand)


def test_groups_of_unequal_size_keep_the_mean():
    found = rates([*ALL, *NOTHING[:2]])
    assert found["hard"].mean() == pytest.approx(0.5)
