"""What the schema does not allow, in words: the key, what is wrong with it, and what to write."""

from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from . import names, schema, spelling

if TYPE_CHECKING:
    from jsonschema import ValidationError

SHOWN = 80  # characters of a wrong value that a message repeats
# rules of the schema that may say what to write instead
WITH_REMEDY = ("pattern", "minProperties", "maximum", "uniqueItems", "minItems", "maxItems")


def refuse_invalid(config: dict) -> None:
    """Raise BadInput for the first thing that the schema does not allow."""
    import jsonschema

    root = schema.read()
    if missing := [key for key in root["required"] if key not in config]:
        raise BadInput(
            f"config: states no {', '.join(f'`{key}`' for key in missing)}; a config is complete by itself: those of the demo "
            "(config/config.yaml) do not count for another one"
        )
    for error in jsonschema.Draft202012Validator(root).iter_errors(config):
        error = jsonschema.exceptions.best_match([error])  # where an entry may be null: the mistake inside the entry
        where = ".".join(["config", *map(str, error.absolute_path)])
        raise BadInput(f"{where}: {_message(error)}{_hint(error)}")


def refuse_invalid_part(value: object, name: str, where: str) -> None:
    """Raise BadInput for the first thing that a definition of the schema does not allow. where: place of the value, for messages."""
    import jsonschema

    root = {"$ref": f"#/$defs/{name}", "$defs": schema.read()["$defs"]}
    for error in jsonschema.Draft202012Validator(root).iter_errors(value):
        error = jsonschema.exceptions.best_match([error])
        place = ".".join(map(str, error.absolute_path))
        raise BadInput(f"{where}{place and f', {place}'}: {_message(error)}{_hint(error)}")


def _message(error: "ValidationError") -> str:
    """Return what is wrong, with a short form of a long value."""
    whole = repr(error.instance)
    if len(whole) > SHOWN and error.message.startswith(whole):
        return f"{whole[:SHOWN]}...{error.message.removeprefix(whole)}"
    return error.message


def _hint(error: "ValidationError") -> str:
    """Return what to write instead; "" where the message says it."""
    if error.validator == "type":
        types = error.validator_value
        return names.hint(error.instance, [types] if isinstance(types, str) else types)
    if error.validator == "pattern" and "propertyNames" in error.absolute_schema_path:
        return ": names are lower-case letters and digits, joined by single . or -"
    if error.validator == "enum" and isinstance(error.instance, str):
        if word := schema.other_word(error.instance, error.schema):
            return f", did you mean '{word}'?"
        return spelling.nearest(error.instance, [value for value in error.validator_value if isinstance(value, str)])
    if isinstance(error.schema, dict) and error.validator in WITH_REMEDY:
        return f": {error.schema['x-remedy']}" if "x-remedy" in error.schema else ""
    return ""


def with_whole_numbers(config: dict) -> dict:
    """Return a valid config in which what must be a whole number is an int: YAML reads 3.0 as another kind of number."""
    return _whole(config, schema.read())


def _whole(value: Any, part: dict) -> Any:
    if isinstance(value, dict):
        return {key: _whole(item, schema.member(part, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item, schema.items(part)) for item in value]
    types = part.get("type", ())
    if isinstance(value, float) and "integer" in ([types] if isinstance(types, str) else types):
        return int(value)
    return value
