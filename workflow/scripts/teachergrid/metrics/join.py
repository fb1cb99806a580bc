"""Join the rows of a corpus with all that scored them, as aligned arrays.

A source is the path of a table, or the table itself. A number that is undefined is NaN here, and `Reasons` say why. Texts and
per-token lists are read in batches, and only what a metric needs of them stays in memory.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import BadInput
from ..store import artifacts, inputs
from ..store.artifacts import Source
from .diversity import Texts
from .expressions import RANK_CAP
from .rows import JoinedRows, LikelihoodKey, Reasons, Table

_KEY = ["id", "sample"]
_COUNTS = ["n_question", "n_answer", "n_end"]
_SUMS = ["question", "answer_given_question", "end_given_question", "answer", "end"]
_DISTRIBUTIONS = [
    f"{end}{name}" for name in ("probability", "squares", "entropy", "top", "sure") for end in ("", "end_")
]


class JobFiles(Protocol):
    """The inputs of a job that joins responses with what scored them: paths."""

    responses: Sequence[str]
    rewards: Sequence[str]
    chat: Sequence[str]  # likelihoods in chat format
    plain: Sequence[str]
    distributions: Sequence[str]  # in both formats; none where no metric needs them


def join_files(
    files: JobFiles,
    base: str,
    corpus: Source | None = None,
    instructions: Iterable[Source] = (),
    text: bool = True,
    ranks: bool = False,
) -> JoinedRows:
    """Return the rows of a corpus with all that scored them. corpus, text, ranks: as of `join`; instructions: for categories."""
    likelihoods = inputs.likelihoods(files.chat, files.plain, files.distributions)
    responses, rewards = inputs.by_teacher(files.responses), inputs.by_folder(files.rewards)
    rows = join(responses, rewards, likelihoods, corpus, text=text, ranks=ranks)
    return rows.with_own(base).with_categories(instructions)


def join_teacher(files: JobFiles, base: str, teacher: str, text: bool = True, ranks: bool = False) -> JoinedRows:
    """Return the rows of one teacher's responses with all that scored them. text, ranks: as of `join`."""
    rewards = {name: {teacher: paths[teacher]} for name, paths in inputs.by_folder(files.rewards).items()}
    every = inputs.likelihoods(files.chat, files.plain, files.distributions)
    likelihoods = {key: {teacher: paths[teacher]} for key, paths in every.items()}
    responses = {teacher: inputs.by_teacher(files.responses)[teacher]}
    return join(responses, rewards, likelihoods, text=text, ranks=ranks).with_own(base)


def join(
    responses: Mapping[str, Source],
    rewards: Mapping[str, Mapping[str, Source]],
    likelihoods: Mapping[LikelihoodKey, Mapping[str, Source]],
    corpus: Source | None = None,
    text: bool = True,
    ranks: bool = False,
) -> JoinedRows:
    """Join a corpus with what scored it, by (teacher, id, sample).

    Args:
        responses: {teacher: source}.
        rewards: {reward: {teacher: source}}.
        likelihoods: {(scorer, format): {teacher: source}}, and under (scorer, inputs.DISTRIBUTIONS + format) the distributions.
        corpus: the rows of a derived corpus; None takes all rows.
        text: hold the responses' text, which is most of the memory.
        ranks: add up the ranks of tokens.
    Raises:
        BadInput: a row is missing or occurs twice; the message names the file.
    """
    keys = _CorpusKeys(responses, corpus)
    columns = ["response_tokens", *(["response"] * text)]
    table = keys.take(responses, artifacts.RESPONSES, columns, None if text else _word_counts)
    texts = Texts(table["response"]) if text else None
    scores = [*_COUNTS, *_SUMS, "reason"]
    rank_sums = _rank_sums if ranks else None

    def scored(key: LikelihoodKey, sources: Mapping[str, Source]) -> Table:
        table = _arrays(keys.take(sources, artifacts.LIKELIHOODS, scores, rank_sums))
        if more_of := likelihoods.get((key[0], inputs.DISTRIBUTIONS + key[1])):
            more = keys.take(more_of, artifacts.DISTRIBUTIONS, _DISTRIBUTIONS)
            table |= {name: _floats(more[name]) for name in _DISTRIBUTIONS}
        return table

    return JoinedRows(
        id=keys.id,
        sample=keys.sample,
        teacher=keys.teacher,
        texts=texts,
        words=texts.counts.astype(float) if texts else table["words"].to_numpy(),
        response_tokens=_floats(table["response_tokens"]),
        rewards={
            name: _arrays(keys.take(sources, artifacts.REWARDS, ["reward", "reason"]))
            for name, sources in rewards.items()
        },
        likelihoods={
            key: scored(key, sources)
            for key, sources in likelihoods.items()
            if not key[1].startswith(inputs.DISTRIBUTIONS)
        },
        category=np.full(len(keys.id), ""),
    )


