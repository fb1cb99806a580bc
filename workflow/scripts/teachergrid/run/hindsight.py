"""Save an estimate of every cell when a run starts, so that it can be compared later with what the job took.

`store.estimates` holds and compares them. They come from the table of cells alone, without a graph of jobs, so they include cells
that are already made.
"""

import argparse
from collections.abc import Callable
from statistics import fmean
from typing import TYPE_CHECKING

from ..cost import saved_estimates
from ..cost.estimate import estimate
from ..cost.saved_estimates import BOUNDS, Estimate
from ..errors import BadInput
from ..planning.document import Setting
from ..planning.forecast import fitting, pools_of
from ..store import disk

if TYPE_CHECKING:
    from ..grid.cells import Cells
    from .options import Options


def note(cells: "Cells", request: "Options", results: str, say: Callable[[str], None]) -> dict[str, float]:
    """Save an estimate for each cell. Where none can be made, print the reason by `say` and go on.

    Return {rule: mean seconds of a job}, of the rules with jobs.
    """
    try:
        expectations = expected(cells, Setting.of(request.plan))
    except BadInput as error:
        say(f"no estimates are saved: {error}")
        return {}
    with disk.spared():
        saved_estimates.save(expectations, results)
    return {rule: fmean(each[0].expected for each in found.values()) for rule, found in expectations.items() if found}


def expected(cells: "Cells", setting: Setting) -> dict[str, dict[str, list[Estimate]]]:
    """Return {rule: {cell: estimates}}: one estimate for each device type that the job may get, the likeliest first.

    Raises:
        BadInput: for a GPU type that the machines do not know.
    """
    by_rule: dict[str, dict[str, list[Estimate]]] = {}
    for rule, rows in cells.rows.items():
        gpus = of_profile(setting.args, rule)
        by_rule[rule] = {}
        for cell, row in rows.items():
            row = row if gpus is None else row | {"gpus": gpus}
            by_rule[rule][cell] = [
                _rounded(estimate(rule, row, device, setting.actuals, setting.machines, cell))
                for device in _devices(rule, row, setting)
            ]
    return by_rule


def _devices(rule: str, row: dict, setting: Setting) -> list[str]:
    """Return the device types that a job may get, each once, the likeliest first."""
    pools = pools_of(row, setting.cluster, setting.gpu)
    return list(dict.fromkeys(fitting(rule, row, pools, setting.machines).values()))


def _rounded(estimate: Estimate) -> Estimate:
    return estimate._replace(**{bound: round(getattr(estimate, bound), 3) for bound in BOUNDS})


def of_profile(args: argparse.Namespace, rule: str) -> int | None:
    """Return the number of GPUs that Snakemake's options set for each job of a rule, which overrules the config.

    None where they set none, or set it by an expression, which can only be evaluated for a job.
    """
    resource = ((args.set_resources or {}).get(rule) or {}).get("gpu")
    return None if resource is None or resource.is_evaluable() else resource.value
