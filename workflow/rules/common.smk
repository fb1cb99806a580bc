"""The table of cells and what they need, the history and the lock of the results, and the shape of every wildcard."""

import sys

# no install step in any environment: the package lies beside the scripts
sys.path.insert(0, f"{workflow.basedir}/workflow/scripts")

from teachergrid.grid import pilot
from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked
from teachergrid.spec import ids
from teachergrid.store import history, inputs, lock
from teachergrid.store.results import RESULTS

history.begin(workflow.is_main_process)
config.update(checked(config))
# a job expands what its run has settled on, whatever a pilot says since
cells = Cells(config, {} if workflow.is_main_process else pilot.settled(RESULTS))
cell, needs = cells.column, cells.needs


onstart:
    lock.take(RESULTS)
    pilot.settle(RESULTS, cells.chosen)


onsuccess:
    history.end()


onerror:
    history.end()


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
