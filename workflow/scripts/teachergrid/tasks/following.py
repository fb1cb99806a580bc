"""Check whether an answer follows the instructions of its prompt, each by a rule of its own: IFEval and IFBench.

The rules are those of the package if-verifiable, without its loader of data. Some draw random numbers (which letter to count, where the
prompt names none) and the detection of languages does, too: both begin anew for each item, so that equal answers get equal verdicts.

An answer is checked as it is (strict), and in eight forms, of which one has to do (loose): without its first line, its last line or
both, each also without asterisks. Nothing but a thinking block is removed before.
"""

import importlib
import random
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import BadInput
from . import limited
from .verify import Asked, Checked, columns_of


def check(benchmark: str, answers: Sequence[Asked], checker: dict) -> list[Checked]:
    """Return what the checker says of answers; right is one that strictly follows all instructions.

    Args:
        benchmark: ifeval or ifbench.
        answers: their references hold the columns key, prompt, instruction_id_list and kwargs.
    Raises:
        BadInput: a package or the data of NLTK is missing, and for an item with an instruction that has no rule.
    """
    items = [_item(one.id, columns_of(one), one.text) for one in answers]
    limits = limited.Limits(checker["seconds"], checker["megabytes"])
    checked = []
    for item, result in zip(items, limited.results(benchmark, items, limits), strict=True):
        number = len(item["instruction_id_list"])
        if result.failed is not None and result.failed.startswith(f"{limited.BROKEN}: LookupError"):
            raise BadInput(
                f"checker of kind '{benchmark}': NLTK lacks data ({result.failed[-160:]}); where there is a network, run "
                "`python -m nltk.downloader punkt_tab stopwords averaged_perceptron_tagger_eng`, or set NLTK_DATA to its folder"
            )
        if result.failed is not None and result.failed.startswith(f"{limited.BROKEN}: BadInput"):
            raise BadInput(f"item {item['key']}: {result.failed.partition('BadInput: ')[2]}")
        strict, loose = (0, 0) if result.failed is not None else result.value
        measures = {
            "prompt_strict": (float(strict == number), 1.0),
            "instruction_strict": (float(strict), float(number)),
            "prompt_loose": (float(loose == number), 1.0),
            "instruction_loose": (float(loose), float(number)),
        }
        word = result.failed or f"{strict} of {number} followed, {loose} loosely"
        checked.append(Checked(float(strict == number), word, None, measures))
    return checked


def _item(id: str, columns: dict[str, Any], text: str) -> dict[str, Any]:
    """Return an item for the process that checks. Raises BadInput where columns are missing or do not fit together."""
    for name in ("key", "prompt", "instruction_id_list", "kwargs"):
        if name not in columns:
            raise BadInput(
                f"item {id}: its answer lacks '{name}'; write `fields: {{answer: {{columns: [key, prompt, instruction_id_list, kwargs]}}}}`"
            )
    ids, kwargs = columns["instruction_id_list"], columns["kwargs"]
    if not isinstance(ids, list) or not isinstance(kwargs, list) or not ids or len(ids) != len(kwargs):
        raise BadInput(f"item {id}: instruction_id_list and kwargs must be lists of the same length, at least 1")
    return {**columns, "text": text}


def opened(benchmark: str) -> Callable[[dict[str, Any]], tuple[int, int]]:
    """Return the function that counts how many instructions an answer follows, strictly and loosely."""
    import langdetect
    import nltk

    nltk.download = lambda *_, **__: False  # the rules ask for data when they are imported
    langdetect.DetectorFactory.seed = 0
    common: Any = importlib.import_module("if_verifiable.common")
    # the package also removes blank space at both ends; in the official checkers an empty first or last line is a line
    common.strip_thinking = without_thinking
    rules = importlib.import_module(f"if_verifiable.{benchmark}.instructions_registry").INSTRUCTION_DICT

    def one(item: dict[str, Any]) -> tuple[int, int]:
        for name in item["instruction_id_list"]:
            if name not in rules:
                raise BadInput(f"there is no rule for the instruction '{name}' in {benchmark}")
        random.seed(f"0:{item['key']}")
        strict = loose = 0
        for name, kwargs in zip(item["instruction_id_list"], item["kwargs"], strict=True):
            try:
                found, _ = common.evaluate_instructions(item["text"], [name], [_numbers(kwargs)], item["prompt"], rules)
            except Exception as error:
                if type(error) is LookupError:  # NLTK's, for data that it lacks
                    raise
                continue  # some rules fail on odd answers, such as one without letters: these follow no rule
            strict += sum(result.strict_pass for result in found)
            loose += sum(result.loose_pass for result in found)
        return strict, loose

    return one


def without_thinking(text: str) -> str:
    """Return an answer without its thinking block; "" where that never ends. Nothing else of it changes."""
    if "</think>" in text:
        return text.split("</think>", 1)[-1].lstrip()
    return "" if text.lstrip().startswith("<think>") else text


def _numbers(kwargs: dict[str, Any] | None) -> dict[str, Any]:
    """Return the arguments of a rule with whole numbers as such: tables keep them as 3.0 in a column that has nulls."""
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in (kwargs or {}).items()
    }
