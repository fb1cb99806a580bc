"""Stands in for a cell's work on the cluster: rows that follow from spec and inputs, made in parts that outlive a kill.

`faults.json` says how cells behave: {"rule wildcard/wildcard": {"seconds": a pause in each part, "waits": after how many parts it waits
for SlurmGrid.go(), "megabytes": memory held, "hangs": how many tries never end}}. Each try leaves tries/<rule>/<wildcards>/<n>.json,
touched for as long as it lives.
"""

import hashlib
import json
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from teachergrid.job import context
from teachergrid.store import origin, shards, unfinished

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

PARTS = 4
RESUMES = ("generate", "likelihood", "reward", "finetune", "answer", "judge")
ROWS = pa.schema([("id", pa.int64()), ("value", pa.string())])
SEEN = ("SLURM_JOB_ID", "SLURMD_NODENAME", "CUDA_VISIBLE_DEVICES")


def begin(rule: str, wildcards: list[str]) -> int:
    """Leave a sign of life that ends with this process; return the number of this try, from 1."""
    folder = Path("tries", rule, ",".join(wildcards))
    folder.mkdir(parents=True, exist_ok=True)
    number = 1 + len(list(folder.iterdir()))
    # whole as soon as it is there, and no try takes the place of another that starts at once
    aside = Path("tries", f".{os.getpid()}")
    aside.write_text(json.dumps({"begin": time.time(), **{name: os.environ.get(name) for name in SEEN}}))
    os.link(aside, folder / f"{number}.json")
    aside.unlink()

    def live():
        while True:
            os.utime(folder / f"{number}.json")
            time.sleep(0.2)

    threading.Thread(target=live, daemon=True).start()
    return number


def rows(made_from: dict, part: int) -> pa.Table:
    text = repr((made_from["spec"], sorted(made_from["inputs"].values()), part))
    values = [hashlib.sha256(f"{i}{text}".encode()).hexdigest() for i in range(3)]
    return pa.table({"id": [3 * part + i for i in range(3)], "value": values}, ROWS)


def write(path: str, table: pa.Table, made_from: dict) -> None:
    if path.endswith(".parquet"):
        part = f"{path}.part"
        pq.write_table(table.replace_schema_metadata({origin.KEY: origin.text(made_from)}), part)
        os.replace(part, path)
    elif path.endswith(".json"):
        origin.replace_text(path, json.dumps({"rows": table.to_pylist(), "origin": made_from}))
    else:
        origin.write_beside(path, made_from)
        # a page or a YAML file that says nothing
        origin.replace_text(path, "".join(f"# {value}\n" for value in table["value"].to_pylist()))


if __name__ == "__main__":
    rule, wildcards = snakemake.rule, [str(value) for value in snakemake.wildcards]
    faults = json.loads(Path("faults.json").read_text()) if Path("faults.json").exists() else {}
    fault = faults.get(f"{rule} {'/'.join(wildcards)}", {})
    number = begin(rule, wildcards)
    with context.running(snakemake) as (_, made_from):
        if number <= fault.get("hangs", 0):
            time.sleep(3600)
        held = os.urandom(1 << 20) * fault.get("megabytes", 0)

        def make(part: int) -> pa.Table:
            time.sleep(fault.get("seconds", 0))
            while part >= fault.get("waits", PARTS) and not Path("go", rule, ",".join(wildcards)).exists():
                time.sleep(0.2)
            return rows(made_from, part)

        if rule in RESUMES:
            folder = unfinished.folder(snakemake.output[0], made_from)
            tables = shards.run(folder, PARTS, make, ROWS, rule)
        else:
            tables = [make(part) for part in range(PARTS)]
        # long enough for the accounting to look
        time.sleep(5 if held else 0)
        for path in snakemake.output:
            write(path, pa.concat_tables(tables), made_from)
