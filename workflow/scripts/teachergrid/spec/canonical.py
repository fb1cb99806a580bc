"""The spec of a cell: one text for all that decides its result. Equal settings give equal texts.

Keys are sorted, 1.0 is written 1, and defaults, costs and labels are left out:

    {"model": {"repo": "org/large", "revision": "222"}, "teacher": {"sampling": {"temperature": 1}}}

Each key at the top names a definition in the schema, which says what is a default and what only costs (x-cost) or describes
(x-label).
"""

import json

from .schema import definition, filled, pruned


def dump(**parts: object) -> str:
    """Return the spec that holds these parts, {name of a definition: value}."""
    plain = {name: pruned(value, definition(name)) for name, value in parts.items()}
    return json.dumps(plain, sort_keys=True, ensure_ascii=False)


def load(text: str) -> dict:
    """Return the parts of a spec with every default filled in. They are new objects, which the caller may change."""
    return {name: filled(value, definition(name)) for name, value in json.loads(text).items()}


def picked(entry: dict, *keys: str) -> dict:
    """Return these keys of a config entry: those that decide a result."""
    return {key: entry[key] for key in keys}


def without(entry: dict, *keys: str) -> dict:
    """Return a config entry but for these keys."""
    return {key: value for key, value in entry.items() if key not in keys}
