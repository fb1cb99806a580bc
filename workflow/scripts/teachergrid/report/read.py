"""Read all that a report shows from the files of its job; where a file is missing, the page says so."""

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import pyarrow.parquet as pq
import yaml

from ..analysis import evolution
from ..analysis.evidence import circular, in_words
from ..analysis.pilot import regret
from ..cost.saved_estimates import compared
from ..data import contamination, health
from ..hub import folders
from ..job import attempts, failures
from ..spec import canonical, config_files
from ..spec.ids import Responses
from ..store import artifacts, inputs, origin
from . import samples

TABLES = {
    "performance": artifacts.PERFORMANCE,
    "metrics": artifacts.GRID_METRICS,
    "correlations": artifacts.CORRELATIONS,
    "effects": artifacts.EFFECTS,
    "lineage": artifacts.LINEAGE,
}
VERSIONS = ["snakemake", "torch", "transformers", "tokenizers", "trl", "accelerate", "datasets", "numpy", "pyarrow"]


class InputFiles(Protocol):
    """The inputs of the rule `report`, as Snakemake passes them."""

    tables: Sequence[str]
    instructions: Sequence[str]
    responses: Sequence[str]
    rewards: Sequence[str]
    health: Sequence[str]
    answers: Sequence[str]
    verified: Sequence[str]
    pilots: Sequence[str]
    complete: Sequence[str]
    graded: Sequence[str]


def grid(files: InputFiles, prompts: dict, settings: dict, results: str, paid_by: evolution.Paid) -> dict:
    """Return the data of page.build.

    files: the job's inputs; prompts: {task: table of artifacts.INSTRUCTIONS}; settings: of the job; results: folder; paid_by: of a job.
    """
    tables = {Path(path).stem: path for path in files.tables}
    made_from = origin.read(tables["performance"])
    assert made_from is not None, "tables of a grid say what they were made from"
    grid_settings = canonical.load(made_from["spec"])
    rewards = {(Path(path).parent.name, Path(path).stem): path for path in files.rewards}
    responses: dict[tuple[str, str], str] = {Responses.parse(Path(path).stem): path for path in files.responses}
    joined = settings.get("joined") or {}
    return {
        "title": settings["title"],
        "config_files": config_files.in_use(),
        "settings": grid_settings,
        **{name: artifacts.read(tables[name], schema).to_pylist() for name, schema in TABLES.items()},
        "recommendation": yaml.safe_load(Path(tables["recommendation"]).read_text()),
        "pilot": pilot(files, settings),
        "contamination": [row for path in files.instructions for row in contaminated(path, prompts)],
        "evolved": (evolved := [row for path in files.instructions for row in evolution.summary(path)]),
        "evolution_costs": [
            row
            for path in files.instructions
            if (row := evolution.cost(path, results, joined.get(Path(path).stem, ()), paid_by))
        ],
        "grades": graded(files.graded, settings.get("graded") or {}),
        # beside evolved sets, their seeds too
        "evolution_scores": [row for path in files.instructions if evolved for row in evolution.scores(path, rewards)],
        "sizes": {Path(path).stem: pq.read_metadata(path).num_rows for path in files.instructions},
        "health": {Path(path).stem: checks(path, grid_settings["gates"]) for path in files.health},
        "samples": samples.samples(
            files.instructions,
            responses,
            {Responses.parse(name): path for (reward, name), path in sorted(rewards.items())},
            prompts,
            {(Path(path).parent.name, Path(path).stem): path for path in files.answers},
            {(Path(path).parents[1].name, Path(path).parent.name): path for path in files.verified},
        ),
        "rewards": samples.reward_means(rewards),
        "reward_quality": (quality := reward_quality(files.rewards)),
        "circular": (shared := circular(settings["judges"], grid_settings["metrics"])),
        "losses": [name for name, judge in settings["judges"].items() if judge.get("loss")],
        "derived": {name: judge["of"] for name, judge in settings["judges"].items() if judge.get("of")},
        "notes": [
            *circular_notes(settings["judges"], shared),
            *family_notes(grid_settings.get("kin") or {}),
            *weak(quality),
        ],
        "stages": samples.stages(f"{results}/benchmarks"),
        "estimates": compared(results, samples.timed(f"{results}/benchmarks")),
        "failures": failed(results, grid_settings),
        "provenance": provenance(
            grid_settings, settings["models"], made_from, digests([*files.responses, *files.rewards, *files.answers])
        ),
    }


def graded(paths: Sequence[str], sets: dict[str, dict]) -> list[dict]:
    """Return rows of evolution.GRADES. sets: {graded set: {"of", "by"}}."""
    return [row for path in paths for row in evolution.grades(path, **sets[Path(path).stem])]


def pilot(files: InputFiles, settings: dict) -> dict | None:
    """Return the result of a grid's pilot, what it saved, and what it lost where another grid trains all students."""
    if not files.pilots:
        return None
    result = json.loads(Path(files.pilots[0]).read_text())
    tables = [artifacts.read(path, artifacts.PERFORMANCE).to_pylist() for path in files.complete]
    loss = regret(result, tables[0]) if tables else None
    return {**result, "saved": settings["saved"], "regret": loss}


