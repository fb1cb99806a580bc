"""The fingerprint of a rule's code: what changes it and what does not, on a copy of the scripts."""

import ast
import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import ROOT
from teachergrid import canonical, code

RULES = [*code.CHEAP, "load_instructions", "generate", "check", "gate", "reward", "likelihood", "select", "finetune"]
RULES += ["answer", "judge"]
# the copies of most files are equal, and are read once
AST = SimpleNamespace(**{**vars(ast), "parse": cache(ast.parse)})


@pytest.fixture
def scripts(tmp_path, monkeypatch) -> Path:
    copy = shutil.copytree(
        ROOT / "workflow/scripts", tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__")
    )
    monkeypatch.setattr(code, "SCRIPTS", copy)
    monkeypatch.setattr(code, "ast", AST)
    forget()
    yield copy
    forget()


def forget() -> None:
    for function in (code.fingerprint, code.source_of, code.parse):
        function.cache_clear()


def fingerprints() -> dict[str, str]:
    forget()
    return {rule: code.fingerprint(rule) for rule in RULES}


def changed(change) -> set[str]:
    before = fingerprints()
    change()
    after = fingerprints()
    return {rule for rule in RULES if before[rule] != after[rule]}


def put_into(path: Path, function: str, line: str) -> None:
    """Put a line before the first statement of a function (after its docstring)."""
    text = path.read_text()
    found = next(n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef) and n.name == function)
    first = code.without_docstring(found.body)[0]
    lines = text.splitlines(keepends=True)
    lines.insert(first.lineno - 1, f"{' ' * first.col_offset}{line}\n")
    path.write_text("".join(lines))


MENDED = {
    ("metrics", "measure"): {"metric"},
    # what corpora are chosen by
    ("columns", "term_values"): {"metric", "select"},
    ("health", "gate"): {"gate"},
    ("health", "check"): {"check"},
    ("verify", "verdict"): {"verify", "reward", "judge"},
    ("judges", "verify_answers"): {"verify"},
    ("sft", "train"): {"finetune"},
    ("summary", "summarise"): {"correlate"},
    ("report/page", "build"): {"report"},
    # imported inside a function
    ("engines/existing", "respond"): {"generate"},
    ("engines/hf", "generate"): {"generate", "answer"},
    ("models", "load_model"): {"generate", "answer", "reward", "judge", "likelihood", "finetune"},
    # how a job runs, and the tools around the grid
    ("job", "running"): set(),
    ("planning/actuals", "measured"): set(),
    ("plan", "shown"): set(),
    ("exam", "add"): set(),
}


@pytest.mark.parametrize("place", MENDED, ids=".".join)
def test_a_mended_function_counts_for_the_rules_that_call_it(scripts, place):
    path = scripts / f"teachergrid/{place[0]}.py"
    assert changed(lambda: put_into(path, place[1], "assert True")) == MENDED[place]


def test_entry_scripts_count_for_their_rule(scripts):
    for rule in RULES:
        path = scripts / f"{code.ENTRIES.get(rule, rule)}.py"
        assert changed(lambda path=path: path.write_text(path.read_text() + "\nassert True\n")) == {rule}


def test_a_constant_and_a_template(scripts):
    path = scripts / "teachergrid/stats.py"
    assert changed(lambda: path.write_text(path.read_text() + "\n_UNUSED = 1\n")) == set()
    page = scripts / "teachergrid/report/template/page.html"
    assert changed(lambda: page.write_text(page.read_text() + "<!-- -->")) == {"report"}
    path = scripts / "teachergrid/schemas.py"
    text = path.read_text().replace('KEY = [("id", pa.string())', 'KEY = [("id", pa.large_string())')
    # every table but those of instructions, health and prompts has this key
    assert {"generate", "reward", "likelihood"} <= changed(lambda: path.write_text(text))


def test_comments_docstrings_and_formatting_do_not_count(scripts):
    def dress():
        for path in scripts.rglob("*.py"):
            tree = ast.parse(path.read_text())
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                    node.body = [ast.Expr(ast.Constant("Other words.")), *code.without_docstring(node.body)]
            path.write_text("# a comment\n" + ast.unparse(ast.fix_missing_locations(tree)))

    assert changed(dress) == set()


def test_the_same_in_another_process_without_imports():
    """Of what the rules import nothing is imported."""
    program = (
        "import sys; from teachergrid import code; print(code.fingerprint('finetune'), code.fingerprint('metric'));"
        "print({'torch', 'pandas', 'numpy', 'pyarrow', 'snakemake', 'teachergrid.sft'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT / "workflow/scripts", capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:2] == [f"{code.fingerprint('finetune')} {code.fingerprint('metric')}", "set()"]


def test_cheap_rules_carry_it_in_their_spec():
    text = canonical.dump(recipe={"learning_rate": 1})
    assert code.stamped("finetune", text) == text
    stamped = json.loads(code.stamped("metric", text))
    assert stamped == {**json.loads(text), "code": code.fingerprint("metric")}


def test_the_last_word_of_every_machine_counts(tmp_path):
    now = code.fingerprint("generate")
    index = tmp_path / code.INDEX
    index.mkdir()
    (index / "one").write_text(f"1 generate a old\n4 generate b {now}\n5 generate c")  # cut off
    (index / "two").write_text(f"3 generate a {now}\n2 generate b old\n7 generate d old\n")
    assert code.older(str(tmp_path), "generate", ["a", "b", "c", "d", "e"]) == (["d"], ["c", "e"])
    assert code.older(str(tmp_path / "elsewhere"), "generate", ["a"]) == ([], ["a"])


def test_what_a_job_remembers(tmp_path):
    for rule, made_with in (("generate", "old"), ("metric", "old"), ("generate", code.fingerprint("generate"))):
        code.remember(str(tmp_path), rule, "a", made_with)
    assert code.remembered(str(tmp_path)) == {("generate", "a"): code.fingerprint("generate")}