class _CorpusKeys:
    """The (id, sample, teacher) of the rows that a corpus takes, in order; `take` brings other tables into this order."""

    def __init__(self, responses: Mapping[str, Source], corpus: Source | None) -> None:
        self.keys = {teacher: _keys(source) for teacher, source in responses.items()}
        self.rows_of = _corpus_rows(responses, self.keys, corpus)
        parts = [
            self.keys[teacher].take(rows).append_column("teacher", pa.array([teacher] * len(rows)))
            for teacher, rows in self.rows_of.items()
        ]
        table = pa.concat_tables(parts) if parts else None
        if table is None or not len(table):
            names = ", ".join(map(artifacts.name_of, responses.values())) or "no responses"
            raise BadInput(f"{names}: no row; generate responses first")
        order = pc.sort_indices(table, [(name, "ascending") for name in (*_KEY, "teacher")])
        # where each row is in the teachers' tables, one after the other
        starts = np.cumsum([0, *(self.keys[teacher].num_rows for teacher in self.rows_of)])[:-1]
        positions = [start + np.asarray(rows) for start, rows in zip(starts, self.rows_of.values(), strict=True)]
        self.positions = np.concatenate(positions)[order]
        table = table.take(order)
        self.id = np.array(table["id"].to_pylist())
        self.sample = table["sample"].to_numpy()
        self.teacher = np.array(table["teacher"].to_pylist())

    def take(
        self,
        sources: Mapping[str, Source],
        schema: pa.Schema,
        columns: list[str],
        computed: Callable[[Source], dict[str, np.ndarray]] | None = None,
    ) -> pa.Table:
        """Return columns of the teachers' tables, one row per row of the corpus. computed: further columns of a source."""
        parts = [_aligned(sources[teacher], schema, columns, self.keys[teacher], computed) for teacher in self.rows_of]
        return pa.concat_tables(parts).take(self.positions)


def _keys(responses: Source) -> pa.Table:
    keys = artifacts.read(responses, artifacts.RESPONSES, _KEY)
    if keys.group_by(_KEY).aggregate([]).num_rows < keys.num_rows:
        _positions(responses, keys)  # raises, and names the row
    return keys


def _corpus_rows(
    responses: Mapping[str, Source], keys: Mapping[str, pa.Table], corpus: Source | None
) -> dict[str, Sequence[int] | np.ndarray]:
    """Return {teacher: positions of the rows that a corpus takes}."""
    if corpus is None:
        return {teacher: np.arange(table.num_rows) for teacher, table in keys.items()}
    rows_of: dict[str, list[int]] = {}
    positions: dict[str, dict[tuple[str, int], int]] = {}
    for row in artifacts.read(corpus, artifacts.CORPUS, [*_KEY, "teacher"]).to_pylist():
        id, sample, teacher = row["id"], row["sample"], row["teacher"]
        if teacher not in responses:
            raise BadInput(
                f"{artifacts.name_of(corpus)}: takes a row of teacher '{teacher}', who is not among its teachers; "
                "delete it and run again"
            )
        if teacher not in positions:
            positions[teacher] = _positions(responses[teacher], keys[teacher])
        if (id, sample) not in positions[teacher]:
            raise _missing(responses[teacher], 1, 1, id, sample)
        rows_of.setdefault(teacher, []).append(positions[teacher][id, sample])
    return dict(rows_of)


def _positions(source: Source, keys: pa.Table) -> dict[tuple[str, int], int]:
    """Return {(id, sample): row} of a table."""
    positions: dict[tuple[str, int], int] = {}
    for position, key in enumerate(zip(keys["id"].to_pylist(), keys["sample"].to_pylist(), strict=True)):
        if positions.setdefault(key, position) != position:
            raise BadInput(
                f"{artifacts.name_of(source)}: id '{key[0]}', sample {key[1]} occurs twice; delete it and run again"
            )
    return positions


