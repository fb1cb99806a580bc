"""Joined responses: some of them, the base's likelihoods by its own name, and their categories."""

from four_rows import four
from tables import entry
from teachergrid.metrics.measure import per_response
from teachergrid.metrics.rows import together
from teachergrid.metrics.variants import Metric
from teachergrid.store import artifacts

NLL = Metric(entry("nll_mean"))


def test_some_rows_keep_all_that_scored_them():
    rows = four(chat={key: "too long" if key == ("i3", 0) else (4, 2, 0, -8, -2, 0, -6, 0) for key in four_keys()})
    part = rows.where(rows.id >= "i2")
    assert part.id.tolist() == ["i2", "i3", "i4"] and part.teacher.tolist() == ["t"] * 3 and part.texts is None
    assert part.rewards["rm"]["reward"].tolist() == [0.5, 0.5, 0.0]
    assert part.words.tolist() == rows.words.tolist()[1:]
    values, reasons = per_response(NLL, part)
    assert values[0] == values[2] == 1 and reasons.tolist() == ["", "too long", ""]


def four_keys() -> list[tuple[str, int]]:
    return [(f"i{i}", 0) for i in range(1, 5)]


def test_a_base_goes_by_its_own_name_and_by_self():
    rows = four()
    others = rows._replace(likelihoods={("b", form): table for (_, form), table in rows.likelihoods.items()})
    own = others.with_own("b")
    assert set(own.likelihoods) == {(name, form) for name in ("b", "self") for form in ("chat", "plain")}
    assert per_response(NLL, own)[0].tolist() == per_response(NLL, rows)[0].tolist()
    assert others.with_own("another base").likelihoods == others.likelihoods


def test_an_instruction_without_a_category_has_an_empty_one():
    def table(**kinds):
        made = [{"id": id, "messages": [], "source": "", "category": kind, "round": 0} for id, kind in kinds.items()]
        return artifacts.table(made, artifacts.INSTRUCTIONS)

    rows = four().with_categories([table(i1="maths", i2=None), table(i3="code")])
    assert rows.category.tolist() == ["maths", "", "code", ""]


def test_rows_of_several_joins_keep_values_and_reasons():
    first, second = (
        four(chat={key: why if key == ("i3", 0) else (4, 2, 0, -8, -2, 0, -6, 0) for key in four_keys()})
        for why in ("cut", "lost")
    )
    rows = together([first, second])
    values, reasons = per_response(NLL, rows)
    assert values[[0, 1, 3, 4]].tolist() == [1] * 4
    assert reasons.tolist() == ["", "", "cut", "", "", "", "lost", ""]
    assert rows.id.tolist() == [id for id, _ in four_keys()] * 2
