"""The fingerprint of a rule's code: what changes it and what does not, on a copy of the scripts."""

import ast
import json
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
from teachergrid.job import fingerprint, source
from teachergrid.spec import canonical
from teachergrid.store.job_index import INDEX, remember
from workspace import ROOT

RULES = [
    *fingerprint.CHEAP,
    "load_instructions",
    "generate",
    "check",
    "gate",
    "reward",
    "likelihood",
    "select",
    "finetune",
]
RULES += ["answer", "judge", "free", "pilot"]
# the copies of most files are equal, and are read once
AST = SimpleNamespace(**{**vars(ast), "parse": cache(ast.parse)})


@pytest.fixture
def scripts(tmp_path, monkeypatch) -> Path:
    copy = shutil.copytree(
        ROOT / "workflow/scripts", tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__")
    )
    monkeypatch.setattr(source, "SCRIPTS", copy)
    monkeypatch.setattr(fingerprint, "SCRIPTS", copy)
    monkeypatch.setattr(fingerprint, "KEPT", copy / "teachergrid/job/__pycache__/fingerprints.json")
    monkeypatch.setattr(source, "ast", AST)
    forget()
    yield copy
    forget()


def forget() -> None:
    cached = fingerprint.fingerprint, fingerprint.all_code, fingerprint.digest_of, source.source_of, source.parse
    for function in cached:
        function.cache_clear()


def fingerprints() -> dict[str, str]:
    forget()
    return {rule: fingerprint.fingerprint(rule) for rule in RULES}


def changed(change) -> set[str]:
    before = fingerprints()
    change()
    after = fingerprints()
    return {rule for rule in RULES if before[rule] != after[rule]}


def put_into(path: Path, function: str, line: str) -> None:
    """Put a line before the first statement of a function (after its docstring)."""
    text = path.read_text()
    found = next(n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef) and n.name == function)
    first = source.without_docstring(found.body)[0]
    lines = text.splitlines(keepends=True)
    lines.insert(first.lineno - 1, f"{' ' * first.col_offset}{line}\n")
    path.write_text("".join(lines))


REACHED_BY = {
    ("metrics/measure", "measure"): {"metric"},
    # what corpora are chosen by
    ("metrics/terms", "term_values"): {"metric", "pilot", "select"},
    ("data/health", "gate"): {"gate", "pilot"},
    ("data/health", "check"): {"check"},
    ("tasks/verify", "verdict"): {"verify", "reward", "judge"},
    ("evaluation/judge", "verify_answers"): {"verify"},
    ("training/sft", "train"): {"finetune"},
    ("decisions/summary", "summarise"): {"correlate"},
    ("report/page", "build"): {"report"},
    # imported inside a function
    ("data/published", "load"): {"answer", "generate"},
    ("engines/huggingface", "generate"): {"generate", "answer"},
    ("models/loading", "load_model"): {"generate", "answer", "reward", "judge", "likelihood", "finetune"},
    # how a job runs, and the tools around the grid
    ("job/context", "running"): set(),
    ("job/usage", "measure"): set(),
    ("commands/plan", "shown"): set(),
    ("grid/evaluation", "answer_row"): set(),
    # an answer or a judgement reads the prompts of tasks, and no instructions are left out of these
    ("data/contamination", "near"): {"load_instructions", "report"},
    ("spec/seeds", "derived_seed"): {"metric", "pilot"},
    ("grid/config", "checked"): set(),
}


@pytest.mark.parametrize("place", REACHED_BY, ids=".".join)
def test_a_changed_function_counts_for_the_rules_that_call_it(scripts, place):
    path = scripts / f"teachergrid/{place[0]}.py"
    assert changed(lambda: put_into(path, place[1], "assert True")) == REACHED_BY[place]


@pytest.mark.slow
def test_entry_scripts_count_for_their_rule(scripts):
    for rule in RULES:
        path = scripts / f"{fingerprint.ENTRIES.get(rule, rule)}.py"
        assert changed(lambda path=path: path.write_text(path.read_text() + "\nassert True\n")) == {rule}


