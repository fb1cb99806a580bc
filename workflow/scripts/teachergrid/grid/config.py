"""Check the config before any job starts, without any model present, and complete it with defaults, commits and seeds.

Every error is a BadInput that names the key and the remedy.
"""

from pathlib import Path

from ..engines.engine import ENGINES, generates
from ..errors import BadInput
from ..evaluation import judge_prompts
from ..evolution import entries
from ..hub import pins
from ..metrics import entry_checks
from ..scoring import classifier, ratings, similarity
from ..spec import benchmarks, names, recipes, schema, sweeps, validation, zoos
from ..spec.seeds import derived_seed
from ..spec.spelling import known
from ..tasks import checkers
from . import config_data, config_grids, config_paths

MODELED = ("teachers", "bases", "references", "scorers", "rewards", "judges")
ANY = "any"  # in place of a scorer: a derived corpus that is the same for all bases


def checked(config: dict) -> dict:
    """Return the config with every default and pinned commit filled in, seeds derived and chat templates read.

    Args:
        config: as YAML reads it; it is not changed.
    Raises:
        BadInput: for the first mistake that is found.
    """
    names.check_values(config)
    config = recipes.expand(benchmarks.expand(zoos.with_teachers(with_named_models(config))))
    schema.refuse_unknown_keys(config)
    validation.refuse_invalid(config)
    config = schema.filled(validation.with_whole_numbers(config), schema.read(), outside_too=True)
    zoos.expand(config)
    sweeps.expand(config, {*filter(generates, ENGINES)})
    pins.fill(config)
    _expand_all(config)
    entries.expand(config)
    for check in CHECKS:
        check(config)
    for complete in COMPLETIONS:
        complete(config)
    return config


def with_named_models(config: dict) -> dict:
    """Return the config with each model that is written inside an entry moved to `models`, under the entry's name.

    Raises BadInput where `models` already has another model of this name.
    """
    if not isinstance(config.get("models") or {}, dict):
        raise BadInput("config.models: is not a mapping; write `NAME: {repo: ...}` for each model")
    models, config = dict(config.get("models") or {}), dict(config)
    for kind in MODELED:
        entries = config.get(kind)
        if not isinstance(entries, dict):
            continue
        config[kind] = dict(entries)
        for name, entry in entries.items():
            if not isinstance(entry, dict) or not isinstance(entry.get("model"), dict):
                continue
            if models.get(name, entry["model"]) != entry["model"]:
                raise BadInput(
                    f"config.{kind}.{name}.model: config.models has another '{name}'; name that one, or rename"
                )
            models[name] = entry["model"]
            config[kind][name] = {**entry, "model": name}
    return {**config, "models": models}


def _expand_all(config: dict) -> None:
    """Replace `all` by the names that it means, sorted, so that the order of keys in the file changes no result."""
    for corpus in config["corpora"].values():
        if corpus["teachers"] == "all":
            corpus["teachers"] = sorted(config["teachers"])
    for block in config["grids"].values():
        for key in config_grids.NAMED:
            if block[key] == "all":
                block[key] = sorted(config[key])
        if block["references"] == "all":
            bases = (None, *block["bases"])
            # published answers are those to one suite, so they stand only where a block names them
            running = ((r, entry) for r, entry in config["references"].items() if entry["source"] is None)
            block["references"] = sorted(r for r, entry in running if entry["base"] in bases)


# --- checks


def _models(config: dict) -> None:
    revisions: dict[str, tuple[str, str | None]] = {}
    for name, model in config["models"].items():
        _server(config, name, model)
        if model["parent"] is not None:
            known(f"config.models.{name}.parent", model["parent"], config["models"])
        if model["repo"] is None:
            continue
        first, revision = revisions.setdefault(model["repo"], (name, model["revision"]))
        if revision != model["revision"]:
            raise BadInput(
                f"config.models.{name}.revision: '{model['repo']}' is also config.models.{first} with revision "
                f"{revision}; use one revision, or one entry"
            )
    for kind in MODELED:
        for name, entry in config[kind].items():
            if entry["model"] is not None:
                known(f"config.{kind}.{name}.model", entry["model"], config["models"])


