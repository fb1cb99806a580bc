"""The schema of the config: defaults, and which keys decide a result."""

from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ..errors import BadInput
from .spelling import nearest

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the first is six times faster; every job reads the schema
SCHEMA = Path(__file__).parents[3] / "schemas/config.schema.yaml"


@cache
def read() -> dict:
    """Return the schema. Callers must not change it."""
    return yaml.load(SCHEMA.read_text(), Loader=LOADER)


def resolve(part: object) -> dict:
    """Return a part of the schema with its $ref, or the first alternative of its anyOf, replaced by the definition.

    Keys next to the $ref or anyOf have precedence.
    """
    if not isinstance(part, dict):
        return {}
    own = {key: value for key, value in part.items() if key not in ("$ref", "anyOf")}
    if "anyOf" in part:
        return {**resolve(part["anyOf"][0]), **own}
    if "$ref" in part:
        return {**definition(part["$ref"].removeprefix("#/$defs/")), **own}
    return part


def definition(name: str) -> dict:
    """Return a definition of the schema; {} for a name that it does not define."""
    return resolve(read()["$defs"].get(name, {}))


def member(part: dict, key: str) -> dict:
    """Return the schema of one key of an object."""
    return resolve(part.get("properties", {}).get(key, part.get("additionalProperties", {})))


def items(part: dict) -> dict:
    """Return the schema of the items of a list."""
    return resolve(part.get("items", {}))


def outside(part: dict) -> bool:
    """Whether a key is never part of a spec, because it only costs or describes."""
    return bool(part.get("x-cost") or part.get("x-label"))


def is_without_model(engine: str | None) -> bool:
    """Whether an engine of a teacher loads no model, even where its entry names one (x-without-model). None: no teacher."""
    return engine in member(definition("teacher"), "engine")["x-without-model"]


# --- values without defaults, as in specs, and with defaults


def pruned(value: object, part: dict) -> object:
    """Return a value without defaults and without keys that decide no result. A renamed key gets its older name (x-was)."""
    if isinstance(value, dict):
        result = {}
        for key, item in value.items():
            of_key = member(part, key)
            if not outside(of_key) and not is_default(item := pruned(item, of_key), of_key):
                result[of_key.get("x-was", key)] = item
        return result
    if isinstance(value, list):
        return [pruned(item, items(part)) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def is_default(value: object, part: dict) -> bool:
    """Whether a pruned value equals the default."""
    return "default" in part and value == pruned(part["default"], part)


def filled(value: Any, part: dict, outside_too: bool = False) -> Any:
    """Return a value with the defaults that `pruned` leaves out, and renamed keys under their current names.

    outside_too: also fill in the defaults of keys that only cost or describe.
    """
    if isinstance(value, list):
        return [filled(item, items(part), outside_too) for item in value]
    if not isinstance(value, dict):
        return value
    parts = {key: resolve(item) for key, item in part.get("properties", {}).items()}
    defaults = {key: p["default"] for key, p in parts.items() if "default" in p and (outside_too or not outside(p))}
    present = {p["x-was"]: key for key, p in parts.items() if "x-was" in p}
    value = defaults | {present.get(key, key): item for key, item in value.items()}
    return {key: filled(item, member(part, key), outside_too) for key, item in value.items()}


def refuse_unknown_keys(
    value: object, part: dict | None = None, where: str = "config", above: dict | None = None
) -> None:
    """Raise BadInput for a key that the schema does not have. The message has its path and the key that was most likely meant.

    Args:
        value: of the config, at the path `where`.
        part: its schema; None: that of a whole config.
        above: the schema of the mapping around it.
    """
    part = read() if part is None else part
    if isinstance(value, dict):
        for key, item in value.items():
            if part.get("additionalProperties") is False and key not in part.get("properties", {}):
                raise BadInput(_unknown(key, part, where, above or {}))
            refuse_unknown_keys(item, member(part, key), f"{where}.{key}", part)
    if isinstance(value, list):
        for index, item in enumerate(value):
            refuse_unknown_keys(item, items(part), f"{where}[{index}]", above)


def _unknown(key: str, part: dict, where: str, above: dict) -> str:
    """Return the message about an unknown key: it was renamed, or has another name here, one level deeper or one further up."""
    properties = part.get("properties", {})
    renamed = next((name for name, part in properties.items() if resolve(part).get("x-was") == key), None)
    if renamed:
        return f"{where}.{key}: renamed, write `{renamed}`"
    start = f"{where}: unknown key '{key}'"
    if own := _meant(key, part, exactly=False):
        return f"{start}, did you mean '{own}'?"
    deeper = {name: inside for name in properties if (inside := _inside(name, properties))}
    for exactly in (True, False):
        for name, inside in deeper.items():
            if found := _meant(key, inside, exactly):
                return f"{start}, did you mean '{found}' inside `{name}`? Write `{name}: {{{found}: ...}}`"
        if found := _meant(key, above, exactly):
            return f"{start}, did you mean '{found}' of the entry around it? Write it one level further up"
    near = get_close_matches(
        key, [*properties, *(word for inside in deeper.values() for word in inside["properties"])], n=1
    )
    if near and near[0] not in properties:
        name = next(name for name, inside in deeper.items() if near[0] in inside["properties"])
        return f"{start}, did you mean '{near[0]}' inside `{name}`? Write `{name}: {{{near[0]}: ...}}`"
    return start + nearest(key, properties)


def _meant(key: str, part: dict, exactly: bool) -> str | None:
    """Return the key of an object that has this name, or (unless `exactly`) for which this is another word; else None."""
    properties = part.get("properties", {})
    if key in properties:
        return key
    plain = key.lower().replace("-", "_")
    if not exactly:
        words = {word: name for name, item in properties.items() for word in (name, *resolve(item).get("x-words", ()))}
        return words.get(plain)
    return None


def _inside(name: str, properties: dict) -> dict:
    """Return the schema of what a key holds, where that is a mapping of settings. A model may be written inside its entry."""
    part = definition("model") if name == "model" else resolve(properties[name])
    return part if part.get("additionalProperties") is False else {}


def other_word(value: object, part: dict) -> str | None:
    """Return the value that was most likely meant in place of one that the schema does not list (x-values); else None."""
    return part.get("x-values", {}).get(str(value).lower().replace("-", "_"))