DATA = {
    "report/template/page.html": {"report"},
    "pages/template/frame.html": {"report"},
    "run/template/status.html": set(),
    "replication/template/replicate.html": set(),
    "planning/template/plan.html": set(),
    "replication/tables/tables.csv": set(),
}


@pytest.mark.parametrize("path", DATA)
def test_a_data_file_counts_for_the_rules_that_read_it(scripts, path):
    file = scripts / "teachergrid" / path
    assert changed(lambda: file.write_text(file.read_text() + "<!-- -->")) == DATA[path]


@pytest.mark.parametrize("path", ["schemas/config.schema.yaml", "../config/machines.yaml"])
def test_files_outside_of_the_package_do_not_count(scripts, path):
    """What they decide is in the specs; a changed description must not run the cheap rules again."""
    file = scripts.parent / path
    file.parent.mkdir(exist_ok=True)
    assert changed(lambda: file.write_text("# nothing")) == set()


def test_a_constant(scripts):
    path = scripts / "teachergrid/stats/rank.py"
    assert changed(lambda: path.write_text(path.read_text() + "\n_UNUSED = 1\n")) == set()
    path = scripts / "teachergrid/store/schemas.py"
    text = path.read_text().replace('KEY = [("id", pa.string())', 'KEY = [("id", pa.large_string())')
    # every table but those of instructions, health and prompts has this key
    assert {"generate", "reward", "likelihood"} <= changed(lambda: path.write_text(text))


@pytest.mark.slow
def test_comments_docstrings_and_formatting_do_not_count(scripts):
    def dress():
        for path in scripts.rglob("*.py"):
            tree = ast.parse(path.read_text())
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                    node.body = [ast.Expr(ast.Constant("Other words.")), *source.without_docstring(node.body)]
            path.write_text("# a comment\n" + ast.unparse(ast.fix_missing_locations(tree)))

    assert changed(dress) == set()


FUNCTION = """
def example(rows: list[int], limit: int = 3) -> dict:
    \"\"\"Return nothing.\"\"\"
    count: int
    share: float = len(rows) / limit
    return {"share": share}
"""
SAME = {
    "list[int]": "tuple[str, ...]",
    ": list[int]": "",
    " -> dict": "",
    "Return nothing": "Return a share",
    "    count: int\n": "",
    "share: float": "share",
}
OTHER = {"= 3": "= 4", "len(rows)": "sum(rows)", "limit: int": "most: int", "rows) /": "rows) +"}


@pytest.mark.parametrize("old", [*SAME, *OTHER])
def test_annotations_do_not_count_and_values_do(scripts, old):
    path = scripts / "teachergrid/spec/seeds.py"
    text = path.read_text().replace("    return int", "    example([])\n    return int") + FUNCTION
    path.write_text(text)
    assert old in text
    expected = set() if old in SAME else {"metric", "pilot"}
    assert changed(lambda: path.write_text(text.replace(old, (SAME | OTHER)[old], 1))) == expected


def test_fields_of_a_class_count_without_their_type(scripts):
    path = scripts / "teachergrid/spec/seeds.py"
    text = path.read_text().replace("    return int", "    Example(1)\n    return int")
    text += "\nclass Example(NamedTuple):\n    first: int\n    second: int = 0\n"
    path.write_text(text)
    assert changed(lambda: path.write_text(text.replace("first: int", "first: float"))) == set()
    assert changed(lambda: path.write_text(text.replace("first: int", "other: int"))) == {"metric", "pilot"}
    assert changed(lambda: path.write_text(text.replace("second: int = 0", "second = 0"))) == {"metric", "pilot"}


def test_which_function_a_name_stands_for_counts(scripts):
    """Two functions of one name, which the rule reaches anyway: the module says which, and its name must not count."""
    package = scripts / "teachergrid"
    for module, value in (("first", 1), ("second", 2)):
        (package / f"{module}.py").write_text(f"def value():\n    return {value}\n")
    path = package / "spec/seeds.py"
    text = path.read_text().replace(
        "    return int", "    first.value() + second.value()\n    first.value()\n    return int"
    )
    text = f"from .. import first, second\n{text}"
    path.write_text(text)
    assert changed(lambda: path.write_text(text.replace("    first.value()\n", "    second.value()\n"))) == {
        "metric",
        "pilot",
    }


