"""Pairs of a good and a bad response, as data: which responses make one, and what is written."""

import pyarrow.parquet as pq
from tables import entry, instructions, responses, rewards
from teachergrid.metrics.join import join
from teachergrid.spec import schema
from teachergrid.store import artifacts
from teachergrid.training import pairs

# of each response: share of functions that say yes
SHARES = {
    "a": {("i1", 0): 1.0, ("i1", 1): 0.5, ("i1", 2): 0.75, ("i1", 3): 0.0, ("i2", 0): 0.25, ("i2", 1): 0.0, ("i3", 0): 1.0},
    "b": {("i1", 0): 0.0, ("i1", 1): 0.0, ("i2", 0): 0.4, ("i3", 0): "no answer"},
}  # fmt: skip


def rows_of():
    return {
        teacher: join(
            {teacher: responses({key: "" if key == ("i1", 1) and teacher == "b" else f"{teacher} {key}" for key in shares})},
            {"obeys": {teacher: rewards(shares)}},
            {},
            text=False,
        )
        for teacher, shares in SHARES.items()
    }  # fmt: skip


def corpus(**settings):
    return schema.filled({"seed": 0, "pairs": {"by": "m", **settings}}, schema.definition("corpus"))


def found(**settings):
    metric = entry("reward_mean", reward="obeys")
    return [
        (one.id, *one.chosen[:2], *one.rejected[:2])
        for one in pairs.paired(corpus(**settings), {"m": metric}, rows_of())
    ]


def test_good_ones_are_paired_with_bad_ones():
    every = found(most=9)
    # neither an empty response, nor one between the two values, nor an instruction with one kind alone
    assert sorted(every) == sorted(("i1", "a", good, *bad) for good in (0, 1, 2) for bad in (("a", 3), ("b", 0)))
    two = found()
    assert len(two) == 4 and {*two} < {*every} and len({pair[:3] for pair in two}) == 2
    assert len(found(most=1)) == 1 and found(most=1)[0] in two


def test_values_are_settings():
    assert {pair[0] for pair in found(good=0.2, bad=0.1)} == {"i1", "i2"}


def test_a_corpus_without_pairs_has_no_such_file(tmp_path):
    none = schema.filled({"seed": 0}, schema.definition("corpus"))
    path = tmp_path / "c.parquet"
    (tmp_path / "c.parquet.pairs").write_text("of an earlier setting")
    pairs.write(str(path), pairs.paired(none, {}, rows_of()), [], {}, {})
    assert not (tmp_path / "c.parquet.pairs").exists()


def test_texts_are_written(tmp_path):
    paths = {}
    for teacher, shares in SHARES.items():
        paths[teacher] = str(tmp_path / f"{teacher}.parquet")
        table = responses({key: f"{teacher} {key[0]} {key[1]}" for key in shares})
        artifacts.write(paths[teacher], table, artifacts.RESPONSES, None)
    asked = str(tmp_path / "asked.parquet")
    artifacts.write(asked, instructions("i1", "i2", "i3"), artifacts.INSTRUCTIONS, None)
    one = pairs.paired(corpus(most=1), {"m": entry("reward_mean", reward="obeys")}, rows_of())
    pairs.write(str(tmp_path / "c.parquet"), one, [asked], paths, None)
    [row] = pq.read_table(tmp_path / "c.parquet.pairs").to_pylist()
    assert row["prompt"][-1]["role"] == "user" and row["chosen_value"] >= 0.5 and row["rejected_value"] == 0
    for name in ("chosen", "rejected"):
        assert row[name] == f"{row[f'{name}_teacher']} i1 {row[f'{name}_sample']}"
