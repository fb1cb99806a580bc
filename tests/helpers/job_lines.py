"""Lines of finished jobs, as the index of jobs holds them."""

import json

from teachergrid.store.job_index import INDEX


def job_line(folder, rule, cell, seconds, when=1, **more):
    said = {
        "seconds": seconds,
        "cpu_seconds": 1.0,
        "device": "h100",
        "gpus": 1,
        "nodes": 1,
        "parameters": 7.0,
        "settings": {},
    }
    (folder / INDEX).mkdir(exist_ok=True, parents=True)
    with (folder / INDEX / "host").open("a") as file:
        file.write(f"{when} {rule} {cell} f {json.dumps({**said, **more}, separators=(',', ':'))}\n")
