"""The spec of a cell: a text with all settings that decide its result. Equal settings give equal texts.

Keys are sorted, 1.0 is written as 1, and defaults, costs and labels are left out:

    {"model": {"repo": "org/large", "revision": "222"}, "teacher": {"sampling": {"temperature": 1}}}

Each top-level key is the name of a definition in the schema, which states the defaults and which keys only cost (x-cost) or
describe (x-label).
"""

import json

from .schema import definition, filled, pruned


def dump(**parts: object) -> str:
    """Return the spec of these parts. parts: {name of a definition in the schema: value}."""
    plain = {name: pruned(value, definition(name)) for name, value in parts.items()}
    return json.dumps(plain, sort_keys=True, ensure_ascii=False)


def load(text: str) -> dict:
    """Return the parts of a spec with all defaults filled in, as new objects which the caller may change."""
    return {name: filled(value, definition(name)) for name, value in json.loads(text).items()}


def picked(entry: dict, *keys: str) -> dict:
    """Return only these keys of a config entry."""
    return {key: entry[key] for key in keys}


def without(entry: dict, *keys: str) -> dict:
    """Return a config entry without these keys."""
    return {key: value for key, value in entry.items() if key not in keys}
