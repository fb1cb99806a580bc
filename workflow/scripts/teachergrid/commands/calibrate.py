"""teachergrid calibrate-judge: how far the judges of these results can be trusted, from what they have said; nobody is asked."""

import json
from argparse import Namespace
from pathlib import Path

from ..evaluation import trust
from ..store.results import RESULTS


def main(own: Namespace) -> int:
    """Print a table for each suite, or JSON with --json. Return 2 where no judge has compared or rated answers."""
    found = trust.calibrated(Path(RESULTS))
    if not found.judges:
        print(f"{RESULTS}/scores: no judge has judged yet; name one in `judges`, and run", flush=True)
        return 2
    if own.json:
        print(json.dumps(trust.as_json(found), indent=1))
    else:
        print("\n".join(trust.lines(found)))
    return 0
