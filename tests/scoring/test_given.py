"""Which responses a scorer reads."""

import pyarrow as pa
from teachergrid.data import files
from teachergrid.scoring.given import messages_of, subset
from teachergrid.store import artifacts


def test_a_larger_subset_holds_a_smaller_one():
    ids = [files.message_id([{"role": "user", "content": str(i)}]) for i in range(50)]
    assert subset(ids, 7) < subset(ids[::-1], 20) < subset(ids, None) == set(ids)
    assert len(subset(ids, 7)) == 7


def test_messages_are_read_without_a_copy_of_their_column():
    rows = [[{"role": "user", "content": f"{i} " * 100}] for i in range(2_000)]
    kind = artifacts.INSTRUCTIONS.field("messages").type
    instructions = pa.table({"messages": pa.chunked_array([pa.array(rows[:900], kind), pa.array(rows[900:], kind)])})
    positions = [1_999, *range(0, 1_999, 7)]
    usual, counted = pa.default_memory_pool(), pa.proxy_memory_pool(pa.default_memory_pool())
    pa.set_memory_pool(counted)
    try:
        found = list(messages_of(instructions, positions))
    finally:
        pa.set_memory_pool(usual)
    assert found == [rows[i] for i in positions]
    assert counted.max_memory() < instructions.nbytes / 20
