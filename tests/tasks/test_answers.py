"""Which part of an answer is its program."""

import pytest
from teachergrid.tasks import answers

PROMPT = 'import math\n\n\ndef f(x):\n    """Add one."""\n'
STUB = f"{PROMPT}\n    pass\n"
F = "def f(x):\n    return x + 1"


def fenced(code: str, head: str = "```python", tail: str = "```") -> str:
    return f"{head}\n{code}\n{tail}"


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (f"Here it is:\n\n{fenced(F)}\n\nIt adds one.", F),
        (fenced(F, "```"), F),
        (fenced(F, "~~~ py", "~~~"), F),
        (fenced(F, "````python", "````"), F),
        (fenced(f"{F}\n```", "````python", "````"), f"{F}\n```"),
        (f"First:\n{fenced('def f(x):')}\nBetter:\n{fenced(F)}\nUse it:\n{fenced('print(f(1))')}", F),
        (f"{fenced('def g(x): pass')}\nno f", None),
        (f"```python\n{F}", F),  # cut off
        ("1. So:\n\n   ```python\n   def f(x):\n       return x + 1\n   ```", F),
        (fenced("f = lambda x: x + 1"), "f = lambda x: x + 1"),
        (fenced("class f:\n    pass"), "class f:\n    pass"),
        (fenced("from math import floor as f"), "from math import floor as f"),
        (fenced("if True:\n    def f(x): pass"), "if True:\n    def f(x): pass"),
        (fenced("def f(x)\n    return x"), "def f(x)\n    return x"),  # it is no Python, and still the answer
        (fenced("def ff(x): pass"), None),
        (F, F),
        (f"Sure\n\n{F}\n\nThis adds one to x.", F),
        (f"from the text I take that:\nx = 5 (they say so\nimport math\n\n{F}\n", f"import math\n\n{F}"),
        (f"LIMIT = 3\n{F}", f"LIMIT = 3\n{F}"),
        (f"[BEGIN]\n{F}\n[DONE]\n[BEGIN]\ndef f(x): pass", F),
        ("def f(x):\n    return (x", "def f(x):\n    return (x"),
        ("def f(x) adds one", "def f(x) adds one"),
        ("I do not know.", None),
        ("", None),
        ("`f`", None),
    ],
)
def test_of_a_prompt_in_prose(answer, found):
    assert answers.program(answer, "f") == (None if found is None else (found,))


@pytest.mark.parametrize(
    ("answer", "parts"),
    [
        ("    return x + 1\n", (f"{PROMPT}    return x + 1\n",)),
        ("\n    return x + 1\n\n\ndef g(y):\n    return y\n", (f"{PROMPT}\n    return x + 1\n\n",)),
        ("    if x:\n        return 1\n    return 2\n# end", (f"{PROMPT}    if x:\n        return 1\n    return 2",)),
        ("    return x\n\nprint(f(1))", (f"{PROMPT}    return x\n",)),
        ("    return x\n```\n", (f"{PROMPT}    return x",)),
        ("\treturn x", (f"{PROMPT}\treturn x",)),
        (fenced(F), (STUB, F)),
        (F, (STUB, F)),
        (fenced("    return x + 1"), (f"{PROMPT}    return x + 1",)),
        (fenced("return x + 1"), None),
        ("Sorry.", None),
        ("   \n", None),
    ],
)
def test_of_a_prompt_in_code(answer, parts):
    assert answers.program(answer, "f", PROMPT) == parts


def test_long_answers_take_no_time():
    prose = "x = 1 is what (they say\n" * 3000
    assert answers.program(f"{prose}{F}\n{prose}", "f"), "no Python, but it has the function"
    assert answers.program("(" * 100_000 + F, "f") is None
    assert answers.program(fenced("(" * 100_000 + "\n" + F), "f") == ("(" * 100_000 + "\n" + F,)
