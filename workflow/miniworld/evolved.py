"""What rewriters made of the mini world's problems, by the world's own truth: a table in Markdown.

    python workflow/miniworld/evolved.py                                  # after a run of config/evolution_demo.yaml
    python workflow/miniworld/evolved.py --results DIR seed small-1       # other results, other sets

Of each set: how many texts are harder problems than the ones that they were made from, how many operations a problem has on
average, how many are problems of the test, and how often the responder was right, of the texts that are problems.
"""

import argparse
from pathlib import Path

import pyarrow.parquet as pq
from hardening import VERDICTS, verdict
from reading import read
from world import TEST, distinct, verify

SETS = ("seed", "small-1", "small-2", "large-1", "large-2")
HEAD = ("set", "rows", *VERDICTS, "operations", "in the tests", "answered rightly")


def text_of(row: dict) -> str:
    return row["messages"][-1]["content"]


def share(part: int, whole: int) -> str:
    return f"{part / whole:.3f}".lstrip("0") if whole else "-"


class Results:
    """The instructions of a results folder by their ids, and the responses to them."""

    def __init__(self, folder: Path, responder: str):
        self.folder, self.responder = folder, responder
        tables = (folder / "instructions").glob("*.parquet")
        self.rows = {row["id"]: row for path in tables for row in pq.read_table(path).to_pylist()}
        self.tests = {item.problem for item in distinct(*TEST)}

    def line(self, name: str) -> list[str]:
        """Return the cells of a set's line, as in HEAD."""
        rows = pq.read_table(self.folder / "instructions" / f"{name}.parquet").to_pylist()
        problems = {row["id"]: problem for row in rows if (problem := read(text_of(row)))}
        said = [self._verdict(row) for row in rows if row["parent_id"]]
        found = problems.values()
        return [
            name,
            str(len(rows)),
            *(share(said.count(each), len(said)) for each in VERDICTS),
            f"{sum(problem.operations for problem in found) / len(problems):.1f}" if problems else "-",
            str(sum(problem.key in self.tests for problem in found)),
            self._right(name, problems),
        ]

    def _verdict(self, row: dict) -> str:
        """Return the verdict on a row by what it was made from; what was made from no problem is no harder one."""
        parent = read(text_of(self.rows[row["parent_id"]]))
        if parent is None:
            return "other content" if read(text_of(row)) else "no problem"
        return verdict(parent, text_of(row))

    def _right(self, name: str, problems: dict) -> str:
        path = self.folder / "responses" / f"{name}__{self.responder}.parquet"
        if not path.exists():
            return "-"
        given = {row["id"]: row["response"] for row in pq.read_table(path).to_pylist()}
        right = sum(verify(problem.answer, given.get(id, "")) for id, problem in problems.items())
        return share(right, len(problems))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", default=SETS, metavar="SET", help="instruction sets; default: the demo's")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the results")
    parser.add_argument("--responder", default="responder", help="teacher that answered")
    options = parser.parse_args()
    results = Results(options.results, options.responder)
    for cells in (HEAD, ["---"] * len(HEAD), *map(results.line, options.sets)):
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
