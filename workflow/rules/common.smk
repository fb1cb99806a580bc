"""The table of cells, the history and lock of the results, and the pattern of every wildcard."""

import sys

# the package lies next to the scripts, so that no environment has to install it
sys.path.insert(0, f"{workflow.basedir}/workflow/scripts")

from teachergrid.grid import limits, phases
from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked
from teachergrid.spec import ids
from teachergrid.store import history, inputs, lock
from teachergrid.store.results import RESULTS

history.begin(workflow.is_main_process)
config.update(checked(config))
# a job uses the choices of pilots that its run was planned with, even if a pilot has chosen anew since
cells = Cells(config, {} if workflow.is_main_process else phases.saved_choices(RESULTS))
cell, needs = cells.column, cells.needs


onstart:
    lock.take(RESULTS)
    phases.save_choices(RESULTS, cells.chosen)


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
    # `verify` is made by the rule of that name
    judge=rf"(?!verify\.parquet){ids.NAME}",
    grid=ids.NAME,