def _server(config: dict, name: str, model: dict) -> None:
    """Raise BadInput for a model that is neither loaded nor served by an endpoint, or both."""
    where = f"config.models.{name}"
    if (model["repo"] is None) == (model["api"] is None):
        raise BadInput(f"{where}: state either 'repo' or 'api'")
    if (model["api"] is None) != (model["endpoint"] is None):
        raise BadInput(f"{where}: 'api' and 'endpoint' go together; state both, or neither")
    if model["endpoint"] is not None:
        known(f"{where}.endpoint", model["endpoint"], config["endpoints"])
    for kind in MODELED:
        for user, entry in config[kind].items():
            chosen = kind in ("teachers", "judges")
            served = chosen and ENGINES[entry["engine"]].by_endpoint
            if entry["model"] == name and served != (model["api"] is not None) and (served or model["api"]):
                lack = "'api'" if served else "'repo'"
                other = f"; name another model, or the `engine` that {'loads' if served else 'asks for'} it" * chosen
                raise BadInput(f"config.{kind}.{user}.model: '{name}' has no {lack}, which it needs here{other}")


def _endpoints(config: dict) -> None:
    for name, entry in config["endpoints"].items():
        if entry["cap_usd"] is not None and None in (entry["usd_in"], entry["usd_out"]):
            raise BadInput(f"config.endpoints.{name}.cap_usd: it needs the prices; state 'usd_in' and 'usd_out'")


def _templates(config: dict) -> None:
    for kind in MODELED:
        for name, entry in config[kind].items():
            if entry["template"] != "own":
                config_data.require_file(f"config.{kind}.{name}.template", entry["template"])


def _teachers(config: dict) -> None:
    for name, teacher in config["teachers"].items():
        needed = ENGINES[teacher["engine"]].key
        if needed is not None and teacher[needed] is None:
            raise BadInput(f"config.teachers.{name}: engine '{teacher['engine']}' needs the key '{needed}'")
        if (teacher["written_by"] is None) != (teacher["fields"]["teacher"] is None):
            raise BadInput(
                f"config.teachers.{name}.written_by: state it together with `fields.teacher`, the column in which it is the teacher's "
                "name, or leave out both"
            )
        for key in ("source", "of"):
            if key != needed and teacher[key] is not None:
                raise BadInput(
                    f"config.teachers.{name}.{key}: engine '{teacher['engine']}' does not read it; remove it, or write the `engine` that does"
                )


def _rewards(config: dict) -> None:
    for name, reward in config["rewards"].items():
        where = f"config.rewards.{name}"
        if sum(reward[key] is not None for key in ("model", "checker", "column")) != 1:
            raise BadInput(f"{where}: state either 'model' or 'checker', or the 'column' of published rewards")
        if reward["checker"] is not None:
            checkers.refuse_wrong(f"{where}.checker", reward)
        classifier.check(where, reward)
        ratings.check(where, reward)
        similarity.check(where, reward)


def _scorers(config: dict) -> None:
    for name in sorted(config["scorers"].keys() & config["bases"].keys()):
        raise BadInput(f"config.scorers.{name}: a base has this name and scores under it; remove the scorer")
    for kind in ("bases", "scorers"):
        if ANY in config[kind]:
            raise BadInput(f"config.{kind}.{ANY}: this name is reserved; rename it")


