"""Notes on how a file was read: in the log, and beside the table."""

from collections import Counter

from teachergrid.data import notes


def test_notes_are_said_and_kept_beside_the_table(tmp_path, capsys):
    found = Counter({"b": 1, "a": 1200})
    notes.say("set", found)
    assert capsys.readouterr().out == "set: a (1,200 rows)\nset: b (1 row)\n"
    table = tmp_path / "set.parquet"
    assert notes.kept(table) == Counter()
    notes.keep(table, found)
    assert notes.kept(table) == found
    notes.keep(table, Counter())
    assert not list(tmp_path.iterdir())
