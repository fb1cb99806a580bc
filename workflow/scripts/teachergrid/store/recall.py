"""What each output was really made from, compared with what is there now. Contents decide, not times, names or records.

Snakemake decides by its records, and looks at the contents of those inputs only that are newer than the output. So an input that
was replaced by an older file, and an output that is not the one of its record, go unnoticed. Before Snakemake reads its records,
this module compares each with the origin inside the output (store.origin), and the origin with the inputs as they are now. Where
they differ it states the record as it should be: Snakemake then plans what has changed, and nothing else.

A data file that has another name but the same content changes nothing.
"""

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from .. import units
from ..errors import BadInput
from . import history, origin
from .contents import MISSING, Contents, signature
from .history import Record

OUTPUTS = {".parquet", ".json", ".html", ".yaml", ".passed"}
NOT_OUTPUTS = {"logs", "benchmarks"}  # at the top of the results
UNKNOWN: Record = {
    "record_format_version": history.FORMAT,
    "incomplete": False,
    "params": ["'unknown origin'"],
    "input_checksums": {},
}
OTHER_INPUT = "made from another input: "
# an input changed so shortly before its consumer was finished is compared by its content
CLOSE_S = 2.0
# (rule, output) -> the paths of the inputs from outside the results, in their order; None for a job that is not in the grid
Planned = Callable[[str, str], list[str] | None]
# (model folder, digests) -> the digest of its files
FolderDigest = Callable[[str, Contents], str]


class Made(NamedTuple):
    """What an origin says, in short.

    key: hash of the rule, the spec and the inputs inside the results. outside: (path, sha256) of the other inputs. ordered: whether
    `outside` is in their order; older origins do not hold it. folders: {model folder: digest}.
    """

    key: str
    outside: list[tuple[str, str]]
    ordered: bool
    folders: dict[str, str]


def outputs(results: str) -> Iterator[str]:
    """Yield the paths of all outputs, including those in linked folders of other users."""
    seen = set()
    for folder, inner, names in os.walk(results, followlinks=True):
        place = os.stat(folder)
        if (place.st_dev, place.st_ino) in seen:  # a link to a folder above it
            inner.clear()
            continue
        seen.add((place.st_dev, place.st_ino))
        kind, *below = os.path.relpath(folder, results).split(os.sep)
        if kind == "students" and below:
            inner.clear()  # weights and checkpoints, whose files are not outputs
        inner[:] = [name for name in inner if not name.startswith(".") and not (kind == "." and name in NOT_OUTPUTS)]
        # files directly in the results, such as run.json, are not outputs of jobs
        for name in names if kind != "." else ():
            suffix = os.path.splitext(name)[1]
            if suffix in OUTPUTS and not (kind == "students" and suffix == ".parquet"):
                yield os.path.join(folder, name)


def report_unknown(corrected: dict[str, Record]) -> None:
    """Name on stderr the outputs of unknown origin. corrected: of Recall.corrections."""
    if unknown := [output for output, record in corrected.items() if record is UNKNOWN]:
        others = f" and {len(unknown) - 3} others" if len(unknown) > 3 else ""
        print(f"of unknown origin, so made again where needed: {', '.join(unknown[:3])}{others}", file=sys.stderr)


def date_back(paths: Iterable[str]) -> None:
    """Give files that are dated in the future the present time.

    Snakemake deletes an output that is older than an input, so that all work on a file of tomorrow (from an archive with local
    times, or a machine whose clock is ahead) would be lost. Dates decide nothing else, since contents are compared.

    Raises BadInput for a file of another user.
    """
    for path in paths:
        with suppress(FileNotFoundError):
            ahead_s = os.stat(path).st_mtime - time.time()
            if ahead_s <= 0:
                continue
            try:
                os.utime(path)
            except OSError as error:
                raise BadInput(
                    f"{path} is dated {units.span(ahead_s)} in the future ({error.strerror}): its owner has to `touch` it, since "
                    "Snakemake deletes what is made from it; is a clock wrong?"
                ) from error
            print(f"{path} was dated {units.span(ahead_s)} in the future; it has the present time now", file=sys.stderr)


