"""Which instructions a benchmark also holds: equal ones, those with a long run of words in common, and near-duplicates.

Texts are compared after NFKC and case folding, as words (runs of letters and digits), so punctuation and layout do not
count. Of an instruction all turns but system messages count, of an item the same. Three ways, the first that holds is told:

- equal: the same words.
- overlap: a run of 13 words in common (Brown et al. 2020, arXiv 2005.14165, appendix C). A run that more than 10 items of
  one task have is its boilerplate and does not count.
- near: Jaccard similarity of the sets of runs of 5 characters at least 0.8, and 20 characters or more. Exact: no MinHash
  estimates it, since a prefix filter (Wang et al. 2012, AdaptJoin) leaves few pairs to compare.

Limits: a translation or a paraphrase is not found; languages without spaces have no runs of words; templated prompts that differ in a number are near.
Everything is decided for one instruction at a time, so what else is in its set does not matter.
"""

import math
import re
import unicodedata
from collections import Counter, defaultdict
from itertools import chain
from typing import NamedTuple

import numpy as np
import pyarrow as pa

WORDS = 13
BOILERPLATE = 10  # items
CHARACTERS = 5
SHORTEST = 20  # characters of a text that can be a near-duplicate
SIMILAR = 0.8
SHARED = 8  # rare runs of characters; the shortest text has 16 runs, so two similar ones share more
TABLE_BITS = 24
TABLE_SHIFT = np.uint64(64 - TABLE_BITS)
WAYS = ("equal", "overlap", "near")
_WORD = re.compile(r"[^\W_]+")


class Text(NamedTuple):
    id: str
    words: tuple[str, ...]
    shown: str
    task: str = ""  # of an item


NOTHING = Text("", (), "")


def find(instructions: pa.Table, tasks: dict[str, pa.Table]) -> list[dict]:
    """Return {"id", "task", "item", "how", "similarity", "instruction", "prompt"} of each instruction and task that share text.

    instructions, tasks: tables of artifacts.INSTRUCTIONS. similarity: Jaccard where it is `near`, else null. Of several
    items the first by way, similarity and id is told. In the order of the instructions, then of the tasks' names.
    """
    mine = texts(instructions)
    items = [text._replace(task=name) for name, table in sorted(tasks.items()) for text in texts(table)]
    found = defaultdict(list)
    for order, way in enumerate((equal, overlapping, near)):
        for place, item, similarity in way(mine, items):
            found[place, items[item].task].append((order, -similarity, items[item].id, item))
    rows = []
    for (place, task), candidates in sorted(found.items()):
        order, similarity, id, item = min(candidates)
        shown = {"instruction": mine[place].shown, "prompt": items[item].shown}
        how = {"how": WAYS[order], "similarity": -similarity if WAYS[order] == "near" else None}
        rows.append({"id": mine[place].id, "task": task, "item": id, **how, **shown})
    return rows


def texts(instructions: pa.Table) -> list[Text]:
    rows = zip(instructions["id"].to_pylist(), instructions["messages"].to_pylist(), strict=True)
    joined = [(id, "\n".join(turn["content"] for turn in turns if turn["role"] != "system")) for id, turns in rows]
    return [Text(id, normal(text), text) for id, text in joined]


def normal(text: str) -> tuple[str, ...]:
    """Return the words of a text in the form that is compared."""
    return tuple(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def equal(mine: list[Text], items: list[Text]):
    """Yield (instruction, item, 1) of those with the same words; a text without words equals none."""
    by_words = defaultdict(list)
    for place, item in enumerate(items):
        by_words[item.words].append(place)
    for place, text in enumerate(mine):
        for item in by_words.get(text.words, ()) if text.words else ():
            yield place, item, 1


# --- runs of words


def overlapping(mine: list[Text], items: list[Text]):
    """Yield (instruction, item, 1) of those that have a run of 13 words in common which is no boilerplate of its task."""
    by_task, runs = defaultdict(set), defaultdict(list)
    for place, item in enumerate(items):
        for run in _runs(item.words):
            by_task[item.task, run].add(place)
    for (_, run), places in by_task.items():
        runs[run] += places if len(places) <= BOILERPLATE else ()
    vocabulary = {word for run, places in runs.items() if places for word in run}
    for place, text in enumerate(mine):
        for item in sorted({item for run in _known_runs(text.words, vocabulary) for item in runs.get(run, ())}):
            yield place, item, 1


def _runs(words: tuple) -> set[tuple]:
    return {words[at : at + WORDS] for at in range(len(words) - WORDS + 1)}


def _known_runs(words: tuple, vocabulary: set):
    """Yield the runs of words of which all are in the vocabulary: most texts have few."""
    length = 0
    for at, word in enumerate(words, 1):
        length = length + 1 if word in vocabulary else 0
        if length >= WORDS:
            yield words[at - WORDS : at]


# --- runs of characters


def near(mine: list[Text], items: list[Text]):
    """Yield (instruction, item, Jaccard similarity) of those that are similar.

    Two sets with a similarity of t or more have k of the rarest (1 - t) |set| + k members of each in common, whatever the
    order that rarest stands for: here rare among the items.
    """
    theirs = [_shingles(item) for item in items]
    known, count = np.unique(np.concatenate([*theirs, _shingles(NOTHING)]), return_counts=True)
    # most texts have too many runs that no item has, which a small table tells at once
    maybe = np.zeros(1 << TABLE_BITS, bool)
    maybe[known >> TABLE_SHIFT] = True
    index = defaultdict(list)
    for place, runs in enumerate(theirs):
        for run in _rarest(runs, known, count):
            index[run].append(place)
    for place, text in enumerate(mine):
        runs = _shingles(text)
        if np.count_nonzero(maybe[runs >> TABLE_SHIFT]) < SIMILAR * len(runs):
            continue
        shared = Counter(chain.from_iterable(index.get(run, ()) for run in _rarest(runs, known, count)))
        for item in sorted(item for item, times in shared.items() if times >= SHARED):
            both = len(np.intersect1d(runs, theirs[item], assume_unique=True))
            similarity = both / (len(runs) + len(theirs[item]) - both)
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


def _rarest(runs: np.ndarray, known: np.ndarray, count: np.ndarray) -> list[int]:
    """Return the known ones among the first members of a set, in the order from rare to frequent; unknown ones are rarest."""
    if not len(runs) or not len(known):
        return []
    first = len(runs) - math.ceil(SIMILAR * len(runs)) + SHARED
    at = np.minimum(np.searchsorted(known, runs), len(known) - 1)
    mine = known[at] == runs
    left = first - int(np.count_nonzero(~mine))
    if left <= 0:
        return []
    at = at[mine]
    return known[at[np.lexsort((at, count[at]))[:left]]].tolist()
