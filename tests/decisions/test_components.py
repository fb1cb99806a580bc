"""Where differences come from, what more would buy, and what each way to choose loses."""

import pytest
from known_grid import SIX, SIX_REWARD, World, ap


@pytest.fixture(scope="module")
def found():
    return World(SIX, reward=SIX_REWARD).summary()


def values(found, effect, base):
    rows = [row for row in found.effects if (row["effect"], row["base"]) == (effect, base)]
    return {(row["subject"], row["other"]) if effect == "after" else row["subject"]: row["value"] for row in rows}


def test_components_are_of_bases_and_over_them(found):
    over = values(found, "variance", "pooled")
    assert set(over) == {"teacher", "family", "base x teacher"} and over["family"] is None
    assert over["teacher"] >= 0 and over["base x teacher"] > 0
    assert set(values(found, "variance", "b1")) == {"items", "seed"}
    assert values(found, "variance", "b1")["seed"] == 0  # both seeds of the known grid are alike


def test_one_seed_cannot_tell_its_noise():
    right = {base: {name: seeds[:1] for name, seeds in row.items()} for base, row in SIX.items()}
    found = World(right, reward=SIX_REWARD).summary()
    row = next(r for r in found.effects if r["effect"] == "variance" and r["subject"] == "seed")
    assert row["value"] is None and "one training seed" in row["reason"]
    assert not any(subject == "one more seed" for subject, _ in values(found, "after", "b1"))
    assert "assumes 1 point" in next(r for r in found.effects if r["effect"] == "next")["reason"]


def test_more_of_anything_is_no_worse(found):
    after = values(found, "after", "b1")
    for more in ("300 more items", "one more seed"):
        assert after[more, "error"] <= after["now", "error"] and after[more, "regret"] <= after["now", "regret"]
        assert after[more, "ceiling"] >= after["now", "ceiling"]
    assert after["one more teacher", "best"] > after["now", "best"]
    ceiling = next(r["ceiling"] for r in found.correlations if r["base"] == "b1")
    assert after["now", "ceiling"] == pytest.approx(ceiling)  # the one that the table of metrics shows


def test_to_take_the_best_seen_loses_least(found):
    for base in ("b1", "b2"):
        loses = values(found, "policy", base)
        assert loses["train all, take the best seen"] == min(loses.values()) >= 0
        assert (
            loses["train the first 3 of the primary metric, take the best seen"]
            <= loses["take the first of the primary metric"]
        )
    row = next(
        r for r in found.effects if r["effect"] == "policy" and r["base"] == "b1" and "train all" in r["subject"]
    )
    assert ap(found, "b1", row["other"])["behind_best"] == 0
