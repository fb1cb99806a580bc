"""Diversity of the responses of a corpus, from their texts together.

Words are separated by blanks. The time grows in proportion to the text (and a sort); none needs a model.
"""

import zlib
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK = 32768  # rows at once
BUCKETS = 20  # bits of the hash of a word pair in self_similarity
# odd and random: sums of word numbers times these differ between n-grams (but for a chance of about pairs / 2^64)
MULTIPLIERS = np.array([0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F, 0xE7037ED1A0B428DB], np.uint64)


class Texts:
    """The texts of n responses. rows: strings."""

    def __init__(self, rows: "pa.ChunkedArray") -> None:
        self.rows = rows

    def blocks(self) -> Iterator["pa.StringArray"]:
        """Yield the texts as arrays of at most BLOCK."""
        for chunk in self.rows.chunks:
            yield from (chunk.slice(start, BLOCK) for start in range(0, len(chunk), BLOCK))

    @cached_property
    def words(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Per block the numbers of its words, one row after the other, and how many each row has."""
        import pyarrow.compute as pc

        numbers, blocks = {"": 0}, []
        for block in self.blocks():
            split = pc.utf8_split_whitespace(block)
            words = split.flatten().dictionary_encode()
            number = [numbers.setdefault(word, len(numbers)) for word in words.dictionary.to_pylist()]
            number = np.array(number, np.int32)[words.indices.to_numpy()]
            # blanks at either end of a text split off an empty word
            count, empty = split.value_lengths().to_numpy().astype(np.int64), np.flatnonzero(number == 0)
            np.subtract.at(count, np.searchsorted(np.cumsum(count), empty, "right"), 1)
            blocks.append((np.delete(number, empty), count))
        return blocks

    @property
    def counts(self) -> np.ndarray:
        """The number of words of each row, [n]."""
        return np.concatenate([np.empty(0, np.int64), *(counts for _, counts in self.words)])

    def forget(self) -> None:
        """Free the words; the next use computes them again."""
        self.__dict__.pop("words", None)

    def ngrams(self, n: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield per block (64-bit codes of the runs of n words within a row, the row of each)."""
        for words, counts in self.words:
            row, runs = np.repeat(np.arange(len(counts)), counts), max(len(words) - n + 1, 0)
            code = np.zeros(runs, np.uint64)
            for k in range(n):
                code += words[k : k + runs].astype(np.uint64) * MULTIPLIERS[k]
            within_row = row[:runs] == row[n - 1 : n - 1 + runs]
            yield code[within_row], row[:runs][within_row]


def distinct(texts: Texts, n: int) -> float:
    """Return distinct runs of n adjacent words over all such runs, in 0..1; NaN without any.

    Li et al. 2016, "A Diversity-Promoting Objective Function for Neural Conversation Models", section 5.2 (distinct-1, -2).
    """
    total, codes, code = 0, [np.empty(0, np.uint64)], None
    for code, _ in texts.ngrams(n):
        total += len(code)
        codes.append(_unique(code))
    all_codes = np.concatenate(codes)
    del codes, code
    all_codes.sort()
    return (1 + np.count_nonzero(all_codes[1:] != all_codes[:-1])) / total if total else np.nan


def _unique(values: np.ndarray) -> np.ndarray:
    values = np.sort(values)  # several times as fast as np.unique, which hashes
    return values[np.r_[True, values[1:] != values[:-1]]] if len(values) else values


def self_similarity(texts: Texts) -> float:
    """Return the mean cosine over all pairs of responses; NaN with fewer than two responses of two words or more.

    A response is represented by how often each pair of adjacent words occurs in it.

    With unit vectors x_i and T = sum x_i, the sum over i != j of x_i . x_j is |T|^2 - rows, so that no pair is formed.
    """
    total, n = np.zeros(1 << BUCKETS), 0
    for code, row in texts.ngrams(2):
        keys = np.sort(row.astype(np.uint64) << np.uint64(BUCKETS) | code >> np.uint64(64 - BUCKETS))
        first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]][: len(keys)])
        count = np.diff(np.r_[first, len(keys)])
        row, bucket = (
            (keys[first] >> np.uint64(BUCKETS)).astype(int),
            (keys[first] & np.uint64(len(total) - 1)).astype(int),
        )
        norm = np.sqrt(np.bincount(row, count**2.0))
        total += np.bincount(bucket, count / norm[row], len(total))
        n += int(np.count_nonzero(norm))
    return max(float(total @ total) - n, 0.0) / (n * (n - 1)) if n > 1 else np.nan


def compression(texts: Texts) -> float:
    """Return bytes after zlib (level 1) over bytes before, of the responses one after the other; NaN without text."""
    packer, raw, packed = zlib.compressobj(1), 0, 0
    for block in texts.blocks():
        data = "".join(f"{text}\n" for text in block.to_pylist()).encode()
        raw, packed = raw + len(data), packed + len(packer.compress(data))
    return (packed + len(packer.flush())) / raw if raw > len(texts.rows) else np.nan