def _missing(source: Source, missing: int, rows: int, id: str, sample: int) -> BadInput:
    many = f"{missing} of {rows} rows are missing"
    return BadInput(f"{artifacts.name_of(source)}: {many}, such as id '{id}', sample {sample}; delete it and run again")


def _aligned(
    source: Source,
    schema: pa.Schema,
    columns: list[str],
    keys: pa.Table,
    computed: Callable[[Source], dict[str, np.ndarray]] | None,
) -> pa.Table:
    """Return columns of a table in the order of the keys; computed(source) adds further ones."""
    own_keys, table = artifacts.read(source, schema, _KEY), _large(artifacts.read(source, schema, columns))
    for name, values in computed(source).items() if computed else ():
        table = table.append_column(name, pa.array(values))
    # what scores responses keeps their order; a table with other rows, or in another order, is looked up row by row
    if own_keys.equals(keys):
        return table
    positions = _positions(source, own_keys)
    requested = list(zip(keys["id"].to_pylist(), keys["sample"].to_pylist(), strict=True))
    if missing := [key for key in requested if key not in positions]:
        raise _missing(source, len(missing), len(requested), *missing[0])
    return table.take([positions[key] for key in requested])


def _large(table: pa.Table) -> pa.Table:
    """Return the table with large strings: texts of more than 2 GB cannot be reordered otherwise."""
    kinds = [pa.large_string() if kind == pa.string() else kind for kind in table.schema.types]
    return table.cast(pa.schema(zip(table.column_names, kinds, strict=True)))


def _arrays(table: pa.Table) -> Table:
    columns: Table = {name: _floats(table[name]) for name in table.column_names if name != "reason"}
    reasons = pc.fill_null(table["reason"], "").combine_chunks().dictionary_encode()
    texts = reasons.dictionary.to_pylist()
    order = sorted(range(len(texts)), key=lambda i: texts[i] != "")  # "" first, as the code 0
    code = np.empty(len(texts), np.int32)
    code[order] = np.arange(len(texts)) + ("" not in texts)
    ordered = [texts[i] for i in order]
    return {**columns, "reason": Reasons(code[reasons.indices.to_numpy()], ordered if "" in texts else ["", *ordered])}


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    return column.cast(pa.float64()).to_numpy()  # null becomes NaN


def _word_counts(responses: Source) -> dict[str, np.ndarray]:
    """Return {"words": [rows]}: the number of words, 0 for a response without text."""
    parts = [np.empty(0)]
    for batch in artifacts.batches(responses, artifacts.RESPONSES, ["response"]):
        trimmed = pc.utf8_trim_whitespace(batch["response"])
        counts = pc.list_value_length(pc.utf8_split_whitespace(trimmed))
        parts.append(pc.if_else(pc.equal(trimmed, ""), 0, counts).to_numpy(zero_copy_only=False).astype(float))
    return {"words": np.concatenate(parts)}


def _rank_sums(likelihoods: Source) -> dict[str, np.ndarray]:
    """Return {"ranks_answer": [rows], "ranks_end": [rows]}: sums of the ranks of the tokens, NaN where they are not stored."""
    parts = [np.empty((0, 2))]
    for batch in artifacts.batches(likelihoods, artifacts.LIKELIHOODS, ["n_answer", "token_ranks"]):
        lists = batch["token_ranks"]
        lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
        sums = np.r_[0, np.cumsum(np.minimum(lists.flatten().to_numpy(zero_copy_only=False), RANK_CAP))]
        stop = np.cumsum(lengths)
        start, answer = stop - lengths, pc.fill_null(batch["n_answer"], 0).to_numpy(zero_copy_only=False)
        end = np.minimum(start + answer, stop)
        part = np.stack([sums[end] - sums[start], sums[stop] - sums[end]], axis=1).astype(float)
        part[pc.is_null(lists).to_numpy(zero_copy_only=False)] = np.nan
        parts.append(part)
    answer, end = np.concatenate(parts).T
    return {"ranks_answer": answer, "ranks_end": end}