def _recipes(config: dict) -> None:
    for name, recipe in config["recipes"].items():
        if recipe["keep"] == "adapter" and recipe["lora"] is None:
            raise BadInput(f"config.recipes.{name}.keep: 'adapter' needs 'lora'; write model or none")
        divides = recipe["deepspeed"] in ("zero3", "zero3_offload")
        if divides and recipe["lora"] and recipe["lora"]["quantize"]:
            raise BadInput(
                f"config.recipes.{name}.lora.quantize: ZeRO-3 cannot divide 4-bit weights; write `deepspeed: zero2`, or null"
            )
        if recipe["deepspeed"] == "zero3_offload" and recipe["optim"] != "adamw_torch_fused":
            raise BadInput(
                f"config.recipes.{name}.optim: zero3_offload has an AdamW of its own; leave `optim` out, or write `deepspeed: zero3`"
            )


def _metrics(config: dict) -> None:
    for name, metric in config["metrics"].items():
        entry_checks.check(config, f"config.metrics.{name}", metric)


def _corpora(config: dict) -> None:
    for name, corpus in config["corpora"].items():
        known(f"config.corpora.{name}.instructions", corpus["instructions"], config["instructions"])
        for teacher in corpus["teachers"]:
            known(f"config.corpora.{name}.teachers", teacher, config["teachers"])


def _references(config: dict) -> None:
    for name, reference in config["references"].items():
        where = f"config.references.{name}"
        config_paths.check_answers(where, reference)
        if reference["base"] is not None:
            known(f"{where}.base", reference["base"], config["bases"])
        elif reference["role"] != "other":
            raise BadInput(f"{where}.base: a reference with role '{reference['role']}' names its base")


# --- completions


def _name_prompts(config: dict) -> None:
    """Replace the instruction sets that tasks are made from, or show examples from, by the files that the sets' own jobs write."""
    for task in config["tasks"].values():
        if task["instructions"] is not None:
            task["prompts"] = config_data.made_by(task["instructions"])
        if task["shots"]["source"] in config["instructions"]:
            task["shots"]["source"] = config_data.made_by(task["shots"]["source"])


def _read_templates(config: dict) -> None:
    """Replace the path of each chat template by its text, so that specs depend on the content, not on where the file lies."""
    for kind in MODELED:
        for entry in config[kind].values():
            if entry["template"] != "own":
                entry["template"] = Path(entry["template"]).read_text()
    for judge in config["judges"].values():
        if judge["prompt"] not in (None, judge_prompts.OWN):
            judge["prompt"] = Path(judge["prompt"]).read_text()


def _derive_seeds(config: dict) -> None:
    """Derive each seed that the config does not state from the root seed."""

    def derive(entry: dict, purpose: str) -> None:
        if entry["seed"] is None:
            entry["seed"] = derived_seed(config["seed"], purpose)

    for name, entry in config["instructions"].items():
        if entry["sample"] is not None:
            derive(entry, f"instructions/{name}")
    # all teachers share one seed: the noise of a row follows from the seed, its id and its sample
    samplings = [(teacher["sampling"], "generation") for teacher in config["teachers"].values()]
    samplings += [(task["sampling"], "evaluation") for task in config["tasks"].values()]
    for sampling, purpose in samplings:
        # greedy decoding uses no seed: without one in its spec, another root seed reruns nothing
        if sampling["temperature"] > 0:
            derive(sampling, purpose)
    for name, corpus in config["corpora"].items():
        derive(corpus, f"corpora/{name}")
    for block in config["grids"].values():
        derive(block, "bootstrap")


# run in this order; each may raise BadInput, none changes the config
CHECKS = (
    names.check,
    _models,
    _endpoints,
    config_data.check_tasks,
    config_data.check_files,
    _templates,
    _teachers,
    _rewards,
    _scorers,
    _recipes,
    _metrics,
    _corpora,
    _references,
    config_data.check,
    config_grids.check_judges,
    config_grids.check,
    config_data.check_published,
    config_paths.check_opponents,
    config_paths.check,
)
# run after the checks, in this order; they change the config
COMPLETIONS = (
    _name_prompts,
    config_data.label_stripped,
    config_grids.add_pilot_subsets,
    config_grids.name_gamed,
    _read_templates,
    _derive_seeds,
)
