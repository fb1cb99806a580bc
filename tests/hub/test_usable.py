"""A model folder is looked at when the config is checked: what a job would find out after hours in a queue."""

import json

import pytest
import tiny
from teachergrid.errors import BadInput
from teachergrid.hub import usable

MODEL = {"repo": "models/base", "revision": None, "trust_remote_code": False}
CHATML = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """models/base, which can be loaded."""
    monkeypatch.chdir(tmp_path)
    return tiny.make(tmp_path / "models/base")


def refuse(**changes) -> str:
    with pytest.raises(BadInput) as error:
        usable.refuse_unusable("config.models.a.repo", MODEL | changes, chat_format=True)
    return str(error.value)


def test_a_whole_folder_passes(folder):
    usable.refuse_unusable("config.models.a.repo", MODEL, chat_format=True)


@pytest.mark.parametrize("repo", ["./models/base2", "models/base2", "/models/base2", "~/base2", "here/models/base2"])
def test_a_missing_folder(folder, repo):
    assert f"config.models.a.repo: there is no folder '{repo.removeprefix('./')}'" in refuse(repo=repo)
    if repo.endswith("models/base2") and not repo.startswith(("/", "here")):
        assert "did you mean 'models/base'?" in refuse(repo=repo)


def test_a_missing_folder_is_known_by_its_digest(folder):
    assert "there is no folder 'org/name'" in refuse(repo="org/name", revision="sha256-" + "0" * 64)


@pytest.mark.parametrize(
    ("repo", "revision"), [("org/name", None), ("name", None), ("models/base2", "0" * 40), ("models/base2", "main")]
)
def test_a_name_that_a_hub_may_have_passes(folder, repo, revision):
    usable.refuse_unusable("config.models.a.repo", MODEL | {"repo": repo, "revision": revision}, chat_format=True)


def test_a_folder_without_model_or_tokenizer(folder):
    for path in folder.glob("tokenizer*"):
        path.unlink()
    assert "has no tokenizer" in refuse()
    (folder / "config.json").unlink()
    assert "has no config.json" in refuse()


@pytest.mark.parametrize("name", ["chat_template.jinja", "tokenizer_config.json"])
@pytest.mark.parametrize(
    "text", ["{% if %}", "{% for m in messages %}", "{{ messages[0]['content' }}", "{% generation %}"]
)
def test_a_template_of_the_folder_that_does_not_compile(folder, name, text):
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    (folder / name).write_text(text if name.endswith("jinja") else json.dumps({"chat_template": text}))
    assert f"models/base/{name}: no chat template: line 1: " in refuse()


def test_a_folder_without_a_template(folder):
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    (folder / "tokenizer_config.json").write_text("{}")
    assert "has no chat template; name a .jinja file as `template`" in refuse()
    usable.refuse_unusable("config.models.a.repo", MODEL, chat_format=False)


@pytest.mark.parametrize(
    "text",
    [
        CHATML,
        "{%- for m in messages -%}{% if loop.last %}{% break %}{% endif %}{%- endfor -%}",
        "{% generation %}{{ messages[0].content }}{% endgeneration %}",
        "{{ raise_exception('no') }}{{ strftime_now('%d') }}{{ messages | tojson }}{% macro a() %}{% endmacro %}",
    ],
)
def test_what_transformers_reads_passes(text):
    usable.refuse_broken_template("config.bases.q.template: chat.jinja", text)