def circular_notes(judges: dict, shared: dict[str, list[str]]) -> list[str]:
    """Return a warning for every judge whose reward is also in a metric. shared: {judge: those metrics}."""
    return [
        f"The win rate {name} is decided by the reward {judges[name]['reward']}, which is also part of "
        f"{', '.join(sorted(metrics))}: that they agree is circular and proves nothing."
        for name, metrics in shared.items()
    ]


def family_notes(kin: dict[str, dict]) -> list[str]:
    """Return a warning for every judge that may favour a teacher or base. kin: of the settings of `correlate`."""
    return [
        f"The judge {name} {in_words(judge['family'], judge['names'])}: it may favour what they write. Let a judge of another family "
        "decide, too."
        for name, judge in sorted(kin.items())
    ]


def weak(quality: list[dict]) -> list[str]:
    """Return a warning for every reward that hardly separates right from wrong responses to the same prompt."""
    return [
        f"The reward {row['reward']} ranks the right of a right and a wrong response to the same prompt higher in only "
        f"{100 * row['same_prompt_accuracy']:.0f} % of {row['n_pairs']} pairs (50 % is chance): conclusions from it are weak."
        for row in quality
        if row["same_prompt_accuracy"] is not None and row["same_prompt_accuracy"] < 0.75
    ]


def reward_quality(paths: Sequence[str]) -> list[dict]:
    """Return how well each reward agrees with the first one that only takes the values 0 and 1, a verifier."""
    by_reward = inputs.by_folder(paths)
    verifiers = [name for name, sources in by_reward.items() if is_verifier(sources)]
    if not verifiers:
        return []
    others = {name: sources for name, sources in by_reward.items() if name not in verifiers}
    return samples.reward_quality(by_reward[verifiers[0]], others)


def checks(path: str, gates: dict) -> list[dict]:
    return health.limited(artifacts.read(path, artifacts.HEALTH).to_pylist(), gates)


def contaminated(path: str, prompts: dict) -> list[dict]:
    """Return the rows of artifacts.CONTAMINATION of one instruction set: what was removed from it, and what is in it."""
    removed = Path(f"{path}.removed")
    removed_rows = artifacts.read(removed, artifacts.CONTAMINATION).to_pylist() if removed.exists() else []
    present_rows = contamination.find(artifacts.read(path, artifacts.INSTRUCTIONS), prompts)
    return removed_rows + [{"instructions": Path(path).stem, "removed": False, **row} for row in present_rows]


def is_verifier(sources: dict) -> bool:
    """Return whether a reward only has the values 0 and 1. sources: {responses: path}."""
    values = [
        artifacts.read(path, artifacts.REWARDS, ["reward"])["reward"].unique().to_pylist() for path in sources.values()
    ]
    return {value for column in values for value in column} <= {0.0, 1.0, None}


def failed(results: str, grid_settings: dict) -> list[dict]:
    """Return the cells of a grid whose last try died, each with its class and the line that decided it."""
    names = {
        part
        for student in grid_settings["students"]
        for part in (student["student"], student["corpus"], student["base"])
    }
    names |= {reference["name"] for reference in grid_settings["references"]} | {
        corpus for _, corpus in grid_settings["pairs"]
    }
    return [
        {
            "cell": record.cell,
            "rule": record.rule,
            "kind": record.kind,
            "reason": record.line + earlier(results, record),
            "log": record.log,
        }
        for record in failures.read(results).values()
        if names & set(record.cell.split("/"))
    ]


def earlier(results: str, record: failures.Record) -> str:
    """Return the earlier tries of a failed cell in words; "" where there was none."""
    kinds = [one.kind for one in attempts.read(results, record.rule, record.cell)]
    return f" (before: {', '.join(kinds)})" if kinds else ""


def digests(paths: Sequence[str]) -> dict[str, str]:
    """Return {model folder without a revision: its digest} of the models that made these files."""
    return {
        folder: digest for path in paths for folder, digest in ((origin.read(path) or {}).get("folders") or {}).items()
    }


def provenance(grid_settings: dict, models: dict, made_from: dict, made_with: dict[str, str]) -> dict:
    """Return what made the numbers of a grid. made_with: as `digests` returns it; other folders are shown as they are now."""
    shown = folders.described(models.values()) | {name: folders.shown(digest) for name, digest in made_with.items()}
    return {
        "config": {"digest of the grid's settings": hashlib.sha256(made_from["spec"].encode()).hexdigest()[:16]},
        "models": {
            name: model.get("revision")
            or (
                f"{model['repo']} ({shown.get(model['repo'], 'unpinned')})"
                if model.get("repo")
                else f"{model.get('api')} (an endpoint)"
            )
            for name, model in models.items()
        },
        "seeds": {"SFT": grid_settings["grid"]["seeds"], "bootstrap": grid_settings["grid"]["seed"]},
        "inputs": len(made_from["inputs"]),
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in VERSIONS},
        },
    }
