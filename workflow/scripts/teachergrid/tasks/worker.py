"""The process that checks for `limited`: an item a line comes in, a result a line goes out.

python -m teachergrid.tasks.worker KIND SECONDS MEGABYTES
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from . import following, formulas, limited

# {kind: makes ready the function that checks one item}; each imports a large library
FUNCTIONS: dict[str, Callable[[], Callable[[Any], Any]]] = {
    "math": formulas.opened,
    "ifeval": lambda: following.opened("ifeval"),
    "ifbench": lambda: following.opened("ifbench"),
}


def main(kind: str, seconds: float, megabytes: int) -> None:
    """Answer what comes in until nothing does."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints goes to the log

    def say(said: dict) -> None:
        out.write(json.dumps(said) + "\n")
        out.flush()

    try:
        check = FUNCTIONS[kind]()
    except Exception as error:
        say({"failed": f"{type(error).__name__}: {' '.join(str(error).split())}"})
        return
    limited.limit_memory(megabytes)
    say({"begun": True})
    for line in sys.stdin:
        limited.limit_cpu(seconds)
        try:
            said = {"value": check(json.loads(line))}
        except MemoryError:
            said = {"failed": limited.MEMORY}
        except Exception as error:
            said = {"failed": f"{limited.BROKEN}: {type(error).__name__}: {' '.join(str(error).split())[:200]}"}
        say(said)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
