"""teachergrid status: the state of every cell, as text, JSON or a page."""

import json
import sys
from argparse import Namespace

from ..run.status import gather
from ..store import origin


def main(own: Namespace, argv: list[str]) -> int:
    """Print the state of the grid as text or JSON, or write it as a page. argv: Snakemake's options.

    Return 0, or 2 where the page cannot be written."""
    from ..run import status_page

    view = gather(argv)
    if own.json:
        print(json.dumps(view))
    elif own.html:
        try:
            origin.replace_text(own.html, status_page.page(view, own.html))
        except OSError as error:
            print(f"{own.html} cannot be written ({error.strerror}); teachergrid status --json > FILE", file=sys.stderr)
            return 2
        print(own.html)
    else:
        print(status_page.terminal_view(view, *status_page.terminal()))
    return 0
