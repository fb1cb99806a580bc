"""Whether a model folder can be loaded, as far as its files show, and whether a chat template is one. No model is loaded.

So that a plan says at once what a job would find out after hours in a queue.
"""

import json
import os
import re
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ..errors import BadInput
from ..spec.spelling import nearest
from . import folders

if TYPE_CHECKING:
    import jinja2

DIGEST = re.compile("sha256-[0-9a-f]{64}")  # as model_files.digest writes it
CONFIGS = ("config.json", "adapter_config.json")
# of fast and slow tokenizers, any one is enough to try
TOKENIZERS = ("tokenizer*", "vocab.*", "*.model", "*.tiktoken")
TEMPLATE_FILE, TOKENIZER_CONFIG = "chat_template.jinja", "tokenizer_config.json"


def refuse_unusable(where: str, model: dict, chat_format: bool) -> None:
    """Raise BadInput where a model is a folder that is missing, or in which nothing can be loaded.

    Args:
        where: the key of the config that names the folder.
        model: its entry in the config.
        chat_format: whether it is prompted by its own chat template.
    """
    folder = Path(model["repo"])
    if not os.path.isdir(folder):
        if is_path(model):
            raise BadInput(f"{where}: there is no folder '{folder}'{_nearest(folder)} (paths start at {Path.cwd()})")
        return
    names = _names(folder)
    if not any(name in names for name in CONFIGS):
        raise BadInput(
            f"{where}: the folder '{folder}' has no config.json, so it holds no model; name the folder that does"
        )
    if not any(folders.matches(name, TOKENIZERS) for name in names):
        raise BadInput(f"{where}: the folder '{folder}' has no tokenizer; save it there with tokenizer.save_pretrained")
    templates = dict(_templates(folder))
    for name, template in templates.items():
        refuse_broken_template(f"{where}: {folder}/{name}", template)
    if chat_format and not templates and not model["trust_remote_code"]:
        raise BadInput(f"{where}: the tokenizer in '{folder}' has no chat template; name a .jinja file as `template`")


def is_path(model: dict) -> bool:
    """Whether a model that is no existing folder was meant to be one.

    Its name is none that a hub has, its revision is the digest of a folder, or it has no revision and its neighbours are models.
    """
    repo, revision = model["repo"], model["revision"]
    if repo.startswith((".", "/", "~")) or repo.count("/") > 1 or DIGEST.fullmatch(revision or ""):
        return True
    return revision is None and "/" in repo and any(_models_in(Path(repo).parent))


def _models_in(folder: Path) -> Iterator[str]:
    """Yield the names of the model folders in a folder."""
    if os.path.isdir(folder):
        yield from (name for name in _names(folder) if any(os.path.isfile(folder / name / part) for part in CONFIGS))


def _nearest(folder: Path) -> str:
    siblings = [str(folder.parent / name) for name in _models_in(folder.parent)]
    return nearest(str(folder), siblings)


def _names(folder: Path) -> list[str]:
    """Return the names in a folder; none where it may not be read, which the job says (folders.refuse_unreadable)."""
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _templates(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield (file, text) of each chat template in a model folder. A file that cannot be read is left to the job."""
    try:
        if (folder / TEMPLATE_FILE).is_file():
            yield TEMPLATE_FILE, (folder / TEMPLATE_FILE).read_text()
        if (folder / TOKENIZER_CONFIG).is_file():
            stated = json.loads((folder / TOKENIZER_CONFIG).read_text()).get("chat_template")
            for template in stated if isinstance(stated, list) else [stated]:
                text = template.get("template") if isinstance(template, dict) else template
                if isinstance(text, str):
                    yield TOKENIZER_CONFIG, text
    except (OSError, ValueError, AttributeError):
        return


def refuse_broken_template(where: str, text: str) -> None:
    """Raise BadInput where a chat template is not Jinja, as transformers reads it."""
    import jinja2

    try:
        environment().parse(text)
    except jinja2.TemplateSyntaxError as error:
        raise BadInput(f"{where}: no chat template: line {error.lineno}: {error.message}; correct it") from error


@cache
def environment() -> "jinja2.Environment":
    """Return an environment that reads and renders chat templates as transformers' does: with loop controls and {% generation %}."""
    import jinja2
    from jinja2 import nodes
    from jinja2.ext import Extension
    from jinja2.parser import Parser
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """{% generation %} ... {% endgeneration %} marks what the model wrote."""

        def __init__(self, environment: jinja2.Environment) -> None:
            super().__init__(environment)
            self.tags = {"generation"}

        def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    def refuse(message: str) -> NoReturn:
        raise jinja2.TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = lambda value, **options: json.dumps(value, ensure_ascii=False, **options)
    environment.globals |= {"raise_exception": refuse, "strftime_now": lambda form: datetime.now().strftime(form)}
    return environment
