"""The config, checked before any job starts and without any model present, and completed with all defaults and seeds.

Every error is a BadInput that names the key and the remedy.
"""

import re
from pathlib import Path

from . import config_data, metric_entries, pins, ratings, schema, similarity
from .errors import BadInput
from .ids import Corpus, pilot_subset
from .names import known as _known
from .seeds import derived_seed
from .variants import Metric

MODELED = ("teachers", "bases", "references", "scorers", "rewards")
VERIFY = "verify"  # the judge that checks answers
ANY = "any"  # the scorer of a corpus that is the same for all bases


def checked(config: dict) -> dict:
    """Return the config with every default and pinned commit filled in, seeds derived and chat templates read.

    Raises BadInput.
    """
    config = with_named_models(config)
    schema.refuse_unknown_keys(config)
    _validate(config)
    config = schema.filled(config, schema.read(), outside_too=True)
    pins.fill(config)
    for check in (_models, _tasks, _files, _entries, config_data.check, _judges, _grids, _pilots, _imports):
        check(config)
    _read_templates(config)
    _derive_seeds(config)
    return config


def with_named_models(config: dict) -> dict:
    """Move a model that stands inside an entry to `models`, under the entry's name."""
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


def _validate(config: dict) -> None:
    import jsonschema

    for error in jsonschema.Draft202012Validator(schema.read()).iter_errors(config):
        error = jsonschema.exceptions.best_match([error])  # of an entry that may be null, what is wrong in it
        where = ".".join(["config", *map(str, error.absolute_path)])
        hint = ""
        if isinstance(error.instance, str) and re.fullmatch(r"[+-]?\d+e[+-]?\d+", error.instance):
            hint = f": YAML reads {error.instance} as text, write {error.instance.replace('e', '.0e')}"
        elif error.validator == "pattern" and "propertyNames" in error.absolute_schema_path:
            hint = ": names are lower-case letters and digits, joined by single . or -"
        raise BadInput(f"{where}: {error.message}{hint}")


def _models(config: dict) -> None:
    revisions = {}
    for name, model in config["models"].items():
        first, revision = revisions.setdefault(model["repo"], (name, model["revision"]))
        if revision != model["revision"]:
            raise BadInput(
                f"config.models.{name}.revision: '{model['repo']}' is also config.models.{first} with revision "
                f"{revision}; use one revision, or one entry"
            )
        if model["parent"] is not None:
            _known(f"config.models.{name}.parent", model["parent"], config["models"])
    for kind in MODELED:
        for name, entry in config[kind].items():
            if entry["model"] is not None:
                _known(f"config.{kind}.{name}.model", entry["model"], config["models"])


def _tasks(config: dict) -> None:
    for name, task in config["tasks"].items():
        where, instructions = f"config.tasks.{name}", task["instructions"]
        if (task["prompts"] is None) == (instructions is None):
            raise BadInput(f"{where}: state either 'prompts' or 'instructions'")
        if instructions is not None:
            _known(f"{where}.instructions", instructions, config["instructions"])
            # what the set's own job makes is then a file as any other
            task["prompts"] = f"results/instructions/{instructions}.parquet"


def _files(config: dict) -> None:
    paths = {f"instructions.{name}.source": entry["source"] for name, entry in config["instructions"].items()}
    paths |= {f"tasks.{n}.prompts": task["prompts"] for n, task in config["tasks"].items() if not task["instructions"]}
    for kind in MODELED:
        for name, entry in config[kind].items():
            if entry["template"] != "own":
                paths[f"{kind}.{name}.template"] = entry["template"]
    for where, path in paths.items():
        _is_there(f"config.{where}", path)


def _is_there(where: str, path: str) -> None:
    if not path.startswith(pins.HUB) and not Path(path).is_file():
        raise BadInput(f"{where}: there is no file '{path}' (paths start at {Path.cwd()})")


def _imports(config: dict) -> None:
    # after the grids: an import that no grid names yet may still have to come
    named = {teacher for block in config["grids"].values() for teacher in block["teachers"]}
    named |= {teacher for corpus in config["corpora"].values() for teacher in corpus["teachers"]}
    for name in sorted(named):
        teacher = config["teachers"][name]
        if teacher["engine"] == "existing":
            _is_there(f"config.teachers.{name}.source", teacher["source"])


