"""Many teachers from a few lines: those whose responses were published together become entries of `teachers`.

    zoos:
      magpie:
        source: hub:Magpie-Align/Magpie-100K-Generator-Zoo
        fields: {response: ["{teacher}", content]}
        teachers: [gemma-2-9b-it, Qwen2-7B-Instruct]

makes the teachers gemma-2-9b-it and qwen2-7b-instruct. In `source` and in `fields.response`, {teacher} stands for the name as it is
written. Where a column `fields.teacher` holds these names, nothing has to be replaced.
"""

import re

from ..errors import BadInput
from . import schema

MARK = "{teacher}"


def with_teachers(config: dict) -> dict:
    """Return a config with `teachers`, which may be missing where all teachers are in zoos."""
    return {**config, "teachers": config.get("teachers", {})} if config.get("zoos") else config


def expand(config: dict) -> None:
    """Move the teachers of all zoos to `teachers`. Changes the config, in which all defaults are filled in.

    A model that has the name of such a teacher is its model: it tells size, family and terms, and is never loaded.

    Raises:
        BadInput: two teachers would have the same name, or all of a zoo the same responses.
    """
    for zoo, entry in config["zoos"].items():
        where = f"config.zoos.{zoo}"
        response = entry["fields"]["response"]
        marked = [entry["source"], *([response] if isinstance(response, str) else response or [])]
        if entry["fields"]["teacher"] is None and not any(MARK in text for text in marked):
            raise BadInput(
                f"{where}: all its teachers would have the same responses; write {MARK} into `source` or `fields.response`, or "
                "name a column as `fields.teacher`"
            )
        for teacher in entry["teachers"]:
            name = named(teacher)
            if not name:
                raise BadInput(f"{where}.teachers: {teacher!r} has no letter or digit of which a name could be made")
            if name in config["teachers"]:
                raise BadInput(
                    f"{where}.teachers: {teacher!r} becomes '{name}', and there is such a teacher; rename that one"
                )
            config["teachers"][name] = _teacher(teacher, name if name in config["models"] else None, entry)
    config["zoos"] = {}


def named(teacher: str) -> str:
    """Return the name of a published teacher as a key of the config: lower-case letters and digits, joined by single . or -."""
    plain = re.sub(r"[^a-z0-9.]+", "-", teacher.lower())
    return re.sub(r"[.-]{2,}", "-", plain).strip(".-")


def _teacher(teacher: str, model: str | None, zoo: dict) -> dict:
    response = zoo["fields"]["response"]
    if isinstance(response, str):
        response = response.replace(MARK, teacher)
    elif response:
        response = [key.replace(MARK, teacher) for key in response]
    entry = {
        **{key: zoo[key] for key in ("revision", "split", "allow_missing", "sampling")},
        "engine": "existing",
        "model": model,
        "source": zoo["source"].replace(MARK, teacher),
        "fields": {**zoo["fields"], "response": response},
        "written_by": teacher if zoo["fields"]["teacher"] is not None else None,
    }
    return schema.filled(entry, schema.definition("teacher"), outside_too=True)
