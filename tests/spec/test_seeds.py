"""Seeds of what is drawn at random."""

from teachergrid.spec.seeds import derived_seed


def test_a_seed_is_the_same_everywhere_and_another_for_another_purpose():
    # other numbers would draw all samples anew
    assert derived_seed(1, "bootstrap") == 638489278
    seeds = {derived_seed(root, purpose) for root in range(30) for purpose in ("a", "b", "1/a")}
    assert len(seeds) == 90 and all(0 <= seed < 2**31 for seed in seeds)
