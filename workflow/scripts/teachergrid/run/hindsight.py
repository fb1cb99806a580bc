"""Estimates of every cell at the start of a run, saved so that they can be compared with what the jobs took (estimates).

They come from the table of cells alone: no graph is built, so they hold every cell of the grid, whether it is made already or
not.
"""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..cost.estimate import estimate
from ..errors import BadInput
from ..planning.document import Setting
from ..planning.forecast import fitting, pools_of
from ..store import disk, estimates
from ..store.estimates import BOUNDS, Estimate

if TYPE_CHECKING:
    from ..grid.cells import Cells
    from .options import Options


def note(cells: "Cells", asked: "Options", results: str, say: Callable[[str], None]) -> None:
    """Save what each cell may take. A mistake that prevents it is a line for `say`, and stops nothing."""
    try:
        found = expected(cells, Setting.of(asked.plan))
    except BadInput as error:
        say(f"no estimates are noted: {error}")
        return
    with disk.spared():
        estimates.save(found, results)


def expected(cells: "Cells", setting: Setting) -> dict[str, dict[str, list[Estimate]]]:
    """Return rule -> cell -> one estimate for each device type that the job may get, the likeliest first.

    Raises:
        BadInput: for a GPU type that the machines do not know.
    """
    found: dict[str, dict[str, list[Estimate]]] = {}
    for rule, rows in cells.rows.items():
        gpus = of_profile(setting.args, rule)
        found[rule] = {}
        for cell, row in rows.items():
            row = row if gpus is None else row | {"gpus": gpus}
            found[rule][cell] = [
                _rounded(estimate(rule, row, device, setting.actuals, setting.machines, cell))
                for device in _devices(rule, row, setting)
            ]
    return found


def _devices(rule: str, row: dict, setting: Setting) -> list[str]:
    """Return the device types that a job may get, each once, the likeliest first."""
    pools = pools_of(row, setting.cluster, setting.gpu)
    return list(dict.fromkeys(fitting(rule, row, pools, setting.machines).values()))


def _rounded(guess: Estimate) -> Estimate:
    return guess._replace(**{bound: round(getattr(guess, bound), 3) for bound in BOUNDS})


def of_profile(args: argparse.Namespace, rule: str) -> int | None:
    """Return the GPUs that Snakemake's options give each job of a rule, whatever the config says.

    None where they give none, or by an expression, for which only a job has the values.
    """
    resource = ((args.set_resources or {}).get(rule) or {}).get("gpu")
    return None if resource is None or resource.is_evaluable() else resource.value
