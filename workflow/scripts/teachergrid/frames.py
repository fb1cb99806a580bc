"""The rows of a corpus with all that scored them, as aligned arrays: the one place where responses, rewards and
likelihoods are joined.

A source is the path of a table, or the table itself. A number that is undefined is NaN here, and its table's reason
stands beside it.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from . import artifacts
from .errors import BadInput

_KEY = ["id", "sample"]
_COUNTS = ["n_question", "n_answer", "n_end"]
_SUMS = ["question", "answer_given_question", "end_given_question", "answer", "end"]


class Frame(NamedTuple):
    """n rows in the order of (id, sample, teacher), so that no result hangs on the order of files or rows."""

    id: np.ndarray  # [n] of str
    sample: np.ndarray  # [n]
    teacher: np.ndarray  # [n] of str
    response: pa.ChunkedArray | None  # [n]
    words: np.ndarray  # [n], 0 for a response without text
    response_tokens: np.ndarray  # [n], by the teacher's own tokenizer
    rewards: dict  # reward -> {"reward": [n], "reason": [n]}
    likelihoods: dict  # (scorer, format) -> the columns of artifacts.LIKELIHOODS that hold one number per response


def frame(responses: dict, rewards: dict, likelihoods: dict, corpus=None, text: bool = True) -> Frame:
    """Join a corpus with what scored it, by (teacher, id, sample).

    responses: {teacher: source}. rewards: {reward: {teacher: source}}. likelihoods: {(scorer, format): {teacher: source}},
    with the scorer as metric entries name it (`self` for the base at hand). corpus: source of the rows of a derived
    corpus, or None for all rows. text=False leaves the responses' text out, which is most of the memory.

    Raises BadInput, naming the file, where a row is missing or there twice.
    """
    wanted = _wanted(responses, corpus)
    keys = [(id, sample, teacher) for teacher, rows in wanted.items() for id, sample in rows]
    if not keys:
        raise BadInput(
            f"{', '.join(map(_name, responses.values())) or 'no responses'}: no row; generate responses first"
        )
    order = sorted(range(len(keys)), key=keys.__getitem__)

    def joined(sources, schema, columns):
        parts = [_rows(sources, teacher, rows, schema, columns) for teacher, rows in wanted.items()]
        return pa.concat_tables(parts).take(order)

    table = joined(responses, artifacts.RESPONSES, ["response", "response_tokens"])
    ids, samples, teachers = (np.array(column) for column in zip(*(keys[i] for i in order), strict=True))
    return Frame(
        ids,
        samples,
        teachers,
        table["response"] if text else None,
        _words(table["response"]),
        _floats(table["response_tokens"]),
        {name: _arrays(joined(sources, artifacts.REWARDS, ["reward", "reason"])) for name, sources in rewards.items()},
        {
            key: _arrays(joined(sources, artifacts.LIKELIHOODS, [*_COUNTS, *_SUMS, "reason"]))
            for key, sources in likelihoods.items()
        },
    )


def read(source, schema: pa.Schema, columns: list[str] | None = None) -> pa.Table:
    """Return some columns of a table that is given as a path, or as itself."""
    if isinstance(source, pa.Table):
        return artifacts.table(source, schema).select(columns or schema.names)
    return artifacts.read(source, schema, columns)


def _name(source) -> str:
    return "the given table" if isinstance(source, pa.Table) else str(source)


def _wanted(responses: dict, corpus) -> dict:
    """{teacher: [(id, sample), ...]} of the rows that a corpus takes."""
    if corpus is None:
        return {teacher: list(_positions(source, artifacts.RESPONSES)) for teacher, source in responses.items()}
    wanted = {}
    for row in read(corpus, artifacts.CORPUS, [*_KEY, "teacher"]).to_pylist():
        if row["teacher"] not in responses:
            raise BadInput(
                f"{_name(corpus)}: takes a row of teacher '{row['teacher']}', who is not among its teachers; delete it and run again"
            )
        wanted.setdefault(row["teacher"], []).append((row["id"], row["sample"]))
    return wanted


def _positions(source, schema: pa.Schema) -> dict:
    """{(id, sample): row} of a table."""
    keys = read(source, schema, _KEY)
    positions = {}
    for position, key in enumerate(zip(keys["id"].to_pylist(), keys["sample"].to_pylist(), strict=True)):
        if positions.setdefault(key, position) != position:
            raise BadInput(f"{_name(source)}: id '{key[0]}', sample {key[1]} is there twice; delete it and run again")
    return positions


def _rows(sources: dict, teacher: str, keys: list, schema: pa.Schema, columns: list[str]) -> pa.Table:
    source = sources[teacher]
    positions = _positions(source, schema)
    missing = [key for key in keys if key not in positions]
    if missing:
        (id, sample), many = missing[0], f"{len(missing)} of {len(keys)} rows are missing"
        raise BadInput(f"{_name(source)}: {many}, such as id '{id}', sample {sample}; delete it and run again")
    return read(source, schema, columns).take([positions[key] for key in keys])


def _arrays(table: pa.Table) -> dict:
    columns = {name: _floats(table[name]) for name in table.column_names if name != "reason"}
    return {**columns, "reason": np.array(pc.fill_null(table["reason"], "").to_pylist(), object)}


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    return column.cast(pa.float64()).to_numpy()  # null becomes NaN


def _words(text: pa.ChunkedArray) -> np.ndarray:
    trimmed = pc.utf8_trim_whitespace(text)
    counts = pc.list_value_length(pc.utf8_split_whitespace(trimmed))
    return _floats(pc.if_else(pc.equal(trimmed, ""), 0, counts))