def _entries(config: dict) -> None:
    for name, teacher in config["teachers"].items():
        needed = {"existing": "source", "stripped": "of"}.get(teacher["engine"], "model")
        if teacher[needed] is None:
            raise BadInput(f"config.teachers.{name}: engine '{teacher['engine']}' needs the key '{needed}'")
    for name, reward in config["rewards"].items():
        if (reward["model"] is None) == (reward["checker"] is None):
            raise BadInput(f"config.rewards.{name}: state either 'model' or 'checker'")
        ratings.check(f"config.rewards.{name}", reward)
        similarity.check(f"config.rewards.{name}", reward)
    for name in config["scorers"].keys() & config["bases"].keys():
        raise BadInput(f"config.scorers.{name}: a base has this name and scores under it; remove the scorer")
    for kind in ("bases", "scorers"):
        if ANY in config[kind]:
            raise BadInput(f"config.{kind}.{ANY}: this name is taken; rename it")
    for name, recipe in config["recipes"].items():
        if recipe["keep"] == "adapter" and recipe["lora"] is None:
            raise BadInput(f"config.recipes.{name}.keep: 'adapter' needs 'lora'; say model or none")
    for name, metric in config["metrics"].items():
        metric_entries.check(config, f"config.metrics.{name}", metric)
    for name, corpus in config["corpora"].items():
        where = f"config.corpora.{name}"
        _known(f"{where}.instructions", corpus["instructions"], config["instructions"])
        corpus["teachers"] = _all(f"{where}.teachers", corpus["teachers"], config["teachers"])
    for name, reference in config["references"].items():
        where = f"config.references.{name}"
        if reference["base"] is not None:
            _known(f"{where}.base", reference["base"], config["bases"])
        elif reference["role"] != "other":
            raise BadInput(f"{where}.base: a reference with role '{reference['role']}' names its base")


def _judges(config: dict) -> None:
    if VERIFY in config["judges"]:
        raise BadInput(f"config.judges.{VERIFY}: this name is taken by the checkers of tasks; rename it")
    for name, judge in config["judges"].items():
        _known(f"config.judges.{name}.reward", judge["reward"], config["rewards"])
        if config["rewards"][judge["reward"]]["similarity"]:
            raise BadInput(
                f"config.judges.{name}.reward: '{judge['reward']}' compares responses with each other; take another"
            )
        _known(f"config.judges.{name}.baseline", judge["baseline"], config["references"])
    for name, suite in config["suites"].items():
        for task in suite["tasks"]:
            _known(f"config.suites.{name}.tasks", task, config["tasks"])
        for judge in suite["judges"]:
            _known(f"config.suites.{name}.judges", judge, config["judges"])


def judges_of(config: dict, suite: str) -> list[str]:
    """Return the judges of a suite, `verify` first where a task has a checker."""
    tasks = [config["tasks"][task] for task in config["suites"][suite]["tasks"]]
    return [VERIFY] * any(task["checker"] is not None for task in tasks) + config["suites"][suite]["judges"]


def _all(where: str, names, known) -> list[str]:
    """Return the names, `all` written out (sorted: the order of keys in a file decides nothing); each must be known."""
    names = sorted(known) if names == "all" else names
    for name in names:
        _known(where, name, known)
    return names


def _grids(config: dict) -> None:
    for name, block in config["grids"].items():
        where = f"config.grids.{name}"
        for key in ("instructions", "teachers", "corpora", "bases", "recipes", "suites", "metrics"):
            block[key] = _all(f"{where}.{key}", block[key], config[key])
        mine = sorted(r for r, entry in config["references"].items() if entry["base"] in (None, *block["bases"]))
        block["references"] = mine if block["references"] == "all" else block["references"]
        _all(f"{where}.references", block["references"], config["references"])
        if block["primary"] is not None:
            _known(f"{where}.primary", block["primary"], block["metrics"])
        needed = ("recipes", "seeds", "suites", "performance")
        if any(block[key] for key in needed) and not all(block[key] for key in needed):
            missing = [key for key in needed if not block[key]]
            raise BadInput(
                f"{where}.{missing[0]}: is empty; students need {', '.join(needed)} (leave all out to only measure)"
            )
        for text in block["performance"]:
            suite, judge = text.split("/")
            _known(f"{where}.performance", suite, block["suites"])
            _known(f"{where}.performance ({text})", judge, judges_of(config, suite))
        for key in ("include", "exclude"):
            for index, cell in enumerate(block[key]):
                _cell(config, f"{where}.{key}[{index}]", cell)


