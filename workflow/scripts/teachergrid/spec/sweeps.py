"""One teacher at many settings of sampling, from one line.

    teachers:
      gemma: {model: gemma, sweep: {temperature: [0.3, 0.7, 1], top_p: [0.9, 1]}}

makes six more teachers, from gemma-t0.3-p0.9 to gemma-t1-p1, which differ from gemma in these values alone. gemma itself stays.
"""

import copy
from itertools import product
from typing import Any

from ..errors import BadInput

MARKS = {"temperature": "t", "top_p": "p", "top_k": "k"}  # key of `sampling`: what stands before its value in a name
DRAWS_NOTHING = "a temperature of 0 draws nothing, so all of these would be one teacher"


def expand(config: dict, drawing: set[str]) -> None:
    """Add the teachers of all sweeps to `teachers`. Changes the config, in which all defaults are filled in.

    drawing: the engines that draw tokens by the teacher's `sampling`.
    Raises BadInput where a sweep changes nothing, or makes a teacher that is there already.
    """
    for name, entry in list(config["teachers"].items()):
        sweep, entry["sweep"] = entry["sweep"], {}
        if not sweep:
            continue
        where = f"config.teachers.{name}.sweep"
        if entry["engine"] not in drawing:
            raise BadInput(f"{where}: engine '{entry['engine']}' draws nothing; leave `sweep` out")
        for values in product(*sweep.values()):
            point = dict(zip(sweep, values, strict=True))
            made = name_of(name, point)
            sampling = {**entry["sampling"], **point}
            if sampling == entry["sampling"]:
                raise BadInput(f"{where}: '{made}' would be '{name}' again; leave these values out of `sweep`")
            if not sampling["temperature"]:
                raise BadInput(
                    f"{where}: {DRAWS_NOTHING}; leave 0 out of `sweep.temperature`, or set `sampling.temperature`"
                )
            if made in config["teachers"]:
                raise BadInput(f"{where}: there is a teacher '{made}'; rename it, or leave its values out of `sweep`")
            config["teachers"][made] = {**copy.deepcopy(entry), "sampling": sampling}


def name_of(teacher: str, point: dict[str, Any]) -> str:
    """Return the name of a teacher at a point of a sweep. point: {key of `sampling`: value}."""
    return "-".join([teacher, *(f"{MARKS[key]}{point[key]:g}" for key in MARKS if key in point)])
