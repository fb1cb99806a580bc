"""Mutations of a config: every key that the schema has, with every value that a person may write there by mistake."""

import copy
import datetime
import json
import math
import re
from collections.abc import Iterator

from teachergrid.cost import resources
from teachergrid.errors import BadInput
from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked
from teachergrid.spec import canonical, ids, schema

UNKNOWN = object()  # in place of a value: the key gets another name
VALUES = {
    "null": None,
    "true": True,
    "text": "nothing-has-this-name",
    "empty text": "",
    "blank text": "  ",
    "text of two lines": "two\nlines\n",
    "text of 300": "x" * 300,
    "long text": "x" * 5000,
    "zero character": "a\0b",
    "half a character": "\ud800",
    "number as text": "1e-5",
    "path that leads up": "../../etc/passwd",
    "folder": ".",
    "part of a hub's name": "hub:x",
    "broken template": "{% if %}",
    "pattern": "(",
    "not a number": math.nan,
    "infinity": math.inf,
    "negative": -1,
    "negative fraction": -0.5,
    "zero": 0,
    "one": 1,
    "one as a fraction": 1.0,
    "fraction": 0.5,
    "2^32": 2**32,
    "10^9": 10**9,
    "10^30": 10**30,
    "10^400": 10**400,
    "1e308": 1e308,
    "date": datetime.date(2024, 1, 1),
    "empty list": [],
    "empty mapping": {},
    "list of a number": [7],
    "list with itself": [1, 1],
    "list of a mapping": [{}],
    "list of lists": [[1], ["a"]],
    "list of nothing": [None],
    "mapping": {"a": 1},
    "mapping of mappings": {"a": {"b": {}}},
    "mapping with a number as name": {405: {}},
    "mapping with false as name": {False: {}},
    "mapping with a date": {"a": datetime.date(2024, 1, 1)},
    "unknown name": UNKNOWN,
}
NAMES = {
    "upper case": "Teacher",
    "two underscores": "a__b",
    "line break": "a\n",
    "empty": "",
    "slash": "a/b",
    "dots": "..",
    "number": 405,
    "false": False,
    "null": None,
    "long": "a" * 300,
    "accent": "é",
}
Path = tuple[str | int, ...]


def places(config: object, part: dict, path: Path = ()) -> Iterator[tuple[Path, str, bool]]:
    """Yield (path of a mapping, key, whether the key is a name) for each key of the schema, used in the config or not.

    Of a list the first item stands for all.
    """
    if isinstance(config, list):
        for item in config[:1]:
            yield from places(item, schema.items(part), (*path, 0))
    if not isinstance(config, dict):
        return
    properties = part.get("properties", {})
    yield from ((path, key, False) for key in properties)
    for key, item in config.items():
        if key not in properties:
            yield path, key, True
        yield from places(item, schema.member(part, key), (*path, key))


def mutated(config: dict) -> Iterator[tuple[str, dict]]:
    """Yield (what was changed, the changed config)."""
    for path, key, is_name in places(config, schema.read()):
        where = ".".join(map(str, (*path, key)))
        for what, value in VALUES.items():
            changed = copy.deepcopy(config)
            inside = within(changed, path)
            if value is UNKNOWN:
                inside[f"{key}x"] = inside.pop(key, 1)
            else:
                inside[key] = copy.deepcopy(value)
            yield f"{where}: {what}", changed
        for what, name in NAMES.items() if is_name else ():
            changed = copy.deepcopy(config)
            inside = within(changed, path)
            inside[name] = inside.pop(key)
            yield f"{where}: name, {what}", changed


def within(config, path: Path):
    for key in path:
        config = config[key]
    return config


def outcome(config: dict) -> str:
    """Return `refused` or `built`. Raises whatever is no BadInput: a traceback that a person would see."""
    try:
        complete = checked(config)
        cells = Cells(complete)
    except BadInput as error:
        assert str(error).startswith("config"), f"names no key: {error}"
        assert len(str(error)) < 1500, f"{len(str(error))} characters"
        return "refused"
    built(complete, cells)
    return "built"


def built(config: dict, cells: Cells) -> None:
    """Raise unless all rows can be planned, and their jobs named and started."""
    json.dumps(config).encode()
    wildcards = {"generate": ids.RESPONSES, "finetune": ids.STUDENT, "correlate": ids.NAME, "report": ids.NAME}
    assert any(cells.rows.values()), "nothing to do"
    for rule, rows in cells.rows.items():
        for cell, row in rows.items():
            assert re.fullmatch(wildcards.get(rule, r"[^\s]+"), cell), f"{rule} {cell}"
            canonical.load(row["spec"])
            for name in resources.named(rule) if "rows" in row else ():
                amount = resources.need(rule, name, row, 1)
                assert amount is None or isinstance(amount, str) or 0 <= amount < 1e18, (
                    f"{rule} {cell}: {name} {amount}"
                )