def _pilots(config: dict) -> None:
    for name, block in config["grids"].items():
        if block["pilot"]:
            _pilot(config, f"config.grids.{name}.pilot", block, block["pilot"])


def _pilot(config: dict, where: str, block: dict, asked: dict) -> None:
    """Check a pilot, and add its instructions: those that a smaller sample of each set would draw with the same seed."""
    if block["compare"] != "teacher" or not block["recipes"]:
        raise BadInput(f"{where}: a pilot saves students: it needs `compare: teacher` and recipes; leave it out")
    for metric in _all(f"{where}.by", asked["by"], config["metrics"]):
        found = Metric(config["metrics"][metric]).expression
        if found is None or found.medians:
            formula = config["metrics"][metric]["formula"]
            raise BadInput(
                f"{where}.by: '{metric}' ({formula}) has no value of a single response; rank by another metric"
                if found is None
                else f"{where}.by: '{metric}' ({formula}) is no mean over responses; rank by another metric"
            )
    if asked["keep"] >= len(block["teachers"]):
        raise BadInput(f"{where}.keep: {asked['keep']} of {len(block['teachers'])} teachers leaves none out; lower it")
    for name in block["instructions"]:
        entry, drawn = config["instructions"][name], pilot_subset(name, asked["sample"])
        if entry["sample"] is not None and entry["sample"] <= asked["sample"]:
            raise BadInput(f"{where}.sample: config.instructions.{name} has {entry['sample']} instructions; lower it")
        seed = derived_seed(config["seed"], f"instructions/{name}") if entry["seed"] is None else entry["seed"]
        fewer = {**entry, "sample": asked["sample"], "seed": seed}
        if config["instructions"].setdefault(drawn, fewer) != fewer:
            raise BadInput(f"config.instructions.{drawn}: this name is taken by a pilot; rename it")


def _cell(config: dict, where: str, cell: dict) -> None:
    kinds = {"base": "bases", "teacher": "teachers", "instructions": "instructions", "recipe": "recipes"}
    for word, kind in kinds.items():
        if word in cell:
            _known(f"{where}.{word}", cell[word], config[kind])
    if "corpus" in cell:
        _corpus_of_cell(config, f"{where}.corpus", cell["corpus"])


def _corpus_of_cell(config: dict, where: str, text: str) -> None:
    try:
        corpus = Corpus.parse(text)
    except ValueError:
        raise BadInput(f"{where}: '{text}' is neither instructions__teacher nor a derived corpus") from None
    if corpus.responses:
        _known(where, corpus.instructions, config["instructions"])
        _known(where, corpus.teacher, config["teachers"])
    else:
        _known(where, corpus.derived, config["corpora"])


def _read_templates(config: dict) -> None:
    # the text and not the path decides what a model sees
    for kind in MODELED:
        for entry in config[kind].values():
            if entry["template"] != "own":
                entry["template"] = Path(entry["template"]).read_text()


def _derive_seeds(config: dict) -> None:
    def derive(holder: dict, purpose: str) -> None:
        if holder["seed"] is None:
            holder["seed"] = derived_seed(config["seed"], purpose)

    for name, entry in config["instructions"].items():
        if entry["sample"] is not None:
            derive(entry, f"instructions/{name}")
    # one noise for all teachers: a row's noise follows from its id and sample
    for teacher in config["teachers"].values():
        _sampling_seed(teacher["sampling"], derive, "generation")
    for task in config["tasks"].values():
        _sampling_seed(task["sampling"], derive, "evaluation")
    for name, corpus in config["corpora"].items():
        derive(corpus, f"corpora/{name}")
    for block in config["grids"].values():
        derive(block, "bootstrap")


def _sampling_seed(sampling: dict, derive, purpose: str) -> None:
    # greedy decoding has no noise, so another root seed must not redo it
    if sampling["temperature"] > 0:
        derive(sampling, purpose)