class Recall:
    """Compares records, origins and inputs of one results folder.

    planned, folder_digest: see Planned, FolderDigest. contents: digests of files.
    """

    def __init__(self, results: str, planned: Planned, folder_digest: FolderDigest, contents: Contents) -> None:
        self.results, self.planned, self.folder_digest, self.contents = results, planned, folder_digest, contents
        self.inside = f"{results}/"
        self.now_ns = time.time_ns()
        self.ahead: list[str] = []  # outputs that are dated in the future
        self.changed_at: dict[str, float] = {}
        self.linked: dict[str, bool] = {}

    def corrections(self) -> dict[str, Record]:
        """Return {output: the record that Snakemake should read} of all outputs whose record is not that."""
        found = {}
        for output in outputs(self.results):
            if (record := self.correction(output)) is not None:
                found[output] = record
        return found

    def correction(self, output: str) -> Record | None:
        """Return the record that Snakemake should read of an output; None where its record is right."""
        record = history.read(self.results, output)
        try:
            made = self.made(output)
        except FileNotFoundError:  # a link to a file that is gone: there is no output
            return None
        except (OSError, ValueError):  # it cannot be read, or what it says of its origin is damaged
            made = None
        else:
            if made is None and record is not None and "rule" in record:
                return None  # an output without an origin, with a record
        if made is None:
            return None if record is not None and record["params"] == UNKNOWN["params"] else UNKNOWN
        told = self.told(record)
        if record is None or told is None or self.key(record["rule"], record["params"][0], told) != made.key:
            record = self.record_of(output)
        right = self.judged(output, record, made)
        return None if right == history.read(self.results, output) else right

    # --- origins and records

    def made(self, output: str) -> Made | None:
        """Return what the origin of an output says; None where it has none. Raises OSError, ValueError."""
        name = f"origin of {output}"
        stat = os.stat(output)
        if stat.st_mtime_ns > self.now_ns:
            self.ahead.append(output)
        signed = [signature(stat)]
        with suppress(FileNotFoundError):
            signed.append(signature(os.stat(f"{output}.origin")))
        known = self.contents.remembered(name, signed)
        if known is None:
            known = self._made(output)
            self.contents.remember(name, signed, known)
        return Made(known[0], [(path, sha) for path, sha in known[1]], *known[2:]) if known else None

    def _made(self, output: str) -> list | None:
        made_from = origin.stated(output)
        if made_from is None:
            return None
        inputs = made_from["inputs"]
        told = {path: sha for path, sha in inputs.items() if path.startswith(self.inside)}
        order = made_from.get("files")
        outside = [(path, inputs[path]) for path in order or inputs if path not in told]
        key = self.key(made_from["rule"], repr(made_from["spec"]), told)
        return [key, outside, order is not None, made_from.get("folders") or {}]

    @staticmethod
    def key(rule: str, spec: str, inputs: dict[str, str]) -> str:
        """Return a hash of what made an output. spec: as Snakemake records it. inputs: {path inside the results: sha256}."""
        return hashlib.sha256(json.dumps([rule, spec, sorted(inputs.items())]).encode()).hexdigest()[:24]

    def told(self, record: Record | None) -> dict[str, str] | None:
        """Return {path: sha256} of the inputs inside the results, as a record has them; None for the record of an unknown origin."""
        if record is None or "rule" not in record or not record["params"]:
            return None
        return {path: sha for path, sha in record["input_checksums"].items() if path.startswith(self.inside)}

    def record_of(self, output: str) -> Record:
        """Return the record of an output as its origin states it."""
        made_from = origin.stated(output)
        assert made_from is not None
        return {
            "record_format_version": history.FORMAT,
            "incomplete": False,
            "rule": made_from["rule"],
            "params": [repr(made_from["spec"])],
            "input": sorted(made_from["inputs"]),
            "input_checksums": made_from["inputs"],
        }

    # --- what is there now

    def judged(self, output: str, record: Record, made: Made) -> Record:
        """Return a record as it should be, by what the inputs are now. record: agrees with the origin `made`."""
        told = {path: sha for path, sha in record["input_checksums"].items() if path.startswith(self.inside)}
        finished = record.get("endtime") or 0.0
        changed = [path for path, sha in told.items() if not self.same(path, sha, finished)]
        outside, names = dict(made.outside), [path for path, _ in made.outside]
        files = self.planned(record["rule"], output)
        if files is None:
            changed += [path for path, sha in outside.items() if self.contents.of(path) not in (sha, MISSING)]
        else:
            now = [self.contents.of(path) for path in files]
            if MISSING in now:
                pass  # Snakemake says so where the file is needed
            elif self.agree(now, made):
                outside, names = dict(zip(files, now, strict=True)), files
            else:
                changed += [path for path, sha in zip(files, now, strict=True) if outside.get(path) != sha] or files
        changed += [
            folder for folder, digest in made.folders.items() if self.folder_digest(folder, self.contents) != digest
        ]
        inner = [path for path in record.get("input") or told if path.startswith(self.inside)]
        return record | {
            "params": [
                record["params"][0],
                *([repr(OTHER_INPUT + ", ".join(sorted(set(changed))))] if changed else []),
            ],
            "input": sorted([*inner, *names]),
            "input_checksums": {**told, **outside},
        }

    @staticmethod
    def agree(now: list[str], made: Made) -> bool:
        """Whether the planned files have the contents that an output was made from. now: their digests, in their order."""
        before = [sha for _, sha in made.outside]
        return now == before if made.ordered else set(now) == set(before)

    def same(self, path: str, sha: str, finished: float) -> bool:
        """Whether an input inside the results is still what it was when its consumer was finished; also where it is gone.

        Its content was compared then. The time of change of a file cannot be set, so a file that has not changed since need not be
        read again. A file in a linked folder is read: another folder may be linked now.
        """
        folder = os.path.dirname(path)
        if folder not in self.linked:
            self.linked[folder] = os.path.realpath(folder) != os.path.join(os.path.realpath("."), folder)
        if not self.linked[folder]:
            if path not in self.changed_at:
                with suppress(FileNotFoundError):
                    self.changed_at[path] = max(os.lstat(path).st_ctime, os.stat(path).st_ctime)
            if self.changed_at.get(path, finished) < finished - CLOSE_S:
                return True
        return self.contents.of(path) in (sha, MISSING)
