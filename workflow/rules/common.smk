"""The table of cells and what they need, the history and the lock of the results, and the shape of every wildcard."""

import sys

# no install step in any environment: the package lies beside the scripts
sys.path.insert(0, f"{workflow.basedir}/workflow/scripts")

from teachergrid import grid, history, ids, lock, pilot, present, work
from teachergrid.config import checked

history.follow("results")
if workflow.is_main_process:
    lock.tell_of_another("results")
    history.adopt("results")
config.update(checked(config))
# a job expands what its run has settled on, whatever a pilot says since
cells = grid.Cells(config, {} if workflow.is_main_process else pilot.settled("results"))
cell, needs = cells.column, cells.needs


onstart:
    lock.take("results")
    pilot.settle("results", cells.chosen)


onsuccess:
    work.clear("results")
    lock.release("results")


onerror:
    work.clear("results")
    lock.release("results")


wildcard_constraints:
    instructions=ids.NAME,
    responses=ids.RESPONSES,
    reward=ids.NAME,
    scorer=ids.NAME,
    base=ids.NAME,
    corpus=ids.CORPUS,
    student=ids.STUDENT,
    model=ids.MODEL,
    suite=ids.NAME,
    # `verify` is the rule of the checkers
    judge=rf"(?!verify\.parquet){ids.NAME}",
    grid=ids.NAME,
