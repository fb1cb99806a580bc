"""Write config/README.md from the schema, so that the two always agree.

python -m teachergrid.grid.config_docs > config/README.md
"""

import json
from pathlib import Path

import jinja2

from ..metrics.expressions import COLUMNS, FUNCTIONS, OPERATORS_TEXT
from ..metrics.formulas import FORMULAS
from ..metrics.variants import Metric
from ..spec import schema

TEMPLATE = Path(__file__).with_name("config_docs.md")


def page() -> str:
    """Return the text of config/README.md."""
    template = jinja2.Template(TEMPLATE.read_text(), undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    return template.render(
        keys="\n".join(keys()),
        operators=OPERATORS_TEXT,
        functions=", ".join(f"`{name}`" for name in FUNCTIONS),
        columns=", ".join(f"`{name}`" for name in COLUMNS),
        formulas="\n".join(formulas()),
    )


def keys() -> list[str]:
    """Return the lines of the tables of keys: those at the top level, then a section for each kind of entry."""
    whole = schema.read()
    lines = rows(whole, whole["required"])
    for name, part in whole["$defs"].items():
        part = schema.resolve(part)
        if "properties" in part and name != "talk":
            lines += ["", f"## {name}", "", part.get("description", ""), "", *rows(part, part.get("required", []))]
    return lines


def rows(part: dict, required: list[str]) -> list[str]:
    """Return the lines of the table of an object's keys."""
    lines = ["| key | kind | default | meaning |", "|---|---|---|---|"]
    for key, value in part["properties"].items():
        value = schema.resolve(value)
        mark = " **cost**" if value.get("x-cost") else " **label**" if value.get("x-label") else ""
        default_text = "**required**" if key in required else default(value)
        lines.append(f"| `{key}` | {kind(value)} | {default_text} | {value.get('description', '')}{mark} |")
    return lines


def default(part: dict) -> str:
    """Return the default of a key as JSON; nothing where it has none."""
    if "default" not in part:
        return ""
    return "`" + json.dumps(part["default"], ensure_ascii=False).replace("|", "\\|") + "`"


def kind(part: dict) -> str:
    """Return what a key may hold: its types, or its values where they are listed."""
    if "enum" in part:
        return " \\| ".join(f"`{'null' if value is None else value}`" for value in part["enum"])
    name = part.get("type", "")
    return " or ".join(name) if isinstance(name, list) else name


def formulas() -> list[str]:
    """Return the lines of the table of formulas."""
    lines = ["| formula | what and from where | computed as | joins | unit | better |", "|---|---|---|---|---|---|"]
    for name, formula in FORMULAS.items():
        if formula.expression:
            computed = f"`{formula.expression}`"
        else:
            computed = "all texts" if formula.text_function else "over the grid"
        joined = ", ".join(sorted(Metric({"formula": name}).needs))
        lines.append(f"| `{name}` | {formula.text} | {computed} | {joined} | {formula.unit} | {formula.best} |")
    return lines


if __name__ == "__main__":
    print(page(), end="")
