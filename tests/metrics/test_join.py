"""Files of a corpus are joined row by row, whatever their order and their row groups."""

import pyarrow as pa
import pytest
from four_rows import ALL, REWARD, TEXT, four, measured, with_ranks
from tables import entry, likelihoods, responses, rewards
from teachergrid.errors import BadInput
from teachergrid.metrics.join import join
from teachergrid.metrics.measure import measure
from teachergrid.store import artifacts


def test_metrics_count_what_is_outside_of_the_subset_as_missing():
    rows = {("a", 0): (4, 3, 1, -8, -3, -1, -6, -2), ("b", 0): (2, 4, 1, -2, -8, -2, -4, -1)}
    text = {key: "red" for key in [*rows, ("c", 0), ("d", 0)]}
    scored = rows | dict.fromkeys([("c", 0), ("d", 0)], "not in the subset")

    def measured(text, scored):
        tables = {("self", "chat"): {"t": likelihoods(scored)}}
        rows = join({"t": responses(text)}, {}, tables)
        return measure({"m": entry("ifd_loss")}, rows, seed=0)[0]

    few, alone = measured(text, scored), measured(dict.fromkeys(rows, "red"), rows)
    assert few["value"] == alone["value"]
    assert (few["n"], few["missing"]) == (2, 2)
    assert few["reason"].startswith("2 of 4 responses left out, most often: not in the subset")


def test_files_that_do_not_match_are_named(tmp_path):
    def written(name, table, schema):
        artifacts.write(tmp_path / name, table, schema, None)
        return str(tmp_path / name)

    answers = written("responses.parquet", responses(TEXT), artifacts.RESPONSES)
    short = written("short.parquet", rewards({key: 1.0 for key in TEXT if key != ("i2", 0)}), artifacts.REWARDS)
    twice = written("twice.parquet", pa.concat_tables([rewards(REWARD)] * 2), artifacts.REWARDS)
    with pytest.raises(
        BadInput, match=r"short\.parquet: 1 of 4 rows are missing, such as id 'i2', sample 0; delete it"
    ):
        join({"t": answers}, {"rm": {"t": short}}, {})
    with pytest.raises(BadInput, match=r"twice\.parquet: id 'i1', sample 0 occurs twice"):
        join({"t": answers}, {"rm": {"t": twice}}, {})
    with pytest.raises(BadInput, match="no row"):
        join({"t": responses({})}, {}, {})


def test_a_derived_corpus_takes_its_rows_from_several_teachers():
    corpus = artifacts.table(
        [{"id": id, "sample": 0, "teacher": t, "why": ""} for id, t in (("i3", "b"), ("i1", "a"))], artifacts.CORPUS
    )
    both = {"a": rewards(REWARD), "b": rewards({key: 10 + reward for key, reward in REWARD.items()})}
    rows = join({"a": responses(TEXT), "b": responses(TEXT)}, {"rm": both}, {}, corpus)
    assert rows.id.tolist() == ["i1", "i3"] and rows.teacher.tolist() == ["a", "b"]
    assert rows.rewards["rm"]["reward"].tolist() == [1.0, 10.5]
    with pytest.raises(BadInput, match="teacher 'b'"):
        join({"a": responses(TEXT)}, {}, {}, corpus)


def test_order_of_rows_moves_nothing():
    tables = TEXT, REWARD, with_ranks()
    shuffled = [dict(sorted(table.items(), reverse=True)) for table in tables]
    expected = measured(ALL, four(*tables), rounds=100)
    assert measured(ALL, four(*shuffled), rounds=100) == expected
    # and also where one file has another order than the others
    assert measured(ALL, four(TEXT, *shuffled[1:]), rounds=100) == expected


def test_shards_move_nothing(tmp_path):
    """Row groups of files are what was written at once."""
    whole = {"t": responses(TEXT)}, {"rm": {"t": rewards(REWARD)}}, likelihoods(with_ranks())
    scored = {("self", "chat"): {"t": whole[2]}}
    expected = measured(ALL, join(whole[0], whole[1], scored, ranks=True), rounds=50)
    for groups in ([4], [1, 3], [2, 1, 1]):
        paths = []
        for name, table in (("RESPONSES", whole[0]["t"]), ("REWARDS", whole[1]["rm"]["t"]), ("LIKELIHOODS", whole[2])):
            paths.append(tmp_path / f"{name}.parquet")
            artifacts.write(paths[-1], table, getattr(artifacts, name), None, row_groups=groups)
        answers, reward, scored = map(str, paths)
        found = join({"t": answers}, {"rm": {"t": reward}}, {("self", "chat"): {"t": scored}}, ranks=True)
        assert measured(ALL, found, rounds=50) == expected
