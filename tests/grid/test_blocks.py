"""What one block of the config names, and the row of its summary."""

import pytest
from teachergrid.grid.blocks import Block, Comparison, correlate_row
from teachergrid.grid.builder import Builder
from teachergrid.grid.combinations import combinations
from teachergrid.grid.config import checked


@pytest.fixture
def config(small) -> dict:
    return checked(small)


def test_a_block_knows_what_it_names(config):
    cells = combinations("teachers", config["grids"]["teachers"])
    block = Block(config, "teachers", cells, cells)
    assert block.pairs[0] == ("q", "seed__large") and len(block.pairs) == 6
    assert block.models == [*block.students, "q-raw", "w-raw"] and block.verified == ["math", "chat"]
    assert block.comparisons[0] == Comparison("q__seed__large__sft__s1", "chat", "wins")
    row = correlate_row(Builder(config, "results"), block)
    assert len(row["judges"]) == len(row["judged_models"]) == len(row["judged_suites"]) == len(block.models)
