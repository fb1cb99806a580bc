"""Checks of what the config names outside itself: model folders, chat templates, patterns and published answers, which jobs would find
broken, and of guards for programs of models, which this machine may lack."""

import re
from collections.abc import Iterator
from pathlib import Path

from ..engines.engine import ENGINES
from ..errors import BadInput
from ..hub import pins, usable
from ..metrics.variants import Metric
from ..spec import names, schema
from ..spec.schema import is_without_model
from ..tasks import checkers, verify
from . import config_data
from .config_data import tasks_of

# apply_chat_template has these arguments already
RESERVED = [
    "conversation",
    "messages",
    "tools",
    "documents",
    "chat_template",
    "add_generation_prompt",
    "continue_final_message",
    "tokenize",
    "padding",
    "truncation",
    "max_length",
    "return_tensors",
    "return_dict",
    "return_assistant_tokens_mask",
    "tokenizer_kwargs",
]
TALKING = ("teachers", "bases", "references", "scorers", "rewards", "judges")
LONG = 300  # characters of a message that are shown, at its beginning and at its end
OWN = "own"  # the tokenizer's chat template


def check(config: dict) -> None:
    """Raise BadInput for a pattern, template or model folder that a job of the grids could not use."""
    _patterns(config)
    for kind in TALKING:
        for name, entry in config[kind].items():
            _template(f"config.{kind}.{name}", entry)
    used = _used(config)
    for name, model in config["models"].items():
        if name in used:
            usable.refuse_unusable(f"config.models.{name}.repo", model, used[name])


def _patterns(config: dict) -> None:
    for kind in ("tasks", "rewards"):
        for name, entry in config[kind].items():
            if entry["checker"] is not None:
                try:
                    verify.extract("", entry["checker"]["extract"])
                except BadInput as error:
                    message = str(error).removeprefix("checker: extract ")
                    short = message if len(message) < LONG else f"{message[:LONG]} ... {message[-LONG:]}"
                    raise BadInput(f"config.{kind}.{name}.checker.extract: {short}") from error

    for name, recipe in config["recipes"].items():
        modules = recipe["lora"] and recipe["lora"]["target_modules"]
        try:
            re.compile(modules if isinstance(modules, str) else "")
        except re.error as error:
            raise BadInput(
                f"config.recipes.{name}.lora.target_modules: '{modules}' is not a valid regular expression ({error}); write all-linear, or a "
                "list of names"
            ) from error


def _template(where: str, entry: dict) -> None:
    names.check_plain(entry["template_args"], f"{where}.template_args")
    if taken := [key for key in entry["template_args"] if key in RESERVED]:
        raise BadInput(f"{where}.template_args.{taken[0]}: the workflow sets this itself; remove it")
    if entry["template"] == OWN:
        return
    where = f"{where}.template"
    try:
        text = Path(entry["template"]).read_text()
    except (OSError, ValueError) as error:
        raise BadInput(f"{where}: '{entry['template']}' cannot be read as text ({error})") from error
    if not text.strip():
        raise BadInput(f"{where}: '{entry['template']}' is empty; name the file of a chat template")
    usable.refuse_broken_template(f"{where}: {entry['template']}", text)


# --- models that jobs of the grids load


def _used(config: dict) -> dict[str, bool]:
    """Return {model that a job loads: whether it is prompted by its own chat template}."""
    used: dict[str, bool] = {}
    for entry, chat_format in _loaded(config):
        if entry["model"] is not None:
            own = chat_format and entry["template"] == OWN
            used[entry["model"]] = used.get(entry["model"], False) or own
    return used


