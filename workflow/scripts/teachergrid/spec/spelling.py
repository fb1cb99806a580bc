"""Names that a person wrote: whether they are known, and which known one they come close to."""

from collections.abc import Collection
from difflib import get_close_matches

from ..errors import BadInput


def nearest(word: object, known: Collection[str]) -> str:
    """Return ", did you mean 'x'?" for the nearest known word, or nothing."""
    near = get_close_matches(str(word), list(known), n=1)
    return f", did you mean '{near[0]}'?" if near else ""


def known(where: str, name: str, names: Collection[str]) -> None:
    """Raise BadInput unless a name is among those that there are. where: the key of the config, such as `config.grids.a`."""
    if name not in names:
        raise BadInput(f"{where}: there is no '{name}'" + (nearest(name, names) or f"; known: {', '.join(names)}"))
