"""Which instructions a benchmark also holds: equal ones, those with a long run of words in common, and near-duplicates.

Texts are compared after NFKC and case folding, as words (runs of letters and digits), so punctuation and layout do not
count. All turns count except system messages. A pair is reported with the first of three ways that holds:

- equal: the same words.
- overlap: a run of 13 words in common (Brown et al. 2020, arXiv 2005.14165, appendix C). A run that more than 10 items of
  one task have is boilerplate and does not count.
- near: Jaccard similarity of the sets of runs of 5 characters at least 0.8, for texts of 20 characters or more. It is exact
  and no MinHash estimate: a prefix filter (Wang et al. 2012, AdaptJoin) leaves few pairs to compare.

Limits: translations and paraphrases are not found; languages without spaces have no runs of words; prompts of one template
that differ in a number are near. Each instruction is decided by itself, whatever else is in its set.
"""

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ..store import artifacts
from . import loading
from .files import Notes

WORDS = 13
BOILERPLATE = 10  # items
CHARACTERS = 5
SHORTEST = 20  # characters of a text that can be a near-duplicate
SIMILAR = 0.8
SHARED = 8  # rare runs of characters in common; the shortest text has 16 runs, so two similar ones share more
TABLE_BITS = 24
TABLE_SHIFT = np.uint64(64 - TABLE_BITS)
WAYS = ("equal", "overlap", "near")
_WORD = re.compile(r"[^\W_]+")


class Text(NamedTuple):
    """The text of an instruction, or of an item of a task."""

    id: str
    words: tuple[str, ...]  # in the form that is compared
    shown: str
    task: str = ""  # of an item


Pairs = Iterator[tuple[int, int, float]]  # (index of an instruction, index of an item, similarity)
NOTHING = Text("", (), "")


def clean(
    tasks: dict[str, pa.Table], loaded: loading.Loaded, entry: dict, name: str
) -> tuple[pa.Table, list[dict], Notes]:
    """Return (instructions of a set without those that a task also holds, what was removed: rows of `find`, notes of reading).

    They are removed before the draw, so a sample has its full size. tasks: {name: table of artifacts.INSTRUCTIONS}; the
    other arguments, and errors, are those of loading.draw.
    """
    removed = find(artifacts.table(loaded.items, artifacts.INSTRUCTIONS), tasks) if tasks else []
    return loading.draw(loaded, entry, name, {row["id"] for row in removed}, tasks), removed, loaded.notes


def find(instructions: pa.Table, tasks: dict[str, pa.Table]) -> list[dict]:
    """Return {"id", "task", "item", "how", "similarity", "instruction", "prompt"} of each instruction and task that share text.

    instructions, tasks: tables of artifacts.INSTRUCTIONS. similarity: Jaccard where `how` is near, else None. Of several
    items the first by way, similarity and id is reported. In the order of the instructions, then of the tasks' names.
    """
    prompts = texts(instructions)
    items = [text._replace(task=name) for name, table in sorted(tasks.items()) for text in texts(table)]
    matches = defaultdict(list)
    for order, way in enumerate((equal, overlapping, near)):
        for place, item, similarity in way(prompts, items):
            matches[place, items[item].task].append((order, -similarity, items[item].id, item))
    rows = []
    for (place, task), candidates in sorted(matches.items()):
        order, distance, id, item = min(candidates)
        rows.append(
            {
                "id": prompts[place].id,
                "task": task,
                "item": id,
                "how": WAYS[order],
                "similarity": -distance if WAYS[order] == "near" else None,
                "instruction": prompts[place].shown,
                "prompt": items[item].shown,
            }
        )
    return rows


def texts(instructions: pa.Table) -> list[Text]:
    """Return the text of each row of artifacts.INSTRUCTIONS: its turns except system messages."""
    rows = zip(instructions["id"].to_pylist(), instructions["messages"].to_pylist(), strict=True)
    joined = [(id, "\n".join(turn["content"] for turn in turns if turn["role"] != "system")) for id, turns in rows]
    return [Text(id, normal(text), text) for id, text in joined]


