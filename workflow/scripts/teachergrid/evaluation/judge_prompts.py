"""The prompts of judges: ours, one text file for each version in the folder `prompts`, and where the official ones lie.

A prompt has its messages between <|im_start|>role and <|im_end|>, as AlpacaEval's files have. A file never changes once a judge was asked
with it: a better prompt is a file with the next number, since a prompt's text is part of what a verdict is made from.
"""

import ast
import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import yaml

from ..errors import BadInput
from ..hub import github
from ..hub.github import File

if TYPE_CHECKING:
    from ..models.templates import Message

FOLDER = Path(__file__).parent / "prompts"
_MESSAGE = re.compile(r"(?s)<\|im_start\|>(system|user|assistant)\n(.*?)\n?<\|im_end\|>")
_PLACE = re.compile(r"\{(\w+)\}")
# the names that a prompt may have for the same thing: ours (and AlpacaEval's), and Arena-Hard's
_PLACES = {"QUESTION": "instruction", "ANSWER_A": "output_1", "ANSWER_B": "output_2"}


class Official(NamedTuple):
    """The prompt of a benchmark's own judge. files: that hold it. licence: of these. read: the prompt, from the files' texts."""

    files: tuple[File, ...]
    licence: str
    read: Callable[[list[str]], str]


def _arena(category: str) -> Callable[[list[str]], str]:
    """Return what finds the prompt of a category in Arena-Hard's program and settings. The program is read, and never run."""

    def read(texts: list[str]) -> str:
        program, settings = texts
        values = {
            target.id: statement.value
            for statement in ast.parse(program).body
            if isinstance(statement, ast.Assign)
            for target in statement.targets
            if isinstance(target, ast.Name)
        }
        of_category = _member(values["JUDGE_SETTINGS"], category)
        system = _member(of_category, "system_prompt")
        system = values[system.id] if isinstance(system, ast.Name) else system
        user = yaml.safe_load(settings)["prompt_template"]
        return f"<|im_start|>system\n{ast.literal_eval(system)}\n<|im_end|>\n<|im_start|>user\n{user}\n<|im_end|>\n"

    return read


def _member(mapping: ast.expr, key: str) -> ast.expr:
    assert isinstance(mapping, ast.Dict)
    keys = [one.value if isinstance(one, ast.Constant) else None for one in mapping.keys]
    return mapping.values[keys.index(key)]


_ALPACA = "tatsu-lab/alpaca_eval", "cd543a149df89434d8a54582c0151c0b945c3d20"
_ARENA = "lmarena/arena-hard-auto", "196f6b826783b3da7310e361a805fa36f0be83f3"
_ARENA_FILES = (
    File(*_ARENA, "utils/judge_utils.py", "cbb093f4fc27408d8447e946392f26f98538b1e3950f574aca91a0f7595167b4"),
    File(*_ARENA, "config/arena-hard-v2.0.yaml", "ee68e5c6ac98a79720bf11014fc3f7fc3c3e5899153b3b08efe3db0e174215a0"),
)
# by the names of our prompts. FollowBench's is put together by its program (YJiangcm/FollowBench, code/gpt4_based_evaluation.py)
OFFICIAL = {
    "alpaca_eval2": Official(
        (
            File(
                *_ALPACA,
                "src/alpaca_eval/evaluators_configs/alpaca_eval_clf_gpt4_turbo/alpaca_eval_clf.txt",
                "784227e6dc2832fc08c43d2c8ea3a308e7523780187a1aaad2f85e30bac85f62",
            ),
        ),
        "Apache-2.0",
        "".join,
    ),
    "arena_hard": Official(_ARENA_FILES, "Apache-2.0", _arena("hard_prompt")),
    "arena_hard_creative": Official(_ARENA_FILES, "Apache-2.0", _arena("creative_writing")),
}
OWN = "official"  # in place of a file, in a judge's entry
_MARK = "official:"  # and the digests, in its spec


def mark(name: str) -> str:
    """Return what stands in a spec for an official prompt, whose text may not be here yet: the digests of its files."""
    return _MARK + "+".join(file.sha256 for file in OFFICIAL[name].files)


def resolved(name: str, text: str) -> str:
    """Return the text of a prompt of a spec. Raises BadInput, with the remedy, where an official one was not fetched."""
    if not text.startswith(_MARK):
        return text
    official = OFFICIAL[name]
    return official.read([github.read(file) for file in official.files])


def needed(specs: Iterable[str]) -> list[File]:
    """Return the files of the official prompts that jobs with these specs need."""
    prompts = [json.loads(spec).get("judge", {}).get("prompts", {}) for spec in specs]
    names = {name for of_judge in prompts for name, text in of_judge.items() if text.startswith(_MARK)}
    return list(dict.fromkeys(file for name in sorted(names) for file in OFFICIAL[name].files))


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
