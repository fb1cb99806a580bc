"""The environment that renders the templates of every page."""

from collections.abc import Callable, Mapping
from pathlib import Path

import jinja2

from . import text

# the frame of a page, its style, and the parts that several pages show
SHARED = Path(__file__).with_name("template")
FILTERS: Mapping[str, Callable] = {
    "number": text.number,
    "significant": text.significant,
    "within": text.within,
    "probability": text.probability,
    "percent": text.percent,
    "count": text.count,
    "duration": text.duration,
    "breakable": text.breakable,
    "coded": text.coded,
    "listing": text.listing,
    "together": text.together,
}


def environment(folder: Path, filters: Mapping[str, Callable] = FILTERS) -> jinja2.Environment:
    """Return the environment of the templates in a folder, which may use the shared ones.

    Everything is escaped, an unknown name is an error, and null prints as an em dash.

    Args:
        filters: by the name that the templates use.
    """
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, SHARED]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: text.DASH if value is None else value,
    )
    templates.filters |= filters
    return templates
