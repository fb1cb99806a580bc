"""What YAML reads in another way than it looks, names that are too long, and names that look like folders or chains."""

import math

import pytest
import yaml
from teachergrid.errors import BadInput
from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked
from teachergrid.spec import names
from workspace import one_base, setting

NO_NAMES = {
    "7": 'YAML reads the name 7 as a number; put it into quotes: "7"',
    "1.5": 'YAML reads the name 1.5 as a number; put it into quotes: "1.5"',
    "2024-01-01": 'YAML reads the name 2024-01-01 as a date; put it into quotes: "2024-01-01"',
    "yes": 'YAML reads a name here (on, yes or true) as true; put it into quotes, such as "on"',
    "off": 'YAML reads a name here (off, no or false) as false; put it into quotes, such as "off"',
    "null": 'YAML reads a name here (null, ~ or nothing) as no name; put it into quotes, such as "null"',
}
KINDS = [
    "models",
    "bases",
    "teachers",
    "tasks",
    "recipes",
    "metrics",
    "rewards",
    "suites",
    "judges",
    "grids",
    "corpora",
]


def message(config: dict) -> str:
    with pytest.raises(BadInput) as error:
        Cells(checked(config))
    return str(error.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NO_NAMES)
def test_a_name_that_is_no_text_is_refused_everywhere(small, kind, name):
    small[kind] = {yaml.safe_load(name): {}, **small[kind]}
    assert message(small) == f"config.{kind}: {NO_NAMES[name]}"


@pytest.mark.parametrize(("written", "kind"), [("7", "a number"), ("on", "true or false"), ("2024-01-01", "a date")])
def test_the_same_name_in_a_list(small, written, kind):
    small["grids"]["teachers"]["instructions"] = [yaml.safe_load(written)]
    words = message(small)
    assert words.startswith("config.grids.teachers.instructions.0: ")
    assert words.endswith(f"is not of type 'string': YAML reads it as {kind}; put it into quotes")


def test_such_names_in_quotes_are_names(small):
    for kind, old, new in (("bases", "w", "7"), ("teachers", "large", "null"), ("grids", "instructions", "on")):
        small[kind][new] = small[kind].pop(old)
    small["references"]["w-raw"]["base"] = "7"
    small["grids"]["teachers"]["bases"] = ["q", "7"]
    small["corpora"]["best"]["teachers"] = ["small", "null"]
    assert {"q/seed__null", "7/seed__null"} <= {*Cells(checked(small)).rows["metric"]}


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused(small, number):
    small["recipes"]["sft"]["learning_rate"] = number
    assert message(small).startswith(f"config.recipes.sft.learning_rate: {number} is infinite, NaN or too large")
    small["recipes"]["sft"]["learning_rate"] = 1
    small["metrics"]["car"]["beta"] = [0.1, number]
    assert message(small).startswith(f"config.metrics.car.beta[1]: {number} is infinite, NaN or too large")


@pytest.mark.parametrize(
    ("text", "remedy"),
    [("5e-4", "0.0005"), ("1e-5", "1.0e-5"), ("1.5e4", "15000"), ("2E+20", "2.0e+20"), ("0.1", "0.1"), ("-3", "-3")],
)
def test_a_number_that_yaml_reads_as_text(small, text, remedy):
    """The remedy is one that YAML 1.1 reads as that number."""
    small["recipes"]["sft"]["learning_rate"] = text
    assert message(small).endswith(f"YAML reads {text} as text, write {remedy}")
    assert yaml.safe_load(remedy) == float(text) and isinstance(yaml.safe_load(remedy), int | float)


def renamed(config: dict, length: int) -> None:
    """Let the longest cell of the grid, `chat` judged by `wins` for a student, have so many characters."""
    rest = len("q__seed__large__sft__s1/chat/wins")
    name = "x" + "".join(chr(97 + i % 23) for i in range(length - rest))
    config["bases"][name] = config["bases"].pop("q")
    config["references"]["q-raw"]["base"] = name
    config["grids"]["teachers"]["bases"], config["grids"]["instructions"]["bases"] = [name, "w"], [name]


def test_names_are_as_long_as_a_file_name_allows(small):
    renamed(small, names.LONGEST)
    cells = [cell for rows in Cells(checked(small)).rows.values() for cell in rows]
    assert max(map(len, cells)) == names.LONGEST


def test_longer_names_are_refused(small):
    renamed(small, names.LONGEST + 1)
    words = message(small)
    assert words.startswith("config: the names of the cell 'judge x") and "have 231 characters together" in words
    assert "at most 230 are possible; shorten 'xabc" in words


def test_a_judge_that_looks_like_the_file_of_the_checkers(small):
    setting("judges", "verify.parquet", to=small["judges"]["wins"])(small)
    assert "config.judges.verify.parquet: a name that begins with 'verify.parquet' is reserved" in message(small)


def test_models_that_are_no_mapping(small):
    small["models"] = ["q"]
    assert message(small).startswith("config.models: is not a mapping")


ODD = {
    "rewards": {"rm": "weights"},
    "suites": {"math": "benchmarks", "chat": "students"},
    "judges": {"wins": "scores"},
    "corpora": {"best": "any"},
    "recipes": {"sft": "verify"},
    # Snakemake would take the last two for endless chains
    "instructions": {"evolved": "freed", "seed": "x-" + "ab" * 21},
    "teachers": {"small": "v" + "0" * 99, "large": "student.json"},
    "bases": {"q": "w" * 20},
}


@pytest.mark.slow
def test_names_of_our_folders_and_names_that_repeat_a_part_make_all_jobs(grid):
    """Also names with a part that stands 20 times in a row: Snakemake leaves out their jobs without a word."""
    grid.edit(one_base)
    before = len(grid.jobs("--forceall"))
    path = grid.folder / "config/config.yaml"
    config = yaml.safe_load(path.read_text())
    config = exchanged(config, {old: new for names in ODD.values() for old, new in names.items()})
    config["grids"] = {"logs": config["grids"].pop("teachers"), "grids": config["grids"].pop("instructions")}
    path.write_text(yaml.safe_dump(config))
    assert len(grid.jobs("--forceall")) == before
    done = grid.call("teachergrid", "run")
    assert done.returncode == 0, done.stderr
    assert grid.jobs() == set()
    for path in ("rewards/weights", "answers/{0}__{1}__{2}__verify__s1/benchmarks.parquet", "grids/logs/report.html"):
        name = path.format("w" * 20, "x-" + "ab" * 21, "v" + "0" * 99)
        assert (grid.folder / "results" / name).exists(), name


def exchanged(value, names: dict[str, str]):
    """Return a config with every name exchanged where it is a key or a value. Keys of entries stay."""
    if isinstance(value, dict):
        own = {"instructions", "teachers"}
        return {k if k in own else names.get(k, k): exchanged(item, names) for k, item in value.items()}
    if isinstance(value, list):
        return [exchanged(item, names) for item in value]
    if isinstance(value, str) and "/" in value and not value.startswith(("config/", "org/")):
        return "/".join(names.get(part, part) for part in value.split("/"))
    return names.get(value, value) if isinstance(value, str) else value
