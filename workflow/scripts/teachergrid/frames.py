"""The rows of a corpus with all that scored them, as aligned arrays: the one place where responses, rewards and
likelihoods are joined.

A source is the path of a table, or the table itself. A number that is undefined is NaN here, and its table's reason
stands beside it. Texts and per-token lists are read in batches, and only what is asked for is kept of them.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from . import artifacts
from .errors import BadInput
from .expressions import RANK_CAP
from .texts import Texts

_KEY = ["id", "sample"]
_COUNTS = ["n_question", "n_answer", "n_end"]
_SUMS = ["question", "answer_given_question", "end_given_question", "answer", "end"]


class Reasons(NamedTuple):
    """Why rows have no value: texts[code], where 0 is none."""

    code: np.ndarray  # [n]
    texts: list[str]


class Frame(NamedTuple):
    """n rows in the order of (id, sample, teacher), so that no result hangs on the order of files or rows."""

    id: np.ndarray  # [n] of str
    sample: np.ndarray  # [n]
    teacher: np.ndarray  # [n] of str
    texts: Texts | None
    words: np.ndarray  # [n], 0 for a response without text
    response_tokens: np.ndarray  # [n], by the teacher's own tokenizer
    rewards: dict  # reward -> {"reward": [n], "reason": Reasons}
    likelihoods: dict  # (scorer, format) -> the columns of artifacts.LIKELIHOODS that hold one number per response, and
    # where asked for, ranks_answer and ranks_end: sums of the ranks of its tokens, each at most RANK_CAP
    category: np.ndarray  # [n] of str, "" where the instruction has none

    def where(self, rows: np.ndarray) -> "Frame":
        """Return some rows without their texts. rows: mask [n]."""

        def part(values):
            if isinstance(values, dict):
                return {key: part(value) for key, value in values.items()}
            if isinstance(values, Reasons):
                return values._replace(code=values.code[rows])
            return None if values is None or isinstance(values, Texts) else values[rows]

        return Frame(*map(part, self))

    @property
    def response(self) -> pa.ChunkedArray:
        """The texts [n], where they were kept."""
        return self.texts.rows


def frame(
    responses: dict,
    rewards: dict,
    likelihoods: dict,
    corpus=None,
    text: bool = True,
    ranks: bool = False,
    instructions=(),
) -> Frame:
    """Join a corpus with what scored it, by (teacher, id, sample).

    responses: {teacher: source}. rewards: {reward: {teacher: source}}. likelihoods: {(scorer, format): {teacher: source}},
    with the scorer as metric entries name it (`self` for the base at hand). corpus: source of the rows of a derived
    corpus, or None for all rows. text: keep the responses' text, which is most of the memory. ranks: add up the ranks of
    tokens. instructions: sources of the instruction sets, for categories.

    Raises BadInput, naming the file, where a row is missing or there twice.
    """
    keys = {teacher: _keys(source) for teacher, source in responses.items()}
    wanted = _wanted(responses, keys, corpus)
    named = [
        keys[teacher].take(rows).append_column("teacher", pa.array([teacher] * len(rows)))
        for teacher, rows in wanted.items()
    ]
    whole = pa.concat_tables(named) if named else ()
    if not len(whole):
        raise BadInput(
            f"{', '.join(map(_name, responses.values())) or 'no responses'}: no row; generate responses first"
        )
    order = pc.sort_indices(whole, [(name, "ascending") for name in (*_KEY, "teacher")])
    before = np.cumsum([0, *(keys[teacher].num_rows for teacher in wanted)])
    places = np.concatenate([start + np.asarray(rows) for start, rows in zip(before, wanted.values(), strict=False)])[
        order
    ]
    known = {}  # the base's own likelihoods stand under two names

    def joined(sources, schema, columns, made_here=None):
        parts = [_aligned(sources[teacher], schema, columns, keys[teacher], made_here) for teacher in wanted]
        return pa.concat_tables(parts).take(places)

    def scored(sources):
        if id(sources) not in known:
            columns = [*_COUNTS, *_SUMS, "reason"]
            rows = joined(sources, artifacts.LIKELIHOODS, columns, _rank_sums if ranks else None)
            known[id(sources)] = _arrays(rows)
        return known[id(sources)]

    columns = ["response_tokens", *(["response"] * text)]
    table, whole = joined(responses, artifacts.RESPONSES, columns, None if text else _word_counts), whole.take(order)
    texts, ids = Texts(table["response"]) if text else None, np.array(whole["id"].to_pylist())
    return Frame(
        ids,
        whole["sample"].to_numpy(),
        np.array(whole["teacher"].to_pylist()),
        texts,
        texts.counts.astype(float) if text else table["words"].to_numpy(),
        _floats(table["response_tokens"]),
        {name: _arrays(joined(sources, artifacts.REWARDS, ["reward", "reason"])) for name, sources in rewards.items()},
        {key: scored(sources) for key, sources in likelihoods.items()},
        _categories(instructions, ids),
    )


def read(source, schema: pa.Schema, columns: list[str] | None = None) -> pa.Table:
    """Return some columns of a table that is given as a path, or as itself."""
    if isinstance(source, pa.Table):
        return artifacts.table(source, schema).select(columns or schema.names)
    return artifacts.read(source, schema, columns)


def _batches(source, schema: pa.Schema, columns: list[str]):
    if isinstance(source, pa.Table):
        return artifacts.table(source, schema).select(columns).to_batches(artifacts.BATCH)
    return artifacts.batches(source, schema, columns)


def _name(source) -> str:
    return "the given table" if isinstance(source, pa.Table) else str(source)


def _keys(responses) -> pa.Table:
    keys = read(responses, artifacts.RESPONSES, _KEY)
    if keys.group_by(_KEY).aggregate([]).num_rows < keys.num_rows:
        _positions(responses, keys)  # names the row
    return keys


def _wanted(responses: dict, keys: dict, corpus) -> dict:
    """{teacher: positions of the rows that a corpus takes}."""
    if corpus is None:
        return {teacher: np.arange(table.num_rows) for teacher, table in keys.items()}
    wanted, positions = {}, {}
    for row in read(corpus, artifacts.CORPUS, [*_KEY, "teacher"]).to_pylist():
        id, sample, teacher = row["id"], row["sample"], row["teacher"]
        if teacher not in responses:
            raise BadInput(
                f"{_name(corpus)}: takes a row of teacher '{teacher}', who is not among its teachers; delete it and run again"
            )
        if teacher not in positions:
            positions[teacher] = _positions(responses[teacher], keys[teacher])
        if (id, sample) not in positions[teacher]:
            raise _missing(responses[teacher], 1, 1, id, sample)
        wanted.setdefault(teacher, []).append(positions[teacher][id, sample])
    return wanted


def _positions(source, keys: pa.Table) -> dict:
    """{(id, sample): row} of a table."""
    positions = {}
    for position, key in enumerate(zip(keys["id"].to_pylist(), keys["sample"].to_pylist(), strict=True)):
        if positions.setdefault(key, position) != position:
            raise BadInput(f"{_name(source)}: id '{key[0]}', sample {key[1]} is there twice; delete it and run again")
    return positions


def _missing(source, missing: int, rows: int, id: str, sample: int) -> BadInput:
    many = f"{missing} of {rows} rows are missing"
    return BadInput(f"{_name(source)}: {many}, such as id '{id}', sample {sample}; delete it and run again")


def _aligned(source, schema: pa.Schema, columns: list[str], keys: pa.Table, made_here) -> pa.Table:
    """Return columns of a table in the order of the keys; made_here(source) adds some of its own."""
    own, table = read(source, schema, _KEY), _large(read(source, schema, columns))
    for name, values in made_here(source).items() if made_here else ():
        table = table.append_column(name, pa.array(values))
    # what scores responses keeps their order; a table with other rows, or in another order, is looked up row by row
    if own.equals(keys):
        return table
    positions = _positions(source, own)
    asked = list(zip(keys["id"].to_pylist(), keys["sample"].to_pylist(), strict=True))
    if missing := [key for key in asked if key not in positions]:
        raise _missing(source, len(missing), len(asked), *missing[0])
    return table.take([positions[key] for key in asked])


def _large(table: pa.Table) -> pa.Table:
    """Texts of more than 2 GB cannot be reordered otherwise."""
    kinds = [pa.large_string() if kind == pa.string() else kind for kind in table.schema.types]
    return table.cast(pa.schema(zip(table.column_names, kinds, strict=True)))


def _arrays(table: pa.Table) -> dict:
    columns = {name: _floats(table[name]) for name in table.column_names if name != "reason"}
    reasons = pc.fill_null(table["reason"], "").combine_chunks().dictionary_encode()
    texts = reasons.dictionary.to_pylist()
    order = sorted(range(len(texts)), key=lambda i: texts[i] != "")  # "" first, which is there or is put there
    place = np.empty(len(texts), np.int32)
    place[order] = np.arange(len(texts)) + ("" not in texts)
    kept = [texts[i] for i in order]
    return {**columns, "reason": Reasons(place[reasons.indices.to_numpy()], kept if "" in texts else ["", *kept])}


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    return column.cast(pa.float64()).to_numpy()  # null becomes NaN


def _word_counts(responses) -> dict:
    """{"words": [rows]}, 0 for a response without text."""
    parts = [np.empty(0)]
    for batch in _batches(responses, artifacts.RESPONSES, ["response"]):
        trimmed = pc.utf8_trim_whitespace(batch["response"])
        counts = pc.list_value_length(pc.utf8_split_whitespace(trimmed))
        parts.append(pc.if_else(pc.equal(trimmed, ""), 0, counts).to_numpy(zero_copy_only=False).astype(float))
    return {"words": np.concatenate(parts)}


def _rank_sums(likelihoods) -> dict:
    """{"ranks_answer": [rows], "ranks_end": [rows]}: ranks of the answer's and the end's tokens added up; NaN without them."""
    found = [np.empty((0, 2))]
    for batch in _batches(likelihoods, artifacts.LIKELIHOODS, ["n_answer", "token_ranks"]):
        lists = batch["token_ranks"]
        lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
        sums = np.r_[0, np.cumsum(np.minimum(lists.flatten().to_numpy(zero_copy_only=False), RANK_CAP))]
        stop = np.cumsum(lengths)
        start, answer = stop - lengths, pc.fill_null(batch["n_answer"], 0).to_numpy(zero_copy_only=False)
        end = np.minimum(start + answer, stop)
        part = np.stack([sums[end] - sums[start], sums[stop] - sums[end]], axis=1).astype(float)
        part[pc.is_null(lists).to_numpy(zero_copy_only=False)] = np.nan
        found.append(part)
    answer, end = np.concatenate(found).T
    return {"ranks_answer": answer, "ranks_end": end}


def _categories(instructions, ids: np.ndarray) -> np.ndarray:
    known = {}
    for source in instructions:
        table = read(source, artifacts.INSTRUCTIONS, ["id", "category"])
        known.update(zip(table["id"].to_pylist(), table["category"].to_pylist(), strict=True))
    return np.array([known.get(id) or "" for id in ids.tolist()])
