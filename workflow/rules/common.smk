"""The table of cells, the history and lock of the results, and the pattern of every wildcard."""

import sys

# the package lies next to the scripts, so that no environment has to install it
sys.path.insert(0, f"{workflow.basedir}/workflow/scripts")

from snakemake.io import PeriodicityDetector
from teachergrid.cost import limits
from teachergrid.grid import config_data, phases
from teachergrid.grid.start import Start
from teachergrid.job import forks, interpreter
from teachergrid.spec import ids
from teachergrid.store import inputs

interpreter.quote()
PeriodicityDetector.is_periodic = ids.never_endless
start = Start(config, workflow.configfiles, workflow.is_main_process)
config.update(start.config)
cells = start.cells
cell, needs = cells.column, cells.needs
start.share(workflow)


onstart:
    forks.share("teachergrid.models.preload")
    start.begin(workflow.dag)


onsuccess:
    start.end()


onerror:
    start.end()


wildcard_constraints:
    instructions=ids.NAME,
    evolution=ids.NAME,
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
