"""Checks of what the config names outside itself: model folders, chat templates and patterns, which jobs would find broken."""

import re
from collections.abc import Iterator
from pathlib import Path

from ..engines.engine import ENGINES
from ..errors import BadInput
from ..hub import usable
from ..metrics.variants import Metric
from ..spec import names
from ..spec.schema import is_without_model
from ..tasks import verify

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
TALKING = ("teachers", "bases", "references", "scorers", "rewards")
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