def test_local_names_are_no_names_of_the_package(scripts):
    """A parameter, a variable and one of a comprehension are called like modules of the package."""
    path = scripts / "teachergrid/spec/seeds.py"
    text = path.read_text().replace("    return int", "    f({}, 1)\n    return int")
    text = f"from ..data import health\nfrom ..stats import rank\nfrom ..tasks import verify\n{text}"
    text += (
        "\ndef f(health, x):\n    verify = x\n    return [rank for rank in health.items()], verify.extract(health)\n"
    )
    path.write_text(text)
    for module, function in (("data/health", "check"), ("stats/rank", "pooled"), ("tasks/verify", "verdict")):
        path = scripts / f"teachergrid/{module}.py"
        assert not {"metric"} & changed(lambda path=path, function=function: put_into(path, function, "assert True"))


# --- modules that move


# a room that is called otherwise, with its data files
ROOMS = {"pages": "drawing"}
# a module -> where it goes: into other rooms, deeper, under other names. Some are imported inside functions or started as
# programs, read data files, or are left out of the fingerprint
MOVES = {
    "data.health": "answers.quality",
    "data.generate": "answers.made",
    "metrics.join": "metrics.table",
    "metrics.terms": "tables.words",
    "metrics.measure": "tables.measured",
    "engines.huggingface": "machine_rooms.transformer",
    "training.launch": "training.start",
    "training.worker": "training.process",
    "training.zero": "training.sharding",
    "training.sft": "tuning.supervised",
    "spec.schema": "ground.deep.shape",
    "report.page": "shown.built.whole",
    "job.context": "running.around",
    "job.devices": "running.gpus",
}
# what a module says about places relative to its own: before, and after the move
DEPTHS = {
    "spec.schema": ("parents[3]", "parents[4]"),
    "report.page": ('Path(__file__).parent / "template"', 'Path(__file__).parents[2] / "report" / "template"'),
}


@pytest.mark.slow
def test_modules_that_move_and_are_renamed_change_nothing(scripts, monkeypatch):
    package = scripts / "teachergrid"
    moved = {f"teachergrid.{old}": f"teachergrid.{new}" for old, new in MOVES.items()}
    for old, new in ROOMS.items():
        names = [path.stem for path in (package / old).glob("*.py")]
        assert "__init__" in names and len(names) > 3
        moved |= {f"teachergrid.{old}.{name}": f"teachergrid.{new}.{name}" for name in names if name != "__init__"}

    def move():
        for path in [*scripts.glob("*.py"), *package.rglob("*.py")]:
            module = path.relative_to(scripts).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
            before, after = DEPTHS.get(module.removeprefix("teachergrid."), ("", ""))
            assert before in path.read_text()
            tree = ast.parse(path.read_text().replace(before, after))
            text = ast.unparse(Moved(module, path.stem == "__init__", moved).visit(tree))
            to = path
            if module in moved:
                path.unlink()
                to = scripts.joinpath(*moved[module].split(".")).with_suffix(".py")
                to.parent.mkdir(parents=True, exist_ok=True)
            to.write_text(text)
        for old, new in ROOMS.items():  # what is left of it: __init__ and data files
            shutil.copytree(package / old, package / new, dirs_exist_ok=True)
            shutil.rmtree(package / old)
        left_out = {moved.get(name, name) for name in fingerprint.NOT_IN_FINGERPRINT}
        assert left_out != fingerprint.NOT_IN_FINGERPRINT
        monkeypatch.setattr(fingerprint, "NOT_IN_FINGERPRINT", left_out)

    assert changed(move) == set()
    for old, new in moved.items():
        assert not source.source_of(old) and source.source_of(new)
    # still followed, under the new names
    for module, function, rules in (
        ("answers/quality", "check", {"check"}),
        ("metrics/table", "join", {"metric", "pilot", "select", "finetune"}),
        ("tuning/supervised", "train", {"finetune"}),
        ("training/process", "main", {"finetune"}),
        ("shown/built/whole", "build", {"report"}),
        ("running/around", "running", set()),
    ):
        path = package / f"{module}.py"
        assert changed(lambda path=path, function=function: put_into(path, function, "assert True")) == rules
    for name in ("report/template/page.html", "drawing/template/frame.html"):
        page = package / name
        assert changed(lambda page=page: page.write_text(page.read_text() + "<!-- -->")) == {"report"}