def normal(text: str) -> tuple[str, ...]:
    """Return the words of a text in the form that is compared."""
    return tuple(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def equal(prompts: list[Text], items: list[Text]) -> Pairs:
    """Yield (instruction, item, 1) of those with the same words; a text without words equals none."""
    by_words = defaultdict(list)
    for index, item in enumerate(items):
        by_words[item.words].append(index)
    for place, text in enumerate(prompts):
        for index in by_words.get(text.words, ()) if text.words else ():
            yield place, index, 1


# --- runs of words


def overlapping(prompts: list[Text], items: list[Text]) -> Pairs:
    """Yield (instruction, item, 1) of those that share a run of 13 words, unless it is boilerplate of the item's task."""
    by_task: dict[tuple, set[int]] = defaultdict(set)
    runs: dict[tuple, list[int]] = defaultdict(list)
    for place, item in enumerate(items):
        for run in _runs(item.words):
            by_task[item.task, run].add(place)
    for (_, run), places in by_task.items():
        runs[run] += places if len(places) <= BOILERPLATE else ()
    vocabulary = {word for run, places in runs.items() if places for word in run}
    for place, text in enumerate(prompts):
        for index in sorted({index for run in _known_runs(text.words, vocabulary) for index in runs.get(run, ())}):
            yield place, index, 1


def _runs(words: tuple[str, ...]) -> set[tuple[str, ...]]:
    return {words[start : start + WORDS] for start in range(len(words) - WORDS + 1)}


def _known_runs(words: tuple[str, ...], vocabulary: set[str]) -> Iterator[tuple[str, ...]]:
    """Yield the runs whose words are all in the vocabulary: most texts have few."""
    length = 0
    for end, word in enumerate(words, 1):
        length = length + 1 if word in vocabulary else 0
        if length >= WORDS:
            yield words[end - WORDS : end]


# --- runs of characters


def near(prompts: list[Text], items: list[Text]) -> Pairs:
    """Yield (instruction, item, Jaccard similarity) of those that are similar.

    Prefix filter: sort the members of all sets by any one order, here from rare to frequent (by the number of items that
    have the run). If two sets have a similarity of t or more, their first (1 - t) |set| + k members share at least k.
    """
    item_runs = [_shingles(item) for item in items]
    item_hashes, count = np.unique(np.concatenate([*item_runs, _shingles(NOTHING)]), return_counts=True)
    # most texts have many runs that no item has; a small table finds them at once
    is_possible = np.zeros(1 << TABLE_BITS, bool)
    is_possible[item_hashes >> TABLE_SHIFT] = True
    index = defaultdict(list)
    for place, runs in enumerate(item_runs):
        for run in _rarest(runs, item_hashes, count):
            index[run].append(place)
    for place, text in enumerate(prompts):
        runs = _shingles(text)
        if np.count_nonzero(is_possible[runs >> TABLE_SHIFT]) < SIMILAR * len(runs):
            continue
        shared = Counter(chain.from_iterable(index.get(run, ()) for run in _rarest(runs, item_hashes, count)))
        for item in sorted(item for item, times in shared.items() if times >= SHARED):
            n_shared = len(np.intersect1d(runs, item_runs[item], assume_unique=True))
            similarity = n_shared / (len(runs) + len(item_runs[item]) - n_shared)
            if similarity >= SIMILAR:
                yield place, item, similarity


def _shingles(text: Text) -> np.ndarray:
    """Return the distinct runs of characters of a text as sorted hashes; none of a short text."""
    joined = " ".join(text.words)
    if len(joined) < SHORTEST:
        return np.zeros(0, np.uint64)
    codes = np.frombuffer(joined.encode("utf-32-le"), np.uint32).astype(np.uint64)
    hashed = np.zeros(len(codes) - CHARACTERS + 1, np.uint64)
    for k in range(CHARACTERS):
        # 21 bits hold a character; an odd factor turns their sums into hashes of 64
        hashed = hashed * np.uint64(0x9E3779B97F4A7C15) + codes[k : len(hashed) + k]
    return np.unique(hashed)


def _rarest(runs: np.ndarray, item_hashes: np.ndarray, count: np.ndarray) -> list[int]:
    """Return those of a set's rarest runs (see `near`) that some item has, from rare to frequent. Runs of no item are rarest.

    item_hashes: sorted hashes of all items' runs; count: how many items have each.
    """
    if not len(runs) or not len(item_hashes):
        return []
    first = len(runs) - math.ceil(SIMILAR * len(runs)) + SHARED
    positions = np.minimum(np.searchsorted(item_hashes, runs), len(item_hashes) - 1)
    is_known = item_hashes[positions] == runs
    size = first - int(np.count_nonzero(~is_known))
    if size <= 0:
        return []
    positions = positions[is_known]
    return item_hashes[positions[np.lexsort((positions, count[positions]))[:size]]].tolist()
