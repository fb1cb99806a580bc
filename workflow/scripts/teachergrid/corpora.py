"""What SFT sees: choose rows of several teachers' responses, and make training examples of a corpus.

A selection goes through the steps of its config entry, one function each: usable responses, one of each instruction, the
best part of these, a budget of tokens. What is drawn is drawn by hashes, so that neither the order of teachers nor another
instruction moves it.
"""

import hashlib
import math
from collections import Counter
from typing import NamedTuple

import numpy as np

from . import artifacts
from .artifacts import read
from .errors import BadInput
from .frames import join
from .metrics import per_response
from .variants import Metric

TENTHS = np.arange(1, 10) / 10


class Row(NamedTuple):
    """A response that may be taken."""

    id: str
    teacher: str
    sample: int
    value: float  # by the corpus' metric; 0 where it has none
    words: int
    tokens: float  # NaN where unknown
    why: str = ""


def select(entry: dict, metrics: dict, frames: dict, categories: dict | None = None) -> list[dict]:
    """Return the rows of artifacts.CORPUS that a corpus takes, in the order of their instructions.

    entry: the corpus' settings with all defaults; metrics: {name: metric} of its `by`; frames: {teacher: JoinedRows}; categories:
    {instruction id: category or None}, where `each` asks for them. Left out, and counted in the log: instructions without a
    response that has text and a finite value of `by`, and with `matched` those that lack one of any teacher.
    Raises BadInput when no row is left, and as the steps do.
    """
    by_id, sign, name = usable(entry, metrics, frames), _sign(entry, metrics), _name(entry, metrics)
    needed, what = (len(frames), "not every teacher has a") if entry["matched"] else (1, "no")
    full = [rows for _, rows in sorted(by_id.items()) if len({row.teacher for row in rows}) >= needed]
    if len(full) < len(by_id):
        value = f"a value of {name}" if name else "text"
        print(f"{len(by_id) - len(full)} of {len(by_id)} instructions left out: {what} response with {value}")
    kept = [row for rows in full for row in choose(entry, sign, rows, name)]
    if kept and (entry["share"] or entry["rows"]):
        kept = best_part(entry, sign, kept, categories)
    if kept and entry["tokens"]:
        kept = within_budget(entry, kept)
    if not kept:
        raise BadInput(
            f"none of {len(by_id)} instructions is left: {what} usable response; leave out `matched`, or a teacher "
            "without responses or values"
        )
    teachers = Counter(row.teacher for row in kept)
    print(f"{len(kept)} rows: {', '.join(f'{name} {teachers[name]}' for name in sorted(teachers))}")
    return [
        {"id": row.id, "sample": row.sample, "teacher": row.teacher, "why": row.why}
        for row in sorted(kept, key=lambda row: (row.id, row.teacher, row.sample))
    ]


def write(path, rows: list[dict], made_from: dict) -> None:
    """Write the rows of a corpus as SFT reads them; origin and reasons lie beside (x.origin, x.why).

    So the same rows chosen by another setting are the same bytes, and no student is trained again.
    """
    table = artifacts.table(rows, artifacts.CORPUS)
    artifacts.write(f"{path}.why", table, artifacts.CORPUS, made_from)
    artifacts.write(path, table, artifacts.CORPUS_ROWS, made_from, beside=True)


def usable(entry: dict, metrics: dict, frames: dict) -> dict[str, list[Row]]:
    """Return {instruction id: its responses that have text and a finite value}; the list may be empty."""
    values, found = _values(entry, metrics, frames), {}
    for teacher, rows in sorted(frames.items()):
        columns = (rows.id, rows.sample, values[teacher], rows.words, _tokens(entry, rows))
        for id, sample, value, words, tokens in zip(*(column.tolist() for column in columns), strict=True):
            mine = found.setdefault(id, [])
            if words and math.isfinite(value):
                mine.append(Row(id, teacher, sample, value, words, tokens))
    return found