class Moved(ast.NodeTransformer):
    """Rewrites a module for moved ones: absolute imports, other names of modules, and their names as text."""

    def __init__(self, module: str, is_package: bool, moved: dict[str, str]):
        self.package = module if is_package else module.rpartition(".")[0]
        self.moved, self.renamed = moved, {}

    def visit_ImportFrom(self, node):
        above = self.package.split(".")[: len(self.package.split(".")) + 1 - node.level] if node.level else []
        origin = ".".join([*above, *([node.module] if node.module else [])])
        if not origin.startswith("teachergrid"):
            return node
        found = []
        for alias in node.names:
            inner = f"{origin}.{alias.name}"
            if inner in self.moved:
                package, _, name = self.moved[inner].rpartition(".")
                self.renamed[alias.asname or alias.name] = f"{name}_module"
                found.append(ast.ImportFrom(package, [ast.alias(name, f"{name}_module")], 0))
            else:
                found.append(ast.ImportFrom(self.moved.get(origin, origin), [alias], 0))
        return found

    def visit_Attribute(self, node):
        self.generic_visit(node)
        if isinstance(node.value, ast.Name) and node.value.id in self.renamed:
            node.value = ast.Name(self.renamed[node.value.id], ast.Load())
        return node

    def visit_Constant(self, node):
        return ast.Constant(self.moved.get(node.value, node.value)) if isinstance(node.value, str) else node


def test_every_module_that_is_named_as_text_exists():
    names = {*fingerprint.NOT_IN_FINGERPRINT, *fingerprint.ENTRIES.values()}
    texts = [path for kind in ("*.py", "*.md", "*.smk") for path in (ROOT / "workflow").rglob(kind)]
    for path in [*texts, ROOT / "Makefile", ROOT / "config/README.md"]:
        names |= set(re.findall(r"\bteachergrid(?:\.\w+)+", path.read_text()))
    assert "teachergrid.training.worker" in names and len(names) > 8
    # of a name such as teachergrid.job.fingerprint.fingerprint the module counts
    assert {
        name for name in names if not any(source.source_of(part) for part in (name, name.rpartition(".")[0]))
    } == set()


def test_the_same_in_another_process_without_imports():
    """Of what the rules import nothing is imported."""
    program = (
        "import sys; from teachergrid.job import fingerprint as code; print(code.fingerprint('finetune'), code.fingerprint('metric'));"
        "print({'torch', 'pandas', 'numpy', 'pyarrow', 'snakemake', 'teachergrid.training.sft'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT / "workflow/scripts", capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:2] == [
        f"{fingerprint.fingerprint('finetune')} {fingerprint.fingerprint('metric')}",
        "set()",
    ]


