"""Which responses a scorer reads."""

from teachergrid.data import files
from teachergrid.scoring.given import subset


def test_a_larger_subset_holds_a_smaller_one():
    ids = [files.message_id([{"role": "user", "content": str(i)}]) for i in range(50)]
    assert subset(ids, 7) < subset(ids[::-1], 20) < subset(ids, None) == set(ids)
    assert len(subset(ids, 7)) == 7
