"""The environment that renders the templates of every page."""

from collections.abc import Callable, Mapping
from pathlib import Path

import jinja2
from markupsafe import Markup

from ..units import UNSEEN, visible
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

    Everything is escaped, control characters are visible, an unknown name is an error, and null prints as an em dash.

    Args:
        filters: by the name that the templates use.
    """
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, SHARED]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=shown,
    )
    templates.filters |= filters
    return templates


def shown(value: object) -> object:
    """Return what a template prints for a value: an em dash for None, a text with visible control characters."""
    if value is None:
        return text.DASH
    if not isinstance(value, str) or not UNSEEN.search(value):
        return value
    return Markup(visible(value)) if isinstance(value, Markup) else visible(value)
