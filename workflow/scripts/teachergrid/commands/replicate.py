"""teachergrid replicate: recompute the first paper's numbers from its published tables."""

from argparse import Namespace

from ..replication.study import beyond, lines, load, sections
from . import output


def main(own: Namespace) -> int:
    """Print the comparison, and write the page with --html. Return 1 when a number is not reproduced."""
    study = load()
    numbers, sentences = sections(study), beyond(study)
    print(*lines(numbers, sentences), sep="\n")
    if own.html:
        from ..replication import page

        output.write_page(own.html, page.build(numbers, sentences, study))
    return 0 if all(comparison.ok for section in numbers for comparison in section.comparisons) else 1
