"""The schema of the config."""

from teachergrid.spec import schema


def test_every_key_is_described():
    def walk(part, where):
        for key, value in part.get("properties", {}).items():
            assert schema.resolve(value).get("description"), f"{where}.{key} has no description"
            walk(value, f"{where}.{key}")

    walk(schema.read(), "config")
    for name, part in schema.read()["$defs"].items():
        walk(part, name)