def choose(entry: dict, sign: int, rows: list[Row], name: str) -> list[Row]:
    """Return the rows of one instruction that are taken: all, or one of them; ties go by lot."""
    how, by = entry["choose"], f" by {name}" if name else ""
    pool = rows
    if how in ("best", "worst"):
        top = max(sign * row.value for row in rows)
        pool = [row for row in rows if sign * row.value == top]
    elif how == "random" and entry["ratios"]:
        teacher = min({row.teacher for row in rows}, key=lambda teacher: (_wait(entry, rows[0].id, teacher), teacher))
        pool, by = [row for row in rows if row.teacher == teacher], f" with ratio {entry['ratios'][teacher]:g}{by}"
    taken = rows if how == "all" else [min(pool, key=lambda row: _lot(entry, row))]
    what = "one of" if how == "all" else f"{how} of"
    return [row._replace(why=f"{what} {len(rows)}{by}" + (f": {row.value:.3g}" if name else "")) for row in taken]


def best_part(entry: dict, sign: int, rows: list[Row], categories: dict | None) -> list[Row]:
    """Return the share or number of rows that is kept: of each category the same share, and in it of each length.

    Raises BadInput when there are fewer rows than asked for, or no categories.
    """
    total = entry["rows"] or max(1, int(entry["share"] * len(rows) + 0.5))
    if total > len(rows):
        raise BadInput(f"`rows` asks for {total} of {len(rows)} rows; lower it")
    return _allotted(entry, sign, rows, total, sorted(entry["each"]), categories, [])


def _allotted(entry: dict, sign: int, rows: list[Row], total: int, each: list[str], categories, within: list[str]):
    """Share a number of rows out to the groups of the first word of `each`, by largest remainders; ties go by lot."""
    where = f" in {', '.join(within)}" if within else ""
    if not each:
        ordered = sorted(rows, key=lambda row: (-sign * row.value, _lot(entry, row)))[:total]
        told = f"of {len(rows)}{where}, {total} kept"
        return [row._replace(why=f"{row.why}; number {place} {told}") for place, row in enumerate(ordered, 1)]
    groups = {}
    for row, group in zip(rows, _groups(each[0], rows, categories), strict=True):
        groups.setdefault(group, []).append(row)
    parts = {group: divmod(total * len(mine), len(rows)) for group, mine in groups.items()}
    order = sorted(parts, key=lambda group: (-parts[group][1], _digest(f"{entry['seed']}/{group}")))
    more = set(order[: total - sum(part for part, _ in parts.values())])
    kept = []
    for group, mine in groups.items():
        size = parts[group][0] + (group in more)
        if not size and each[0] == "category":
            print(f"none of {len(mine)} rows kept in {group}")
        kept += _allotted(entry, sign, mine, size, each[1:], categories, [*within, group])
    return kept


def within_budget(entry: dict, rows: list[Row]) -> list[Row]:
    """Return whole rows, in the order of the hash of their instructions, up to the first that `tokens` has no room for.

    Rows whose tokens are not known are left out, and counted in the log. Raises BadInput when the others have fewer tokens.
    """
    budget, known = entry["tokens"], [row for row in rows if not math.isnan(row.tokens)]
    if len(known) < len(rows):
        print(f"{len(rows) - len(known)} of {len(rows)} rows left out: their tokens are not known")
    ordered = sorted(known, key=lambda row: (_digest(row.id), row.teacher, row.sample))
    sums = np.cumsum([row.tokens for row in ordered])
    have = int(sums[-1]) if known else 0
    fits = int(np.searchsorted(sums, budget, side="right"))
    if have < budget or not fits:
        raise BadInput(
            f"`tokens` is {budget}, and {len(known)} rows of known length have {have}, the first {int(sums[0]) if known else 0}; "
            "state a budget that all corpora which are compared can fill"
        )
    return [row._replace(why=f"{row.why}; within {budget} tokens") for row in ordered[:fits]]


# --- what a row is worth, how long it is, and where it belongs


