"""Jobs of a plan and probes of them, made by hand."""

from teachergrid.cost import actuals, machines, workload
from teachergrid.probe import kinds
from teachergrid.spec import canonical
from workspace import ROOT

HERE = machines.read()
NOTHING = actuals.Actuals({}, {})
TINY = {"repo": str(ROOT / "workflow/miniworld/models/bs"), "revision": None, "dtype": "float32"}


def job(rule="likelihood", cell="b/i__t", model=TINY, gpus=1, nodes=1, deepspeed=None, **parts) -> dict:
    parts = parts or {"likelihood": {}}
    row = {"spec": canonical.dump(model=model, **parts), "parameters": None, "gpus": gpus, "nodes": nodes, "rows": 100}
    return {"rule": rule, "cell": cell, "row": row | {"deepspeed": deepspeed}, "threads": 1}


def as_probe(row: dict, seconds=10.0, more_seconds=5.0, device="cpu", rule="likelihood", cell="b/i__t", **more):
    """A probe of 16 rows and 32 more."""
    on_cpu = {"gpus": 0} if device == "cpu" else {}
    done = workload.of_row(rule, row)._replace(rows=16, **on_cpu, **more)
    model = kinds.named(row)
    return actuals.Probe(rule, cell, model, done, device, seconds, done._replace(rows=32), more_seconds, 1.0, None, 1.0)
