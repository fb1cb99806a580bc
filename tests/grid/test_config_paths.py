"""What the config names outside itself is looked at before any job: patterns, templates, model folders."""

from pathlib import Path

import pytest
from teachergrid.errors import BadInput
from teachergrid.grid.config import checked
from workspace import setting

BROKEN = {
    "pattern of a task": (
        setting("tasks", "gsm", "checker", to={"extract": "(a"}),
        "config.tasks.gsm.checker.extract: '(a' is not a valid regular expression",
    ),
    "pattern of a reward": (
        setting("rewards", "right", to={"checker": {"extract": "a"}}),
        "config.rewards.right.checker.extract: 'a' has 0 groups and needs exactly one",
    ),
    "template that does not compile": (
        setting("bases", "q", "template", to="config/broken.jinja"),
        "config.bases.q.template: config/broken.jinja: no chat template: line 2: ",
    ),
    "template that is no text": (
        setting("teachers", "large", "template", to="config/binary.jinja"),
        "config.teachers.large.template: 'config/binary.jinja' cannot be read as text",
    ),
    "empty template": (
        setting("references", "q-raw", "template", to="config/empty.jinja"),
        "config.references.q-raw.template: 'config/empty.jinja' is empty",
    ),
    "argument that the workflow sets": (
        setting("bases", "q", "template_args", to={"tokenize": True}),
        "config.bases.q.template_args.tokenize: the workflow sets this itself",
    ),
    "date among the arguments": (
        setting("rewards", "rm", "template_args", to={"dates": [__import__("datetime").date(2024, 7, 26)]}),
        "config.rewards.rm.template_args.dates[0]: YAML reads 2024-07-26 as a date; put it into quotes",
    ),
    "folder of a teacher": (
        setting("models", "large", to={"repo": "models/none/large"}),
        "config.models.large.repo: there is no folder 'models/none/large'",
    ),
    "folder of a base": (setting("models", "w", to={"repo": "./w"}), "config.models.w.repo: there is no folder 'w'"),
    "folder of a reward": (
        setting("models", "rm", to={"repo": "/models/rm"}),
        "config.models.rm.repo: there is no folder '/models/rm'",
    ),
    "file that the engine does not read": (
        setting("teachers", "large", "source", to="config/seed.jsonl"),
        "config.teachers.large.source: engine 'transformers' does not read it",
    ),
}


@pytest.fixture
def files(small) -> dict:
    Path("config/broken.jinja").write_text("{{ messages }}\n{% if %}\n")
    Path("config/binary.jinja").write_bytes(b"\xff\xfe\x00")
    Path("config/empty.jinja").write_text("\n")
    return small


@pytest.mark.parametrize("name", BROKEN)
def test_it_is_refused_with_its_key(files, name):
    change, words = BROKEN[name]
    change(files)
    with pytest.raises(BadInput) as error:
        checked(files)
    assert str(error.value).startswith(words)


def test_a_model_that_no_grid_loads_may_be_missing(files):
    files["models"]["later"] = {"repo": "./not/yet/there"}
    files["teachers"]["later"] = {"model": "later"}
    files["scorers"] = {"later": {"model": "later", "template": "own"}}
    for block in files["grids"].values():
        block["teachers"] = ["small"]
    files["corpora"]["best"]["teachers"] = ["small"]
    checked(files)
