"""The prompts of judges: ours, one text file for each version in the folder `prompts`, and where the official ones lie.

A prompt has its messages between <|im_start|>role and <|im_end|>, as AlpacaEval's files have. A file never changes once a judge was asked
with it: a better prompt is a file with the next number, since a prompt's text is part of what a verdict is made from.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..errors import BadInput

if TYPE_CHECKING:
    from ..models.templates import Message

FOLDER = Path(__file__).parent / "prompts"
_MESSAGE = re.compile(r"(?s)<\|im_start\|>(system|user|assistant)\n(.*?)\n?<\|im_end\|>")
_PLACE = re.compile(r"\{(\w+)\}")
# the names that a prompt may have for the same thing: ours (and AlpacaEval's), and Arena-Hard's
_PLACES = {"QUESTION": "instruction", "ANSWER_A": "output_1", "ANSWER_B": "output_2"}


class Official(NamedTuple):
    """Where the prompt of a benchmark's own judge lies."""

    repository: str  # on GitHub
    commit: str
    path: str
    licence: str


OFFICIAL = {
    "alpaca_eval2": Official(
        "tatsu-lab/alpaca_eval",
        "cd543a149df89434d8a54582c0151c0b945c3d20",
        "src/alpaca_eval/evaluators_configs/alpaca_eval_clf_gpt4_turbo/alpaca_eval_clf.txt",
        "Apache-2.0",
    ),
    # the system prompts; the user's prompt is `prompt_template` in config/arena-hard-v2.0.yaml
    "arena_hard": Official(
        "lmarena/arena-hard-auto", "196f6b826783b3da7310e361a805fa36f0be83f3", "utils/judge_utils.py", "Apache-2.0"
    ),
    "followbench": Official(
        "YJiangcm/FollowBench",
        "6278f4c1377b4eafab737267b8b21acd52ea0e52",
        "code/gpt4_based_evaluation.py",
        "Apache-2.0",
    ),
}


def versions(name: str) -> list[int]:
    """Return the versions of a prompt, oldest first."""
    return sorted(int(path.name.split(".")[-2]) for path in FOLDER.glob(f"{name}.*.txt"))


def load(name: str, version: int | None = None) -> str:
    """Return the text of a prompt. version: None: the newest. Raises BadInput where there is no such version."""
    known = versions(name)
    if not known or (version is not None and version not in known):
        raise BadInput(f"prompt_version {version}: the prompt {name} has the versions {', '.join(map(str, known))}")
    return (FOLDER / f"{name}.{version or known[-1]}.txt").read_text(encoding="utf-8")


def check(where: str, text: str) -> None:
    """Raise BadInput if a text is no prompt of a judge. where: its key or file, for the message."""
    messages = _MESSAGE.findall(text)
    if not messages or messages[-1][0] != "user":
        raise BadInput(f"{where}: no message of the user at its end; write <|im_start|>user, the text, <|im_end|>")
    places = set(_PLACE.findall("".join(content for _, content in messages)))
    if not places & {"output_1", "ANSWER_A"}:
        raise BadInput(f"{where}: has no place for the answer; write {{output_1}} where it belongs")


def filled(
    text: str, instruction: str, shown: Sequence[str], steps: Sequence[str] = (), count: int = 0
) -> "list[Message]":
    """Return the messages of a prompt with everything in its place. What is put in is never read as a place itself.

    Args:
        text: of the prompt.
        shown: the answers in the order shown.
        steps: FollowBench's instructions, from the plain one to the one that was answered. count: of their constraints.
    """
    values = {
        "instruction": instruction,
        "output_1": shown[0],
        "output_2": shown[1],
        "steps": _steps(steps),
        "count": str(count),
    }

    def value(match: re.Match[str]) -> str:
        return values.get(_PLACES.get(match[1], match[1]), match[0])

    return [{"role": role, "content": _PLACE.sub(value, content)} for role, content in _MESSAGE.findall(text)]


def _steps(steps: Sequence[str]) -> str:
    """Return the instructions one below the other, each with the number of constraints that it has."""
    names = ["plain instruction", "with 1 constraint", *(f"with {n} constraints" for n in range(2, len(steps)))]
    return "\n\n".join(f"<step {name}>\n{text}\n</step>" for name, text in zip(names, steps, strict=False))
