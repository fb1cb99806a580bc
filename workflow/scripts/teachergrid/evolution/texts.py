"""The prompts of evolution: files of texts with a version, in `workflow/evolution/` or of the user's own.

The texts themselves stand in the specs of the sets that they make. So another text makes those sets again, whatever its version
says, and a text that a set does not use makes nothing again.
"""

import copy
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ..errors import BadInput
from ..spec.spelling import nearest

SHOWN = 60  # characters of a wrong name that a message repeats
FOLDER = Path(__file__).parents[3] / "evolution"


def read(where: str, name: str, shipped: str) -> dict[str, Any]:
    """Return the texts of a method.

    Args:
        where: the config's key, for messages.
        name: a shipped file, such as `evol-instruct.1`; or the path of a file of the user's, which needs only the texts that
            differ from those of `shipped`.
        shipped: the method's own file.
    Raises:
        BadInput: there is no such file, or it holds something else than texts.
    """
    if not name.endswith((".yaml", ".yml")):
        return _shipped(where, name)
    if not os.path.isfile(name):
        raise BadInput(f"{where}: there is no file '{name}' (paths start at {Path.cwd()})")
    texts, own = _shipped(where, shipped), _file(where, Path(name))
    for key, value in own.items():
        if key not in texts:
            raise BadInput(
                f"{where}: '{name}' has an unknown text '{key}'{nearest(str(key), texts)}; known: {', '.join(texts)}"
            )
        if not _is_like(value, texts[key]):
            raise BadInput(
                f"{where}: `{key}` of '{name}' has another form than in {shipped}.yaml; look at that file for it"
            )
    return _merged(texts, own)


def filled(text: str, values: dict[str, str]) -> str:
    """Return a text with each {name} of `values` replaced, in one pass: a value may itself contain "{name}"."""
    marks = "|".join(re.escape(f"{{{name}}}") for name in values)
    return re.sub(marks, lambda match: values[match[0][1:-1]], text)


def require(where: str, name: str, text: str, *marks: str) -> None:
    """Raise BadInput where a text lacks a mark, such as {instruction}, without which all its prompts would be the same."""
    for mark in marks:
        if f"{{{mark}}}" not in text:
            raise BadInput(f"{where}: the text `{name}` has no {{{mark}}}; write it where the {mark} belongs")


def _shipped(where: str, name: str) -> dict[str, Any]:
    known = sorted(file.stem for file in FOLDER.glob("*.yaml"))
    if name not in known:
        raise BadInput(
            f"{where}: there are no prompts '{name[:SHOWN]}'{nearest(name, known)}; known: {', '.join(known)}, or write the path of "
            "a file that ends with .yaml"
        )
    return copy.deepcopy(_parsed(name))


@cache
def _parsed(name: str) -> dict[str, Any]:
    """Return a shipped file. YAML is slow, and a grid has many evolutions."""
    return _file("config", FOLDER / f"{name}.yaml")


def _file(where: str, path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadInput(f"{where}: '{path}' cannot be read as YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise BadInput(f"{where}: '{path}' is no mapping of texts; write `NAME: TEXT` lines")
    return content


def _is_like(value: Any, shipped: Any) -> bool:
    """Whether a user's value has the form of the shipped one: a text, a number, a list of texts, or a mapping of these."""
    if isinstance(shipped, dict):
        plain = [item for item in value.values() if not isinstance(item, dict)] if isinstance(value, dict) else [None]
        inner = [item for item in value.values() if isinstance(item, dict)] if isinstance(value, dict) else []
        return all(isinstance(item, str) for item in plain) and all(_is_like(item, {}) for item in inner)
    if isinstance(shipped, list):
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return type(value) is type(shipped)


def _merged(shipped: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Return shipped texts with a user's own in their place; mappings, such as that of the operators, are merged."""
    merged = {**shipped, **own}
    for name, value in own.items():
        if isinstance(value, dict) and isinstance(shipped.get(name), dict):
            merged[name] = {**shipped[name], **value}
    return merged
