"""Words, numbers and tables of a plan in a terminal."""

from plan_documents import job
from teachergrid import units
from teachergrid.planning import sums, terminal


def test_what_is_not_quite_nothing_is_never_zero():
    assert [units.number(n) for n in (0, 0.001, 0.02, 3.21, 1234.5)] == ["0.0", "<0.01", "<0.1", "3.2", "1,234"]
    assert [units.span(n) for n in (50, 250, 8000, 300000)] == ["50 s", "4 min", "2.2 h", "3.5 d"]
    some = sums.summed([job("a 1", 1), job("b 1", 1, usd_per_hour=None)])
    assert (
        terminal.money(some) == "2.0 USD (1.0 to 4.0) and 1 jobs of unknown price" and terminal.dollars(some) == "2.0+?"
    )
    assert max(map(len, terminal.table(["why", "jobs"], [["x" * 200, "1"]], 80).splitlines())) == 80
