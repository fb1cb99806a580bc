"""One text per cell for all that decides its result: sorted, 1 for 1.0, defaults, cost and labels left out.

    {"model": {"repo": "org/large", "revision": "222"}, "teacher": {"sampling": {"temperature": 1}}}

Top-level keys name a definition in the schema, which says what is a default and what only costs (x-cost) or describes (x-label).
"""

import json
from difflib import get_close_matches
from functools import cache
from pathlib import Path

import yaml

from .errors import BadInput

SCHEMA = Path(__file__).parents[2] / "schemas/config.schema.yaml"


@cache
def schema() -> dict:
    return yaml.safe_load(SCHEMA.read_text())


def resolve(part) -> dict:
    """Follow a $ref into $defs, or the first alternative of an anyOf; keys beside it win."""
    if not isinstance(part, dict):
        return {}
    beside = {key: value for key, value in part.items() if key not in ("$ref", "anyOf")}
    if "anyOf" in part:
        return {**resolve(part["anyOf"][0]), **beside}
    if "$ref" in part:
        return {**resolve(schema()["$defs"][part["$ref"].removeprefix("#/$defs/")]), **beside}
    return part


def member(part: dict, key: str) -> dict:
    """Return the schema of one key of an object."""
    return resolve(part.get("properties", {}).get(key, part.get("additionalProperties", {})))


def outside(part: dict) -> bool:
    """Whether a key stays out of every spec."""
    return bool(part.get("x-cost") or part.get("x-label"))


def pruned(value, part: dict):
    """Drop what is equal to its default and what decides no result."""
    if isinstance(value, dict):
        kept = {key: pruned(item, member(part, key)) for key, item in value.items() if not outside(member(part, key))}
        return {key: item for key, item in kept.items() if not is_default(item, member(part, key))}
    if isinstance(value, list):
        return [pruned(item, resolve(part.get("items", {}))) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def is_default(value, part: dict) -> bool:
    return "default" in part and value == pruned(part["default"], part)


def filled(value, part: dict, outside_too: bool = False):
    """Put the defaults in that `pruned` leaves out."""
    if isinstance(value, list):
        return [filled(item, resolve(part.get("items", {})), outside_too) for item in value]
    if not isinstance(value, dict):
        return value
    parts = {key: resolve(item) for key, item in part.get("properties", {}).items()}
    defaults = {key: p["default"] for key, p in parts.items() if "default" in p and (outside_too or not outside(p))}
    return {key: filled(item, member(part, key), outside_too) for key, item in (defaults | value).items()}


def picked(entry: dict, *keys: str) -> dict:
    """Return these keys of a config entry: what decides a result and nothing else."""
    return {key: entry[key] for key in keys}


def without(entry: dict, *keys: str) -> dict:
    return {key: value for key, value in entry.items() if key not in keys}


def definition(name: str) -> dict:
    return resolve(schema()["$defs"].get(name, {}))


def dump(**parts) -> str:
    """Return the canonical text of a cell."""
    plain = {name: pruned(value, definition(name)) for name, value in parts.items()}
    return json.dumps(plain, sort_keys=True, ensure_ascii=False)


def load(text: str) -> dict:
    """Return the parts of a cell with every default filled in."""
    return {name: filled(value, definition(name)) for name, value in json.loads(text).items()}


def nearest(word: str, known) -> str:
    """Return ", did you mean 'x'?" for the nearest known word, or nothing."""
    near = get_close_matches(str(word), list(known), n=1)
    return f", did you mean '{near[0]}'?" if near else ""


def known(where: str, name, names) -> None:
    """Raise BadInput unless a name is among those that there are."""
    if name not in names:
        raise BadInput(f"{where}: there is no '{name}'" + (nearest(name, names) or f"; known: {', '.join(names)}"))


def refuse_unknown_keys(value, part: dict | None = None, where: str = "config") -> None:
    """Stop at a key the schema does not know, and name the nearest one it does.

    Raises BadInput with the path of the key.
    """
    part = schema() if part is None else part
    for key, item in value.items() if isinstance(value, dict) else ():
        if part.get("additionalProperties") is False and key not in part.get("properties", {}):
            raise BadInput(f"{where}: unknown key '{key}'" + nearest(key, part["properties"]))
        refuse_unknown_keys(item, member(part, key), f"{where}.{key}")
    for index, item in enumerate(value) if isinstance(value, list) else ():
        refuse_unknown_keys(item, resolve(part.get("items", {})), f"{where}[{index}]")
