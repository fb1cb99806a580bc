"""What SFT sees: choose one response per instruction over several teachers, and make training examples of a corpus."""

import hashlib

import numpy as np

from . import artifacts
from .errors import BadInput
from .frames import frame, read
from .metrics import own_variant, per_response, sign


def select(entry: dict, metric: dict, frames: dict, seed: int) -> list[dict]:
    """Return the rows of artifacts.CORPUS: to each instruction the response that the metric ranks best or worst, or a
    random one.

    entry: the corpus' settings; metric: the entry it chooses by (its own variant); frames: {teacher: Frame}; seed
    decides ties and random choices, together with instruction, teacher and sample, so that neither the order of teachers
    nor another instruction moves them. Responses without text and undefined values are never chosen; instructions
    without any other are left out, and their number is printed.
    """
    wanted = {"best": 1, "worst": -1, "random": 0}[entry["choose"]] * sign(metric)
    candidates = {}
    for teacher, rows in sorted(frames.items()):
        values = np.where(rows.words > 0, per_response(metric, rows)[0], np.nan)
        for id, sample, value in zip(rows.id.tolist(), rows.sample.tolist(), values.tolist(), strict=True):
            candidates.setdefault(id, []).append((value, teacher, sample))
    chosen, name = [], own_variant(metric)
    for id, all_of_it in sorted(candidates.items()):
        defined = [candidate for candidate in all_of_it if not np.isnan(candidate[0])]
        if not defined:
            continue
        top = max(wanted * value for value, _, _ in defined)
        tied = [candidate for candidate in defined if wanted * candidate[0] == top]
        value, teacher, sample = min(tied, key=lambda candidate: _lot(seed, id, *candidate[1:]))
        why = f"{entry['choose']} of {len(defined)} by {name}: {value:.3g}"
        chosen.append({"id": id, "sample": sample, "teacher": teacher, "why": why})
    if len(chosen) < len(candidates):
        print(
            f"{len(candidates) - len(chosen)} of {len(candidates)} instructions left out: no response with a value of {name}"
        )
    return chosen


def _lot(seed: int, id: str, teacher: str, sample: int) -> bytes:
    return hashlib.sha256(f"{seed}/{id}/{teacher}/{sample}".encode()).digest()


def examples(responses: dict, corpus, instructions: list) -> tuple[list[tuple], dict]:
    """Return ([(messages, response, teacher, id, sample), ...], counts of rows left out by reason) of a corpus.

    responses: {teacher: source}; corpus: source of a derived corpus' rows, or None for all rows of one teacher;
    instructions: sources of the instruction sets. Raises BadInput where a row has no instruction or no response.
    """
    messages = {}
    for source in instructions:
        table = read(source, artifacts.INSTRUCTIONS, ["id", "messages"])
        messages.update(zip(table["id"].to_pylist(), table["messages"].to_pylist(), strict=True))
    rows = frame(responses, {}, {}, corpus)
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