def _values(entry: dict, metrics: dict, frames: dict) -> dict[str, np.ndarray]:
    """Return {teacher: values [n]}: of the metric, of the mix, or 0 without any."""
    if not isinstance(entry["by"], dict):
        return {
            teacher: per_response(Metric(metrics[entry["by"]]), rows)[0] if metrics else np.zeros(len(rows.id))
            for teacher, rows in frames.items()
        }
    total = dict.fromkeys(frames, 0)
    found = {
        name: {t: per_response(Metric(metrics[name]), rows)[0] for t, rows in frames.items()} for name in entry["by"]
    }
    # whatever lacks one value cannot be chosen, so it does not count in the others' mean either
    defined = {
        teacher: (rows.words > 0) & np.all([np.isfinite(values[teacher]) for values in found.values()], axis=0)
        for teacher, rows in frames.items()
    }
    for name, weight in entry["by"].items():
        every = np.concatenate([found[name][teacher][defined[teacher]] for teacher in sorted(frames)])
        # one value everywhere says nothing: 0
        spread = every.std() if every.size and np.ptp(every) else np.inf
        sign = Metric(metrics[name]).sign * weight
        for teacher in frames:
            values = np.where(defined[teacher], found[name][teacher], np.nan)
            total[teacher] = total[teacher] + sign * (values - (every.mean() if every.size else 0)) / spread
    return total


def _sign(entry: dict, metrics: dict) -> int:
    """Return 1 where the highest values come first, -1 where the lowest do, 0 where a hash decides."""
    direction = 1 if isinstance(entry["by"], dict) or not metrics else Metric(metrics[entry["by"]]).sign
    return {"best": 1, "all": 1, "worst": -1, "random": 0}[entry["choose"]] * direction


def _name(entry: dict, metrics: dict) -> str:
    """Return what ranks, in words; nothing where nothing does."""
    if isinstance(entry["by"], dict):
        return " + ".join(f"{weight:g} {Metric(metrics[name]).name}" for name, weight in sorted(entry["by"].items()))
    return Metric(metrics[entry["by"]]).name if metrics else ""


def _tokens(entry: dict, rows) -> np.ndarray:
    if not entry["tokens"]:
        return np.full(len(rows.id), np.nan)
    if entry["counted_by"] is None:
        return rows.response_tokens
    scored = rows.likelihoods[entry["counted_by"], "chat"]
    return scored["n_answer"] + scored["n_end"]


def _groups(word: str, rows: list[Row], categories: dict | None) -> list[str]:
    """Return the category of each row, or the tenth of these rows' lengths that it lies in."""
    if word == "category":
        if not any((categories or {}).values()):
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


def _lot(entry: dict, row: Row) -> bytes:
    return _digest(f"{entry['seed']}/{row.id}/{row.teacher}/{row.sample}")


def _wait(entry: dict, id: str, teacher: str) -> float:
    """Return how long a teacher waits for an instruction; the shortest wins it, with probability ratio / sum of ratios.

    Exponential waiting times of independent hashes (weighted rendezvous hashing): a changed ratio, or another teacher,
    moves no instruction between the others.
    """
    drawn = (int.from_bytes(_digest(f"{entry['seed']}/{id}/{teacher}")[:6], "big") + 0.5) / 2**48
    return -math.log(drawn) / entry["ratios"][teacher]


# --- examples


def examples(responses: dict, corpus, instructions: list) -> tuple[list[tuple], dict]:
    """Return ([(messages, response, teacher, id, sample), ...], counts of rows left out by reason) of a corpus.

    responses: {teacher: source}; corpus: source of a derived corpus' rows, or None for all rows of one teacher;
    instructions: sources of the instruction sets. Raises BadInput where a row has no instruction or no response.
    """
    messages = {}
    for source in instructions:
        table = read(source, artifacts.INSTRUCTIONS, ["id", "messages"])
        messages.update(zip(table["id"].to_pylist(), table["messages"].to_pylist(), strict=True))
    rows = join(responses, {}, {}, corpus)
    kept = []
    for id, sample, teacher, response, words in zip(
        rows.id.tolist(),
        rows.sample.tolist(),
        rows.teacher.tolist(),
        rows.response.to_pylist(),
        rows.words,
        strict=True,
    ):
        if id not in messages:
            raise BadInput(
                f"responses of teacher '{teacher}': id '{id}' is in none of the instruction sets; generate them again"
            )
        if words:
            kept.append((messages[id], response, teacher, id, sample))
    return kept, {"empty": len(rows.id) - len(kept)}
