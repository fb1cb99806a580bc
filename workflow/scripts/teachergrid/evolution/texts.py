"""The prompts of evolution: files of texts with a version, in `workflow/evolution/` or of the user's own.

The texts themselves stand in the specs of the sets that they make. So another text makes those sets again, whatever its version
says, and a text that a set does not use makes nothing again.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from ..errors import BadInput
from ..spec.spelling import nearest

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
        return _file(where, _shipped(where, name))
    if not Path(name).is_file():
        raise BadInput(f"{where}: there is no file '{name}' (paths start at {Path.cwd()})")
    return _merged(_file(where, _shipped(where, shipped)), _file(where, Path(name)))


def filled(text: str, values: dict[str, str]) -> str:
    """Return a text with each {name} of `values` replaced, in one pass: a value may itself contain "{name}"."""
    marks = "|".join(re.escape(f"{{{name}}}") for name in values)
    return re.sub(marks, lambda match: values[match[0][1:-1]], text)


def require(where: str, name: str, text: str, *marks: str) -> None:
    """Raise BadInput where a text lacks a mark, such as {instruction}, without which all its prompts would be the same."""
    for mark in marks:
        if f"{{{mark}}}" not in text:
            raise BadInput(f"{where}: the text `{name}` has no {{{mark}}}; write it where the {mark} belongs")


def _shipped(where: str, name: str) -> Path:
    path = FOLDER / f"{name}.yaml"
    if not path.is_file():
        known = sorted(file.stem for file in FOLDER.glob("*.yaml"))
        raise BadInput(
            f"{where}: there are no prompts '{name}'{nearest(name, known)}; known: {', '.join(known)}, or write the path of a "
            "file that ends with .yaml"
        )
    return path


def _file(where: str, path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadInput(f"{where}: '{path}' cannot be read as YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise BadInput(f"{where}: '{path}' is no mapping of texts; write `NAME: TEXT` lines")
    return content


def _merged(shipped: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Return shipped texts with a user's own in their place; mappings, such as that of the operators, are merged."""
    merged = {**shipped, **own}
    for name, value in own.items():
        if isinstance(value, dict) and isinstance(shipped.get(name), dict):
            merged[name] = {**shipped[name], **value}
    return merged
