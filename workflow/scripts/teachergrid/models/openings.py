"""Chat templates that open a think block in the prompt of a base, found when a grid is planned: no tokenizer is loaded.

What is not on this machine, or does not render here, is left to the jobs, which write the same warning into their logs.
"""

import json
import os
from collections.abc import Container, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ..hub import usable
from . import frames
from .templates import Message, marker, with_system


def warnings(config: Mapping, names: Container[str]) -> list[str]:
    """Return a sentence for each base whose prompts open a block that its answers are written without.

    Args:
        config: complete, with the text of each chat template.
        names: the bases to look at.
    """
    found = []
    for name, base in config["bases"].items():
        if name not in names:
            continue
        model = config["models"][base["model"]] if isinstance(base["model"], str) else base["model"]
        warning = _warning(json.dumps(base, sort_keys=True), model["repo"], model.get("revision"))
        if warning:
            found.append(f"base '{name}': {warning}")
    return found


@cache
def _warning(settings: str, repo: str, revision: str | None) -> str:
    """Return what to know if a template opens a block in each prompt, and writes answers otherwise; else ''.

    Args:
        settings: chat settings, as JSON.
        repo: a model folder, or a hub model in the local cache.
    """
    import jinja2

    chat_settings = json.loads(settings)
    own, variables = next(map(_of_folder, _folders(repo, revision)), (None, {}))
    template = own if chat_settings["template"] == "own" else chat_settings["template"]
    if template is None:
        return ""
    asked: list[Message] = with_system([{"role": "user", "content": "?"}], chat_settings)
    answered: list[Message] = [*asked, {"role": "assistant", "content": marker(0)}]
    variables = {**variables, **chat_settings["template_args"]}
    try:
        compiled = usable.environment().from_string(template)
        prompt = compiled.render(messages=asked, add_generation_prompt=True, **variables)
        without = compiled.render(messages=asked, add_generation_prompt=False, **variables)
        conversation = compiled.render(messages=answered, add_generation_prompt=False, **variables)
    except (jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError):
        return ""
    before = conversation.rpartition(marker(0))[0]
    opening = prompt.removeprefix(without) if prompt.startswith(without) else ""
    opened = frames.opened(prompt, opening, before)
    if not opened or (before.startswith(prompt) and before != prompt):
        return ""
    return frames.open_block(opened, frames.led(prompt, opened, before))


def _folders(repo: str, revision: str | None) -> Iterator[Path]:
    """Yield the folders on this machine that have a model's files."""
    hub = Path(os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME", "~/.cache/huggingface"), "hub"))
    snapshots = hub.expanduser() / f"models--{repo.replace('/', '--')}" / "snapshots"
    for folder in (Path(repo), *sorted(snapshots.glob(revision or "*"))):
        if (folder / "tokenizer_config.json").is_file():
            yield folder


def _of_folder(folder: Path) -> tuple[str | None, dict[str, Any]]:
    """Return the chat template of a folder, None where it has none that can be read, and the tokens that a template names."""
    try:
        stated = json.loads((folder / "tokenizer_config.json").read_text())
        file = folder / "chat_template.jinja"
        template = file.read_text() if file.is_file() else stated.get("chat_template")
    except (OSError, ValueError, AttributeError):
        return None, {}
    tokens = {name: stated.get(name) for name in ("bos_token", "eos_token", "pad_token", "unk_token")}
    texts = {name: token.get("content") if isinstance(token, dict) else token for name, token in tokens.items()}
    return template if isinstance(template, str) else None, {name: text or "" for name, text in texts.items()}
