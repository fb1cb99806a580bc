"""Published numbers beside ours: which ones agree within their rounding."""

from typing import NamedTuple


class Comparison(NamedTuple):
    """A printed number and ours."""

    printed: str  # with the digits of its source
    ours: float
    slack: float = 0.0  # the largest error that rounded inputs can cause

    @property
    def digits(self) -> int:
        return len(self.printed.partition(".")[2])

    @property
    def ok(self) -> bool:
        """Whether ours rounds to the printed number."""
        return abs(self.ours - float(self.printed)) <= 0.5 * 10**-self.digits + self.slack + 1e-9

    @property
    def text(self) -> str:
        """0.9246 (0.925)"""
        return f"{self.ours:.{self.digits + 1 if self.digits else 0}f} ({self.printed})"


class Section(NamedTuple):
    """One table of numbers and their comparison."""

    title: str
    about: str
    columns: list[str]
    rows: list[tuple[str, dict[str, Comparison]]]  # [(label, {column: comparison})]
    printed: bool = False  # in the paper; else it follows from its tables, and was worked out once without this package

    @property
    def comparisons(self) -> list[Comparison]:
        return [comparison for _, row in self.rows for comparison in row.values()]


def counts(sections: list[Section]) -> dict[str, int]:
    """Return how many numbers the paper prints, how many follow from its tables, and of each how many agree with ours."""
    found: dict[str, int] = {}
    for name, printed in (("printed", True), ("derived", False)):
        comparisons = [one for part in sections if part.printed == printed for one in part.comparisons]
        found |= {name: len(comparisons), f"{name}_ok": sum(one.ok for one in comparisons)}
    return found


def section(title: str, about: str, rows: dict[str, dict[str, Comparison]], printed: bool = False) -> Section:
    """Return a section with the columns of its rows, in their order."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    return Section(title, about, columns, list(rows.items()), printed)


def lines(numbers: list[Section], sentences: list[str]) -> list[str]:
    """Return our numbers with the paper's in brackets, marked where they disagree."""
    number = counts(numbers)
    text = [
        f"Ours (the paper's): {number['printed_ok']} of {number['printed']} printed numbers agree within their rounding, and "
        f"{number['derived_ok']} of {number['derived']} that follow from its tables (worked out once without this code)"
    ]
    for one in numbers:
        width = max(34, *(len(label) + 2 for label, _ in one.rows))
        text += ["", f"{one.title}{'' if one.printed else ', derived'}: {one.about}"]
        text.append(" " * width + "".join(f"{column.removeprefix('Llama-3.1-'):>20}" for column in one.columns))
        for label, row in one.rows:
            cells = [_marked(row[column]) if column in row else "" for column in one.columns]
            text.append(f"{label:<{width}}" + "".join(f"{cell:>20}" for cell in cells))
    return [*text, "", "Not in the paper:", *(f"- {sentence}" for sentence in sentences)]


def _marked(comparison: Comparison) -> str:
    return f"{comparison.text}{'' if comparison.ok else ' !'}"
