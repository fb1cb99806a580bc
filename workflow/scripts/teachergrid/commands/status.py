"""teachergrid status: the state of every cell, as text, JSON or a page."""

import json
from argparse import Namespace

from ..run.status import gather
from ..store import origin
from ..store.results import RESULTS


def main(own: Namespace, argv: list[str]) -> int:
    """Print the state of the grid as text or JSON, or write it as a page. Return 0. argv: Snakemake's options."""
    from ..run import status_page

    view = gather(argv)
    if own.json:
        print(json.dumps(view))
    elif own.html:
        origin.replace_text(f"{RESULTS}/status.html", status_page.page(view))
        print(f"{RESULTS}/status.html")
    else:
        print(status_page.terminal_view(view, *status_page.terminal()))
    return 0
