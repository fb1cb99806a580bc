"""teachergrid replicate: recompute two papers' numbers from their published tables, or read a table of many runs."""

from argparse import Namespace

from ..replication import evidence, evolvers, study, sweep
from ..replication.comparisons import lines
from . import output


def main(own: Namespace) -> int:
    """Print the comparison, and write the page with --html. Return 1 when a number is not reproduced.

    With --results-table only what that table says.
    """
    if own.results_table:
        runs = sweep.read(own.results_table)
        print(*sweep.lines(own.results_table, runs, sweep.study(runs)), sep="\n")
        return 0
    first, second = study.load(), evolvers.load()
    teachers = study.sections(first), study.beyond(first)
    small_evolvers = evolvers.sections(second), evidence.beyond(second)
    print("Which teacher? (Xu et al. 2025)", *lines(*teachers), "", sep="\n")
    print("Which evolver? (Hui et al. 2024)", *lines(*small_evolvers), sep="\n")
    if own.html:
        from ..replication import page

        parts = [page.teachers(*teachers, first), page.evolvers(*small_evolvers, second)]
        output.write_page(own.html, page.build(parts))
    numbers = [comparison for section in (*teachers[0], *small_evolvers[0]) for comparison in section.comparisons]
    return 0 if all(comparison.ok for comparison in numbers) else 1
