"""Files of a corpus are joined row by row, whatever their order and their row groups."""

import tables as tables_of
from teachergrid.metrics import join, measure


def test_metrics_count_what_is_outside_of_the_subset_as_missing():
    rows = {("a", 0): (4, 3, 1, -8, -3, -1, -6, -2), ("b", 0): (2, 4, 1, -2, -8, -2, -4, -1)}
    text = {key: "red" for key in [*rows, ("c", 0), ("d", 0)]}
    scored = rows | dict.fromkeys([("c", 0), ("d", 0)], "not in the subset")

    def measured(text, scored):
        tables = {("self", "chat"): {"t": tables_of.likelihoods(scored)}}
        rows = join.join({"t": tables_of.responses(text)}, {}, tables)
        return measure.measure({"m": tables_of.entry("ifd_loss")}, rows, seed=0)[0]

    few, alone = measured(text, scored), measured(dict.fromkeys(rows, "red"), rows)
    assert few["value"] == alone["value"]
    assert (few["n"], few["missing"]) == (2, 2)
    assert few["reason"].startswith("2 of 4 responses left out, most often: not in the subset")
