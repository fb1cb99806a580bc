"""Which checkpoints a training goes on from."""

from pathlib import Path

import pytest
from teachergrid.training import checkpoints


@pytest.mark.parametrize(
    "mark, kept, removed",
    [
        ("", "checkpoint-4", {"checkpoint-5", "checkpoint-6"}),
        ("zero3 on 4 processes", "checkpoint-5", {"checkpoint-4", "checkpoint-6"}),
        ("zero3 on 8 processes", None, {"checkpoint-4", "checkpoint-5", "checkpoint-6"}),
    ],
)
def test_a_checkpoint_serves_only_those_who_can_read_it(tmp_path, capsys, mark, kept, removed):
    for step, text in ((4, ""), (5, checkpoints.readers(4, Path("work/zero3.json"))), (6, None)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if text is not None:
            (tmp_path / f"checkpoint-{step}" / checkpoints.COMPLETE).write_text(text)
    found = checkpoints.last_checkpoint(tmp_path, mark)
    assert (found and found.name) == kept
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} == removed
    assert {path.name for path in tmp_path.iterdir()} == {kept} - {None}
