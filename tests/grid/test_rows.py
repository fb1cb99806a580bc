"""Rows are plain dicts at run time: each has exactly the keys of the class of its rule."""

import re

import pytest
from pilot_grid import with_pilot
from teachergrid.grid import rows
from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked

# by the docstring of each class, which names the rules that it is the row of
CLASSES = {
    rule: found
    for found in vars(rows).values()
    if isinstance(found, type) and found.__doc__
    for rule in re.findall(r"`(\w+)`", found.__doc__)
}


@pytest.fixture
def tables(small) -> list[Cells]:
    """A grid with all of its stages, weights that are freed, a language model and a loss as judges, a method of evolution that is optimised, and
    a grid that waits for its pilot."""
    small["recipes"]["sft"]["keep"] = "none"
    small["models"]["far"] = {"api": "far", "endpoint": "e"}
    small["endpoints"] = {"e": {"base_url": "http://127.0.0.1:9/v1"}}
    small["judges"]["lm"] = {"model": "far", "protocol": "pairwise", "baseline": "q-raw"}
    small["judges"]["fit"] = {"loss": "answers"}
    small["suites"]["chat"]["judges"] += ["lm", "fit"]
    small["evolutions"] = {"auto": {"of": "seed", "by": "small", "method": "auto-evol", "rounds": 1, "optimise": {}}}
    small["grids"]["instructions"]["instructions"].append("auto.r1")
    whole = Cells(checked(small))
    with_pilot(small)
    return [whole, Cells(checked(small))]


def test_every_rule_has_rows_of_its_class(tables):
    seen = set()
    for table in tables:
        for rule, of_rule in table.rows.items():
            for cell, row in of_rule.items():
                keys = CLASSES[rule]
                assert keys.__required_keys__ <= row.keys() <= keys.__annotations__.keys(), f"{rule} {cell}"
                seen.add(rule)
    assert seen == CLASSES.keys()


def test_pairs_of_columns_go_together(tables):
    whole, piloted = tables
    for row in whole.rows["correlate"].values():
        assert len(row["bases"]) == len(row["corpora"])
        assert len(row["judges"]) == len(row["judged_models"]) == len(row["judged_suites"])
    for row in piloted.rows["pilot"].values():
        assert len(row["scorers"]) == len(row["scored"]) > 0
        assert row["expecting"] in ([], row["scorers"])
