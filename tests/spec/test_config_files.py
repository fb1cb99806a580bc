"""Config files: errors name the file, the line and the true cause; errors of a key find its line."""

import json

import pytest
from teachergrid.errors import BadInput
from teachergrid.spec import config_files
from workspace import setting


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """Return the message about a file with this content."""
    monkeypatch.chdir(tmp_path)

    def message(content: str | bytes, name: str = "my.yaml") -> str:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(BadInput) as error:
            config_files.refuse([name])
        return str(error.value)

    return message


BROKEN = {
    "tab": (
        "seed: 1\nmodels:\n\ta: 1\n",
        "my.yaml, line 3, column 1: not valid YAML: ",
        "YAML has no tabs: indent with spaces",
    ),
    "bracket": ("a: [1,\n  2\nb: 3\n", "my.yaml, line 3, column 2: ", "a bracket or comma is missing before it"),
    "brace": ("a: {b: 1\nc: 3\n", "my.yaml, line 2, column 2: ", "which begins in line 1"),
    "two colons": ("a: b: c\n", "my.yaml, line 1, column 5: ", "put a text with a colon into quotes"),
    "quote": ('a: "b\nc: 1\n', "my.yaml, line 3, column 1: ", "a closing quote or bracket is missing"),
    "indentation": ("a:\n  b: 1\n c: 2\n", "my.yaml, line 3, column 2: ", "correct the indentation"),
    "at sign": ("a: @b\n", "my.yaml, line 1, column 4: ", "put the text into quotes"),
    "alias": ("a: *b\n", "my.yaml, line 1, column 4: ", "write *name only after &name"),
    "no space": ("a:1\nb: 2\n", "my.yaml, line 2, column 2: ", ""),
    "two documents": ("a: 1\n---\nb: 1\n", "my.yaml, line 2, column 1: ", "remove the line `---`"),
    "tag": ("a: !env HOME\n", "my.yaml, line 1: ", "a config has no tag such as !env"),
    "python": ("a: !!python/name:os.system x\n", "my.yaml, line 1: ", "a config has no tag"),
    "set": ("a: !!set {x, y}\n", "my.yaml, line 1: ", "a config has no tag such as set"),
    "date": ("a: 2024-13-45\n", "my.yaml: a value cannot be read (month must be in 1..12", "quotes"),
    "name no": (
        "teachers:\n  no: 1\n",
        "my.yaml, line 2: config.teachers: ",
        'reads the name no as true or false; put it into quotes: "no"',
    ),
    "name 405": (
        "a:\n  b:\n    405: 1\n",
        "my.yaml, line 3: config.a.b: ",
        'the name 405 as a number; put it into quotes: "405"',
    ),
    "name null": ("a:\n  ~: 1\n", "my.yaml, line 2: config.a: ", "the name ~ as nothing"),
    "name of braces": ("a: {{b}: 1}\n", "my.yaml, line 1: config.a: ", "a name is a text, not a mapping or list"),
    "key twice": ("a: 1\nb:\n  c: 1\n  c: 2\n", "my.yaml, line 4: config.b.c is stated a second time", ""),
    "key twice at the top": ("a: 1\nb: 1\na: 2\n", "my.yaml, line 3: config.a is stated a second time", ""),
    "key twice in a merged mapping": (
        "x: &b {q: 1}\ny: {<<: *b, r: 1, r: 2}\n",
        "my.yaml, line 2: config.y.r is stated",
        "",
    ),
    "alias inside itself": ("a: &a\n  b: *a\n", "my.yaml, line 1: config.a.b: an alias", "which has no end"),
    "laughs": (
        "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)),
        "my.yaml, line ",
        "too many mappings or lists",
    ),
    "depth": ("a: " + "[" * 60 + "]" * 60, "my.yaml, line 1: more than 40 mappings or lists inside each other", ""),
    "great depth": ("a: " + "[" * 50_000, "my.yaml, line 1: more than 40 mappings", ""),
    "empty": ("# nothing\n", "my.yaml: is empty; a config has keys such as `models:` at its top", ""),
    "list": ("- a\n", "my.yaml: holds a list; ", ""),
    "text": ("hello", "my.yaml: holds a text; ", ""),
    "bytes": (b"a: 1\nb: \xff\n", "my.yaml, line 2, column 4: byte 0xff is not UTF-8", "save the file as UTF-8"),
    "zero": (b"a: 1\nb: \x00\n", "my.yaml: not valid YAML: ", ""),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_is_no_config(refused, name):
    content, beginning, words = BROKEN[name]
    message = refused(content)
    assert message.startswith(beginning) and words in message and "\n" not in message


def test_json_with_a_mistake(refused):
    assert refused('{"a": 1,\n "b" 2}', "my.json").startswith(
        "my.json, line 2, column 6: not valid JSON: Expecting ':'"
    )
    assert refused('{"a": 1,\n "a": 2}', "my.json").startswith("my.json, line 2: config.a is stated a second time")


def test_a_file_that_cannot_be_opened(refused, tmp_path):
    with pytest.raises(BadInput, match=r"none\.yaml: cannot be read as a config \(No such file"):
        config_files.refuse(["none.yaml"])
    with pytest.raises(BadInput, match="cannot be read as a config"):
        config_files.refuse([tmp_path])


@pytest.mark.parametrize(
    "text",
    [
        "a: {b: 1}\nc: {b: 1}\nd: [{b: 1}, {b: 2}]\n",
        '{"a": {"b": 1}}',
        '{\n\t"a": {"b": 1}\n}',
        "\ufeffa: 1\r\nb: 2\r\n",
        "a: &b {c: 1}\nd: {<<: *b, e: *b}\nf: {<<: [*b, *b]}\ng:\n  <<: *b\n  <<: *b\n",
        '"no": 1\n"405": 2\n',
        "a: 2024-01-01\n",
    ],
)
def test_other_files_pass(tmp_path, text):
    name = "my.json" if text.startswith("{") else "my.yaml"
    (tmp_path / name).write_text(text)
    config_files.refuse([tmp_path / name])


# --- the line of a key

MINE = """\
models:
  qwen2.5-7b: {repo: a/b}
  qwen2: {repo: a/c}
teachers:
  one: &one
    model: {repo: a/d}
    sampling:
      temperature: -1
  two: {<<: *one, sampeling: 3}
grids:
  main:
    seeds:
      - 1
      - x
"""
LINES = {
    "config.models.qwen2.5-7b.repo: x": 2,
    "config.models.qwen2.repo: x": 3,
    "config.teachers.one.sampling.temperature: -1 is less": 8,
    "config.teachers.two: unknown key 'sampeling', did you mean": 9,
    "config.teachers.two.sampling.temperature: -1": 8,
    "config.grids.main.seeds.1: x": 14,
    "config.grids.main.seeds[1]: x": 14,
    "config.grids.main: 'compare' is a required property": 11,
    "config.grids.main.performance (a/b): x": 11,
    "config.recipes: x": None,
    "config: unknown key 'recipe'": None,
}


@pytest.mark.parametrize("message", LINES)
def test_a_message_gets_the_line_of_its_key(tmp_path, monkeypatch, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.yaml").write_text(MINE)
    place = f"my.yaml, line {LINES[message]}: " if LINES[message] else ""
    assert config_files.with_line(message, ["my.yaml"]) == place + message


def test_what_concerns_a_whole_file_names_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.yaml").write_text(MINE)
    message = "config: states no `bases`"
    assert config_files.with_line(message, [tmp_path / "my.yaml"]) == f"my.yaml: {message}"


def test_a_model_inside_an_entry_is_named_where_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.yaml").write_text(MINE)
    told = config_files.with_line("config.models.one.repo: there is no folder", ["my.yaml"])
    assert told == "my.yaml, line 6: config.teachers.one.model.repo: there is no folder"


def test_of_several_files_the_one_that_counts_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "first.yaml").write_text("seed: 1\nteachers: {a: {batch: 0}}\n")
    (tmp_path / "second.yaml").write_text("\nseed: -1\n")
    files = ["first.yaml", "second.yaml"]
    assert config_files.with_line("config.seed: -1", files).startswith("second.yaml, line 2: ")
    assert config_files.with_line("config.teachers.a.batch: 0", files).startswith("first.yaml, line 2: ")


def test_other_errors_stay_as_they_are(tmp_path):
    with pytest.raises(BadInput, match=r"^results: locked$"), config_files.located([tmp_path / "none.yaml"]):
        raise BadInput("results: locked")


# --- in every command

COMMANDS = (["run"], ["plan"], ["status"], ["why", "check seed__large"], ["prefetch", "--check"])


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_every_command_names_file_and_line(grid, command):
    path = grid.folder / "config/config.yaml"
    path.write_text(path.read_text() + "seed: 1\nseed: 2\n")
    line = len(path.read_text().splitlines())
    done = grid.call("teachergrid", *command)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert f"config/config.yaml, line {line}: config.seed is stated a second time" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_another_config_takes_nothing_from_the_demo(grid, command):
    """Without `grids` the demo's config used to be merged in, with all its teachers."""
    (grid.folder / "mine.json").write_text(json.dumps({"seed": 2, "teachers": {"mine": {"model": {"repo": "a/b"}}}}))
    done = grid.call("teachergrid", *command, "--configfile", "mine.json")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "mine.json: config: states no `instructions`, `bases`, `grids`; a config is complete" in done.stderr
    plain = grid.run("--configfile", "mine.json", "--dry-run", ok=False)
    assert "mine.json: config: states no `instructions`" in plain


@pytest.mark.slow
def test_options_of_snakemake_still_change_the_demo(grid):
    assert grid.jobs() == set()
    assert grid.jobs("--config", "seed=7")
    grid.edit(setting("seed", to=7))
    assert grid.jobs("--config", "seed=0") == set()


def test_jobs_know_the_config_files_of_their_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(config_files.IN_USE, "[]")
    assert config_files.in_use() == []
    config_files.announce([tmp_path / "sub" / "my.yaml", tmp_path.parent / "shared.yaml"])
    assert config_files.in_use() == ["sub/my.yaml", str(tmp_path.parent / "shared.yaml")]
    monkeypatch.delenv(config_files.IN_USE)
    assert config_files.in_use() == []