@pytest.fixture
def first(scripts, monkeypatch) -> dict[str, str]:
    """What a first process has computed of generate and metric. It keeps it, whatever the shell says about bytecode."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    return {rule: fingerprint.fingerprint(rule) for rule in ("generate", "metric")}


def computes(monkeypatch) -> list[str]:
    """The rules that are computed from here on, as in another process."""
    forget()
    found, usual = [], fingerprint.of_source
    monkeypatch.setattr(fingerprint, "of_source", lambda rule: found.append(rule) or usual(rule))
    return found


def test_what_one_process_has_computed_the_next_one_reads(first, monkeypatch):
    computed = computes(monkeypatch)
    assert {rule: fingerprint.fingerprint(rule) for rule in first} == first
    assert computed == []
    fingerprint.fingerprint("answer")
    assert computed == ["answer"] and fingerprint.kept(fingerprint.read_code()).keys() == {*first, "answer", "code"}


@pytest.mark.parametrize("edited", ["teachergrid/engines/rows.py", "teachergrid/pages/data.json", "generate.py"])
def test_of_other_code_it_is_computed(scripts, first, monkeypatch, edited):
    with (scripts / edited).open("a") as file:
        file.write("\n")
    (scripts / "teachergrid/.#lock").symlink_to("nobody@nowhere.1")  # as an editor leaves it
    computed = computes(monkeypatch)
    assert fingerprint.fingerprint("generate") == first["generate"], "an empty line changes nothing"
    assert computed == ["generate"] and fingerprint.kept(fingerprint.read_code()).keys() == {"generate", "code"}


def test_of_code_that_was_edited_meanwhile_nothing_is_kept(scripts, first):
    (scripts / "answer.py").write_text("print()")
    fingerprint.fingerprint("answer")
    assert "answer" not in fingerprint.kept(fingerprint.all_code()) and fingerprint.kept(fingerprint.read_code()) == {}


def test_where_python_keeps_no_bytecode_nothing_is_kept(scripts, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert len(fingerprint.fingerprint("generate")) == 16 and not fingerprint.KEPT.exists()


@pytest.mark.parametrize("text", ["{", "[]", "null", '{"generate": "x"}', '{"generate": "x", "code": 1}', "\xff"])
def test_what_is_damaged_is_computed(first, text):
    fingerprint.KEPT.write_bytes(text.encode("latin-1"))
    forget()
    assert fingerprint.fingerprint("generate") == first["generate"]
    # nor does it matter whether it can be kept
    shutil.rmtree(fingerprint.KEPT.parent)
    fingerprint.KEPT.parent.write_text("no folder")
    forget()
    assert fingerprint.fingerprint("generate") == first["generate"]


def test_cheap_rules_carry_it_in_their_spec():
    text = canonical.dump(recipe={"learning_rate": 1})
    assert fingerprint.stamped("finetune", text) == text
    stamped = json.loads(fingerprint.stamped("metric", text))
    assert stamped == {**json.loads(text), "code": fingerprint.fingerprint("metric")}


def test_the_last_word_of_every_machine_counts(tmp_path):
    now = fingerprint.fingerprint("generate")
    index = tmp_path / INDEX
    index.mkdir()
    (index / "one").write_text(f"1 generate a old\n4 generate b {now}\n5 generate c")  # cut off
    (index / "two").write_text(f"3 generate a {now}\n2 generate b old\n7 generate d old\n")
    assert fingerprint.older(str(tmp_path), "generate", ["a", "b", "c", "d", "e"]) == (["d"], ["c", "e"])
    assert fingerprint.older(str(tmp_path / "elsewhere"), "generate", ["a"]) == ([], ["a"])


def test_what_a_job_remembers(tmp_path):
    for rule, made_with in (("generate", "old"), ("metric", "old"), ("generate", fingerprint.fingerprint("generate"))):
        remember(str(tmp_path), rule, "a", made_with)
    assert fingerprint.remembered(str(tmp_path)) == {("generate", "a"): fingerprint.fingerprint("generate")}


# statements that were rewritten and make the same bytes: (module, text now, text before), or a tuple of texts each
REWRITTEN = [
    (
        "models/checks",
        "        refuse_ids(inputs[0].unique().tolist() if inputs else (), outside, network.name_or_path, size)\n",
        "        for id in inputs[0].unique().tolist() if inputs else ():\n            if id in outside:\n"
        "                raise BadInput(\n"
        "                    f\"{network.name_or_path}: the text has the token '{outside[id]}' (id {id}), and the model has embeddings for \"\n"
        '                    f"the ids 0 to {size - 1} only; take the tokenizer and template that belong to the model, or add the row "\n'
        '                    "(resize_token_embeddings) and train it"\n                )\n',
    ),
    (
        "store/artifacts",
        "        data = _whole(file, [name for name in names if name not in lacking])\n",
        "        data = file.read(columns=[name for name in names if name not in lacking])\n",
    ),
    (
        "scoring/given",
        (
            "        yield from zip(ids, messages_of(self._instructions, [self._index[id] for id in ids]), strict=True)\n",
            "messages_of(self._instructions, [self._index[id] for id in ids if id in wanted])\n",
        ),
        (
            '        yield from zip(\n            ids, self._instructions["messages"].take([self._index[id] for id in ids]).to_pylist(), '
            "strict=True\n        )\n",
            'self._instructions["messages"].take([self._index[id] for id in ids if id in wanted]).to_pylist()\n',
        ),
    ),
    (
        "models/checks",
        (
            "    seen: set[str] = set()\n    for id, messages in rows:\n        if id in seen:\n            continue\n        seen.add(id)\n",
            "len(seen), chat_settings",
        ),
        ("    by_id = dict(rows)\n    for id, messages in by_id.items():\n", "len(by_id), chat_settings"),
    ),
    (
        "store/shards",
        "            # without threads: one that still holds these bytes when Python ends would abort the job (apache/arrow#34314)\n"
        "            table = pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)\n",
        "            table = pq.read_table(pa.BufferReader(content))\n",
    ),
    ("store/artifacts", "with origin.create(part) as raw, pq.ParquetWriter(raw, ", "with pq.ParquetWriter(part, "),
    (
        "store/shards",
        '    origin.replace_bytes(folder / f"{i:06d}-{hashlib.sha256(content).hexdigest()}.parquet", content)',
        '    part = folder / f"{i:06d}.part"\n    part.write_bytes(content)\n'
        '    os.replace(part, folder / f"{i:06d}-{hashlib.sha256(content).hexdigest()}.parquet")',
    ),
    (
        "store/origin",
        "    replace_bytes(path, content.encode())",
        '    path = Path(path)\n    path.parent.mkdir(parents=True, exist_ok=True)\n    part = path.with_name(path.name + ".part")\n'
        '    part.write_text(content, encoding="utf-8")\n    os.replace(part, path)',
    ),
    (
        "scoring/reward",
        (
            "    work: Path | None,\n    loaded: list[LimitedScorer] | None = None,\n) -> pa.Table:",
            ", work, [] if loaded is None else loaded)",
            "model: dict, work: Path, loaded: list[LimitedScorer]\n)",
            "        if not loaded:\n            loaded[:] = [\n                Limited",
            "for tokenizer, network in loading.load_copies(model, reward, kind=scorer_of.MODEL_KIND)\n            ]\n        return loaded\n",
        ),
        (
            "    work: Path | None,\n) -> pa.Table:",
            ", work)",
            "model: dict, work: Path\n)",
            "        return [\n                Limited",
            "for tokenizer, network in loading.load_copies(model, reward, kind=scorer_of.MODEL_KIND)\n        ]\n",
        ),
    ),
]


@pytest.mark.parametrize(("module", "now", "before"), REWRITTEN)
def test_a_rewrite_that_makes_the_same_bytes_makes_no_result_older(scripts, module, now, before):
    path = scripts / f"teachergrid/{module}.py"
    text = older = path.read_text()
    for new, old in zip(*((now, before) if isinstance(now, tuple) else ([now], [before])), strict=True):
        assert text.count(new) == 1
        older = older.replace(new, old)
    assert changed(lambda: path.write_text(older)) == set()


def test_a_rewritten_statement_that_changes_again_counts(scripts):
    path = scripts / "teachergrid/store/artifacts.py"
    assert changed(lambda: path.write_text(path.read_text().replace('"zstd"', '"gzip"'))) >= {"metric", "generate"}


def test_each_rewritten_statement_is_still_there(scripts):
    forget()
    there = {
        part.digest
        for module in (
            "store.artifacts",
            "store.shards",
            "store.origin",
            "models.checks",
            "data.files",
            "scoring.reward",
            "scoring.given",
        )
        for name in source.parse(f"teachergrid.{module}").statements
        for part in source.parts_of(f"teachergrid.{module}", name)
    }
    assert {*fingerprint.REWRITTEN} <= there
