"""What the Snakefile does when Snakemake reads it, begins its jobs, and ends.

Jobs read the Snakefile again when they start: on a cluster hours later, when the user may have edited the config for the next
experiment, and a pilot may have chosen anew. So the main process freezes the config and the choices of pilots in a file, and its
jobs read that file instead: each makes what was planned for it.
"""

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from ..cost import resources
from ..cost.workload import MODEL_RULES
from ..errors import BadInput
from ..hub import folders
from ..spec import config_files
from ..store import history, lock, origin, unfinished
from ..store.contents import Contents
from ..store.recall import Recall, date_back, report_unknown
from ..store.results import RESULTS
from .cells import Cells
from .config import checked
from .pilot import Chosen

FORMATS = ("chat", "plain")  # in the order of scoring.likelihood
FROZEN = ".runs"  # in the results
VARIABLE = "TEACHERGRID_RUN"  # names the frozen file, for the processes of a run; sbatch passes it on


def freeze(config: dict, chosen: dict[str, Chosen | None] | None = None) -> None:
    """Save what the jobs of this process start from, and set the environment variable by which they find it.

    Args:
        config: as config.checked returns it.
        chosen: what pilots had chosen.
    """
    text = json.dumps({"config": config, "chosen": chosen})
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    origin.replace_text(Path(RESULTS, FROZEN, f"{name}.json"), text)
    os.environ[VARIABLE] = name


def frozen() -> dict[str, Any] | None:
    """Return what `freeze` saved for the run of this process; None where it belongs to none, or that run has ended."""
    file = Path(RESULTS, FROZEN, f"{os.environ.get(VARIABLE, '')}.json")
    return json.loads(file.read_text()) if VARIABLE in os.environ and file.is_file() else None


def forget() -> None:
    """Remove what ended runs froze. Call it only while holding the lock, when no job of an earlier run is alive."""
    shutil.rmtree(Path(RESULTS, FROZEN), ignore_errors=True)


def put_back() -> None:
    """Put results back that a run was to replace and did not. Call it only while holding the lock, when no job is alive."""
    if back := unfinished.settle(RESULTS):
        others = f" and {len(back) - 3} others" if len(back) > 3 else ""
        print(f"not made again, so as before: {', '.join(back[:3])}{others}", file=sys.stderr)


class Start:
    """One start of Snakemake, or of one of its jobs.

    config: checked and complete. files: that it was read from. cells: its table of cells. corrected: see store.recall; {} in a job.
    distributions: further outputs of the rule `likelihood`, which has none unless the config asks for them.
    """

    def __init__(self, config: dict, files: list[str], is_main_process: bool) -> None:
        """Prepare the results, and read the config.

        Args:
            config: as Snakemake has it.
            files: the files that it was read from.
            is_main_process: Snakemake's word; false in a job.
        Raises:
            BadInput: the config has a mistake, or a job does not find what its run froze.
        """
        self.files, looks = files, history.is_looking()
        saved = None if looks else frozen()
        if saved:
            # `partial` is the option of one start, not of the run
            self.config = saved["config"] | ({"partial": config["partial"]} if "partial" in config else {})
        elif is_main_process or looks:
            config_files.refuse(files)
            with config_files.located(files):
                self.config = checked(config)
        else:
            raise BadInput(
                f"the config that this job was planned with is gone: {RESULTS}/{FROZEN}/{os.environ.get(VARIABLE)}.json; run again. "
                f"If this happens to every job: the scheduler must pass on the environment variable {VARIABLE}"
            )
        with config_files.located([] if saved else files):
            self.cells = Cells(self.config, {} if is_main_process or not saved else saved["chosen"])
        asked = self.config["likelihood"]["distributions"]
        self.distributions = [
            f"{RESULTS}/distributions/{{scorer}}/{form}/{{responses}}.parquet" for form in FORMATS if asked
        ]
        self.corrected = self._correct() if is_main_process else {}

    def _correct(self) -> dict[str, history.Record]:
        """Correct Snakemake's records, and return those that were corrected. Who only looks writes nothing."""
        try:
            history.follow(RESULTS)
        except OSError:
            if not history.is_looking():
                raise
        lock.warn_of_another(RESULTS)
        contents = Contents()
        recall = Recall(RESULTS, self.cells.outside_files, folders.digest, contents)
        corrected = recall.corrections()
        contents.save()
        report_unknown(corrected)
        corrected |= self._beside(corrected)
        if not history.is_looking():
            date_back([*recall.ahead, *self.cells.all_outside_files()])
            for output, record in corrected.items():
                history.write(RESULTS, output, record)
        return corrected

    def _beside(self, corrected: dict[str, history.Record]) -> dict[str, history.Record]:
        """Return records of distributions that are not there: those of the likelihoods of the same job.

        Snakemake compares a job's settings only where all of its outputs have a record. corrected: records of other outputs.
        """
        found: dict[str, history.Record] = {}
        for cell in self.cells.rows["likelihood"] if self.distributions else ():
            scorer, responses = cell.split("/")
            made = f"{RESULTS}/likelihoods/{scorer}/{FORMATS[0]}/{responses}.parquet"
            record = corrected.get(made) or history.read(RESULTS, made)
            paths = [path.format(scorer=scorer, responses=responses) for path in self.distributions]
            found |= {path: record for path in paths if record and not Path(path).exists()}
        return found

    def share(self, workflow: Any) -> None:
        """Limit how many jobs ask each endpoint at a time, where Snakemake's --resources states no such limit. workflow: Snakemake's."""
        for name in self.cells.endpoints():
            resource = resources.of_endpoint(name)
            if resource not in workflow.global_resources:
                workflow.register_resource(resource, resources.ENDPOINT_JOBS)

    def begin(self, dag: Any) -> None:
        """Take the lock, freeze what the jobs start from, and set aside what they will replace. dag: Snakemake's graph.

        Raises BadInput where another run holds the lock.
        """
        lock.take(RESULTS)
        freeze(self.config, self.cells.chosen)
        config_files.announce(self.files)
        costly = (job for job in dag.needrun_jobs() if job.rule.name in MODEL_RULES)
        unfinished.set_aside(str(output) for job in costly for output in job.output)

    def end(self) -> None:
        """Remove unfinished work on finished outputs. Unless `teachergrid run` holds the lock, put back what was not replaced, and release it."""
        unfinished.clear(RESULTS)
        if lock.is_held_here(RESULTS):
            put_back()
            forget()
            lock.release(RESULTS)
