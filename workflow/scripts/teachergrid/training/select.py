"""Choose the rows of a corpus from the responses of several teachers.

A selection has up to four steps, one function each: the usable responses, one of each instruction, the best part of these,
a budget of tokens. Hashes decide every draw, so neither the order of teachers nor other instructions change it.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import BadInput
from ..metrics.measure import per_teacher, reached
from ..metrics.rows import JoinedRows
from ..metrics.variants import Metric
from ..store import artifacts

TENTHS = np.arange(1, 10) / 10
Categories = Mapping[str, str | None]  # instruction id -> category


class Row(NamedTuple):
    """A response that may be chosen."""

    id: str
    teacher: str
    sample: int
    value: float  # of the corpus' metric; 0 where it has none
    words: int
    tokens: float  # NaN where unknown
    why: str = ""


class Ranking(NamedTuple):
    """How a corpus orders responses."""

    entry: dict  # the corpus' settings with all defaults
    sign: int  # 1 where the highest values come first, -1 where the lowest do, 0 where a hash decides
    name: str  # the metric, in words; "" where there is none


def select(
    entry: dict, metrics: dict[str, dict], rows_of: Mapping[str, JoinedRows], categories: Categories | None = None
) -> list[dict]:
    """Return the rows of artifacts.CORPUS that a corpus takes, in the order of their instructions.

    Instructions without a response that has text and a finite value of `by` are left out and counted in the log; with
    `matched` so are those for which any teacher has no such response.

    Args:
        entry: the corpus' settings with all defaults.
        metrics: {name: entry} of the metrics in its `by` and `least`.
        rows_of: {teacher: joined rows of its responses}.
        categories: needed where `each` has category.
    Raises:
        BadInput: when no row is left, and as the functions of the steps do.
    """
    by_id, ranking = usable(entry, metrics, rows_of), Ranking(entry, _sign(entry, metrics), _name(entry, metrics))
    least, what = (len(rows_of), "not every teacher has a") if entry["matched"] else (1, "no")
    complete = [rows for _, rows in sorted(by_id.items()) if len({row.teacher for row in rows}) >= least]
    if len(complete) < len(by_id):
        value = f"a value of {ranking.name}" if ranking.name else "text"
        print(f"{len(by_id) - len(complete)} of {len(by_id)} instructions left out: {what} response with {value}")
    chosen = [row for rows in complete for row in choose(ranking, rows)]
    if chosen and (entry["share"] or entry["rows"]):
        chosen = best_part(ranking, chosen, categories or {})
    if chosen and entry["tokens"]:
        chosen = within_budget(entry, chosen)
    if not chosen:
        raise BadInput(
            f"none of {len(by_id)} instructions is left: {what} usable response; leave out `matched`, or a teacher "
            "without responses or values"
        )
    teachers = Counter(row.teacher for row in chosen)
    print(f"{len(chosen)} rows: {', '.join(f'{name} {teachers[name]}' for name in sorted(teachers))}")
    return [
        {"id": row.id, "sample": row.sample, "teacher": row.teacher, "why": row.why}
        for row in sorted(chosen, key=lambda row: (row.id, row.teacher, row.sample))
    ]


def write(path: str | Path, rows: list[dict], made_from: dict) -> None:
    """Write the rows of a corpus (artifacts.CORPUS) as SFT reads them, and origin and reasons into x.origin and x.why.

    So the same rows give the same bytes whatever setting chose them, and no student is trained again.
    """
    table = artifacts.table(rows, artifacts.CORPUS)
    artifacts.write(f"{path}.why", table, artifacts.CORPUS, made_from)
    artifacts.write(path, table, artifacts.CORPUS_ROWS, made_from, beside=True)


def usable(entry: dict, metrics: dict[str, dict], rows_of: Mapping[str, JoinedRows]) -> dict[str, list[Row]]:
    """Return {instruction id: its responses that have text, a finite value and all of `least`}; the list may be empty."""
    values = _values(entry, metrics, rows_of)
    by_id: dict[str, list[Row]] = {}
    for teacher, rows in sorted(rows_of.items()):
        columns = (
            rows.id,
            rows.sample,
            values[teacher],
            rows.words,
            _tokens(entry, rows),
            reached(entry["least"], metrics, rows),
        )
        for id, sample, value, words, tokens, fits in zip(*(column.tolist() for column in columns), strict=True):
            responses = by_id.setdefault(id, [])
            if words and fits and math.isfinite(value):
                responses.append(Row(id, teacher, sample, value, words, tokens))
    return by_id


def choose(ranking: Ranking, rows: list[Row]) -> list[Row]:
    """Return the rows of one instruction that are chosen: all, or one of them. A hash decides between equal values."""
    entry, name = ranking.entry, ranking.name
    choice, criterion = entry["choose"], f" by {name}" if name else ""
    candidates = rows
    if choice in ("best", "worst"):
        top = max(ranking.sign * row.value for row in rows)
        candidates = [row for row in rows if ranking.sign * row.value == top]
    elif choice == "random" and entry["ratios"]:
        teacher = min({row.teacher for row in rows}, key=lambda teacher: (_wait(entry, rows[0].id, teacher), teacher))
        candidates = [row for row in rows if row.teacher == teacher]
        criterion = f" with ratio {entry['ratios'][teacher]:g}{criterion}"
    chosen = rows if choice == "all" else [min(candidates, key=lambda row: _random_order(entry, row))]
    what = "one of" if choice == "all" else f"{choice} of"
    return [
        row._replace(why=f"{what} {len(rows)}{criterion}" + (f": {row.value:.3g}" if name else "")) for row in chosen
    ]


def best_part(ranking: Ranking, rows: list[Row], categories: Categories) -> list[Row]:
    """Return the share or number of rows that the entry keeps: the same share of each group that its `each` names.

    Raises BadInput when there are fewer rows than `rows`, or no categories.
    """
    entry = ranking.entry
    total = entry["rows"] or max(1, int(entry["share"] * len(rows) + 0.5))
    if total > len(rows):
        raise BadInput(f"`rows` asks for {total} of {len(rows)} rows; lower it")
    return _allotted(ranking, rows, total, sorted(entry["each"]), categories, [])


def _allotted(
    ranking: Ranking, rows: list[Row], total: int, each: list[str], categories: Categories, within: list[str]
) -> list[Row]:
    """Return the best rows of each group, `total` in all, divided by largest remainders. A hash decides between equal ones.

    Args:
        each: how to group: category, length. The groups of the first are divided into those of the next.
        within: names of the groups that these rows are in.
    """
    if not each:
        return _best(ranking, rows, total, within)
    groups: dict[str, list[Row]] = {}
    for row, group in zip(rows, _groups(each[0], rows, categories), strict=True):
        groups.setdefault(group, []).append(row)
    shares = {group: divmod(total * len(members), len(rows)) for group, members in groups.items()}
    order = sorted(shares, key=lambda group: (-shares[group][1], _digest(f"{ranking.entry['seed']}/{group}")))
    rounded_up = set(order[: total - sum(quotient for quotient, _ in shares.values())])
    best = []
    for group, members in groups.items():
        size = shares[group][0] + (group in rounded_up)
        if not size and each[0] == "category":
            print(f"none of {len(members)} rows kept in {group}")
        best += _allotted(ranking, members, size, each[1:], categories, [*within, group])
    return best


def _best(ranking: Ranking, rows: list[Row], total: int, within: list[str]) -> list[Row]:
    where = f" in {', '.join(within)}" if within else ""
    ordered = sorted(rows, key=lambda row: (-ranking.sign * row.value, _random_order(ranking.entry, row)))[:total]
    group = f"of {len(rows)}{where}, {total} kept"
    return [row._replace(why=f"{row.why}; number {place} {group}") for place, row in enumerate(ordered, 1)]


def within_budget(entry: dict, rows: list[Row]) -> list[Row]:
    """Return rows in the order of the hash of their instructions, up to the first that does not fit into the budget `tokens`.

    Rows whose number of tokens is unknown are left out and counted in the log. Raises BadInput when the others do not fill
    the budget, or when not even the first fits.
    """
    budget, counted = entry["tokens"], [row for row in rows if not math.isnan(row.tokens)]
    if len(counted) < len(rows):
        print(f"{len(rows) - len(counted)} of {len(rows)} rows left out: their tokens are not known")
    ordered = sorted(counted, key=lambda row: (_digest(row.id), row.teacher, row.sample))
    sums = np.cumsum([row.tokens for row in ordered])
    total = int(sums[-1]) if counted else 0
    fitting = int(np.searchsorted(sums, budget, side="right"))
    if total < budget or not fitting:
        raise BadInput(
            f"`tokens` is {budget}, and {len(counted)} rows of known length have {total}, the first {int(sums[0]) if counted else 0}; "
            "state a budget that all corpora which are compared can fill"
        )
    return [row._replace(why=f"{row.why}; within {budget} tokens") for row in ordered[:fitting]]


# --- what a row is worth, how long it is, and where it belongs


def _values(entry: dict, metrics: dict[str, dict], rows_of: Mapping[str, JoinedRows]) -> dict[str, np.ndarray]:
    """Return {teacher: values [n]}: of the metric, of the mix, or 0 without any."""
    if isinstance(entry["by"], dict):
        return _mixed_values(entry["by"], metrics, rows_of)
    if not entry["by"]:
        return {teacher: np.zeros(len(rows.id)) for teacher, rows in rows_of.items()}
    return per_teacher(Metric(metrics[entry["by"]]), rows_of)


def _mixed_values(
    weights: dict[str, float], metrics: dict[str, dict], rows_of: Mapping[str, JoinedRows]
) -> dict[str, np.ndarray]:
    """Return {teacher: weighted sums [n] of standardised metrics}; NaN where one of them is undefined."""
    values = {name: per_teacher(Metric(metrics[name]), rows_of) for name in weights}
    # a row without one of the values cannot be chosen, so it does not count in the means of the others either
    defined = {
        teacher: (rows.words > 0) & np.all([np.isfinite(by_teacher[teacher]) for by_teacher in values.values()], axis=0)
        for teacher, rows in rows_of.items()
    }
    total = {teacher: np.zeros(len(rows.id)) for teacher, rows in rows_of.items()}
    for name, weight in weights.items():
        pooled = np.concatenate([values[name][teacher][defined[teacher]] for teacher in sorted(rows_of)])
        mean = pooled.mean() if pooled.size else 0
        # a metric that is the same everywhere counts as 0
        spread = pooled.std() if pooled.size and np.ptp(pooled) else np.inf
        sign = Metric(metrics[name]).sign * weight
        for teacher in rows_of:
            total[teacher] += sign * (np.where(defined[teacher], values[name][teacher], np.nan) - mean) / spread
    return total


def _sign(entry: dict, metrics: dict[str, dict]) -> int:
    direction = 1 if isinstance(entry["by"], dict) or not entry["by"] else Metric(metrics[entry["by"]]).sign
    return {"best": 1, "all": 1, "worst": -1, "random": 0}[entry["choose"]] * direction


def _name(entry: dict, metrics: dict[str, dict]) -> str:
    if isinstance(entry["by"], dict):
        return " + ".join(f"{weight:g} {Metric(metrics[name]).name}" for name, weight in sorted(entry["by"].items()))
    return Metric(metrics[entry["by"]]).name if entry["by"] else ""


def _tokens(entry: dict, rows: JoinedRows) -> np.ndarray:
    """Return the tokens [n] that count for the budget; NaN where unknown, or without a budget."""
    if not entry["tokens"]:
        return np.full(len(rows.id), np.nan)
    if entry["counted_by"] is None:
        return rows.response_tokens
    scored = rows.likelihoods[entry["counted_by"], "chat"]
    return scored["n_answer"] + scored["n_end"]


def _groups(kind: str, rows: list[Row], categories: Categories) -> list[str]:
    """Return for each row its category, or the tenth of these rows' lengths (kind: length) in which it is."""
    if kind == "category":
        if not any(categories.values()):
            raise BadInput(
                "`each: [category]`: no instruction has a category; name its column under the set's `fields`"
            )
        return [f"category {categories.get(row.id) or 'none'}" for row in rows]
    words = np.array([row.words for row in rows])
    # equal lengths lie in the same tenth
    tenths = np.searchsorted(np.quantile(words, TENTHS), words, side="right")
    return [f"tenth {tenth + 1} of lengths" for tenth in tenths]


# --- draws


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _random_order(entry: dict, row: Row) -> bytes:
    """Return a key that sorts rows in a random order, which depends on the seed and the row alone."""
    return _digest(f"{entry['seed']}/{row.id}/{row.teacher}/{row.sample}")


def _wait(entry: dict, id: str, teacher: str) -> float:
    """Return how long a teacher waits for an instruction. The shortest wins it, with probability ratio / sum of ratios.

    Weighted rendezvous hashing: exponential waiting times, from independent hashes. A changed ratio, or one more teacher,
    moves no instruction between the others.
    """
    drawn = (int.from_bytes(_digest(f"{entry['seed']}/{id}/{teacher}")[:6], "big") + 0.5) / 2**48
    return -math.log(drawn) / entry["ratios"][teacher]
