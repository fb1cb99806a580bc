"""Checks in a process of their own: what takes too long or too much ends, and the next item is checked."""

import pytest
from teachergrid.errors import BadInput
from teachergrid.tasks import limited
from teachergrid.tasks.limited import Limits, Result, results

SHORT = Limits(1, 512)


def test_results_come_in_the_order_of_the_items():
    found = list(results("math", [["1", "1"], ["2", "1"]], SHORT))
    assert found == [Result("right"), Result("wrong")]


def test_nothing_is_started_for_nothing(monkeypatch):
    monkeypatch.setattr(limited.subprocess, "Popen", None)
    assert list(results("math", [], SHORT)) == []


def test_memory_is_limited():
    """A power of a billion digits."""
    [big, next_one] = results("math", [["1", r"\boxed{2^{2^{33}}}"], ["1", "1"]], Limits(30, 64))
    assert big.failed in (limited.MEMORY, limited.TIME) or big.value == "wrong"
    assert next_one == Result("right")


def test_a_process_that_cannot_begin_says_why(monkeypatch, tmp_path):
    (tmp_path / "math_verify.py").write_text("raise ImportError('no such package here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(limited, "SCRIPTS", limited.SCRIPTS)
    with pytest.raises(BadInput, match="did not begin: ImportError: no such package here"):
        list(results("math", [["1", "1"]], SHORT))


def test_what_a_library_prints_is_no_result(monkeypatch, tmp_path):
    (tmp_path / "math_verify.py").write_text(
        "print('hello')\ndef parse(text, **_):\n    print('a line')\n    return [text]\ndef verify(a, b, **_):\n    return True\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert list(results("math", [["1", "1"]] * 2, SHORT)) == [Result("right")] * 2


def test_an_error_of_a_library_is_the_items_alone(monkeypatch, tmp_path):
    (tmp_path / "math_verify.py").write_text(
        "def parse(text, **_):\n    if 'z' in text:\n        raise ValueError('no z')\n    return [text]\n"
        "def verify(a, b, **_):\n    return True\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = list(results("math", [["1", "z"], ["1", "1"]], SHORT))
    assert found == [Result(failed="error: ValueError: no z"), Result("right")]


def test_a_process_that_dies_is_replaced(monkeypatch, tmp_path):
    (tmp_path / "math_verify.py").write_text(
        "import os\ndef parse(text, **_):\n    if 'z' in text:\n        os._exit(3)\n    return [text]\ndef verify(a, b, **_):\n    return True\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = list(results("math", [["1", "z"], ["1", "1"]], SHORT))
    assert found[0].failed is not None and found[1] == Result("right")
