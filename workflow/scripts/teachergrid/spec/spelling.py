"""Check names that a user wrote, and suggest the most similar known name."""

from collections.abc import Collection
from difflib import get_close_matches

from ..errors import BadInput


def nearest(word: object, known: Collection[str]) -> str:
    """Return ", did you mean 'x'?" with the most similar known word; "" where none is similar."""
    near = get_close_matches(str(word), list(known), n=1)
    return f", did you mean '{near[0]}'?" if near else ""


def known(where: str, name: str, names: Collection[str]) -> None:
    """Raise BadInput unless a name is one of `names`. where: the key of the config, such as `config.grids.a`."""
    if name not in names:
        raise BadInput(f"{where}: there is no '{name}'" + (nearest(name, names) or f"; known: {', '.join(names)}"))