def _loaded(config: dict) -> Iterator[tuple[dict, bool]]:
    """Yield (entry, whether its chat template is used) for each entry whose model a job of the grids loads."""
    blocks = config["grids"].values()
    teachers = {name for block in blocks for name in block["teachers"]}
    teachers |= {name for corpus in config["corpora"].values() for name in corpus["teachers"]}
    for name in sorted(teachers):
        teacher = config["teachers"][name]
        if teacher["engine"] in ENGINES and not is_without_model(teacher["engine"]):
            yield teacher, True
    for name in {name: None for block in blocks for name in block["bases"]}:
        yield config["bases"][name], "chat" in config["likelihood"]["formats"]
    for name in {name: None for block in blocks if block["recipes"] for name in block["references"]}:
        yield config["references"][name], config["references"][name]["format"] == "chat"
    metrics = [Metric(config["metrics"][name]) for block in blocks for name in block["metrics"]]
    for name in {name: None for metric in metrics for name in metric.rewards if name}:
        reward = config["rewards"][name]
        yield reward, reward["similarity"] is None
    scorers = {scorer: None for metric in metrics for scorer, _ in metric.likelihoods if scorer in config["scorers"]}
    for name in scorers:
        yield config["scorers"][name], "chat" in config["likelihood"]["formats"]
    for judge in _asked(config):
        if judge["model"] and not ENGINES[judge["engine"]].by_endpoint:
            yield judge, True


# --- published answers, and programs of models

# keys of a reference that say how published answers are read, and those that say how a model is asked
_READ = ("revision", "split", "written_by", "fields", "by_category", "allow_missing")
_TALK = ("template", "template_args", "system", "refused_prompts", "plain", "format")


def check_answers(where: str, reference: dict) -> None:
    """Raise BadInput for a reference that is neither a model nor published answers, or both. where: its key."""
    if (reference["model"] is None) == (reference["source"] is None):
        raise BadInput(f"{where}: state either 'model', or 'source' with 'engine: existing'")
    if (reference["engine"] is None) != (reference["source"] is None):
        raise BadInput(f"{where}.engine: 'engine: existing' and 'source' go together; state both, or neither")
    defaults = schema.filled({}, schema.definition("reference"), outside_too=True)
    other, kind = (_READ, "a model") if reference["source"] is None else (_TALK, "a file of answers")
    for key in other:
        if reference[key] != defaults[key]:
            raise BadInput(f"{where}.{key}: a reference that is {kind} does not read it; remove it")
    if reference["source"] is not None:
        places = [
            source.startswith(pins.HUB) and pins.data_set(source)[0] for source in pins.answers(reference).values()
        ]
        if len({*places}) > 1:
            raise BadInput(
                f"{where}.by_category: the sources are not all files, nor of one data set; save them as files"
            )
    if (reference["written_by"] is None) != (reference["fields"]["teacher"] is None):
        raise BadInput(f"{where}.written_by: state it together with `fields.teacher`, or leave out both")


def _opponents(config: dict) -> set[str]:
    """Return the references whose answers the grids read: those that blocks name, and the opponents of their judges."""
    found: set[str] = set()
    for block in config["grids"].values():
        found |= {*block["references"]}
    return found | {judge["baseline"] for judge in _asked(config) if judge["baseline"]}


def _asked(config: dict) -> list[dict]:
    """Return the judges that decide in the grids; of a derived one, the judge whose verdicts it takes."""
    suites = {suite: None for block in config["grids"].values() for suite in block["suites"]}
    names = {judge: None for suite in suites for judge in config["suites"][suite]["judges"]}
    return [config["judges"][config["judges"][name]["of"] or name] for name in names]


def check_opponents(config: dict) -> None:
    """Raise BadInput for a file of published answers that the grids read and that is missing or cannot be read."""
    for name in sorted(_opponents(config)):
        if config["references"][name]["source"] is not None:
            for category, source in pins.answers(config["references"][name]).items():
                key = f"by_category.{category}" if category else "source"
                config_data.require_rows(f"config.references.{name}.{key}", source)


def unguarded(config: dict) -> list[str]:
    """Return a sentence where suites of the grids run programs of models and this machine has no guard for them."""
    suites = sorted({suite for block in config["grids"].values() for suite in block["suites"]})
    checks = {suite: [task["checker"] for task in tasks_of(config, suite).values()] for suite in suites}
    running = [suite for suite in suites if any(one and checkers.runs_programs(one) for one in checks[suite])]
    lack = checkers.no_guard() if running else None
    return [f"suite {', '.join(running)}: {lack}"] if lack else []
