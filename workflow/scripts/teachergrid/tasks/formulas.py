r"""Check a mathematical answer by its value, with math-verify: \frac{1}{2} is 0.5, and (1, 2) is not (2, 1).

The answer is the last \boxed{...}, else the last formula or number. The reference may be the bare answer, or a solution that ends with
\boxed{...}.
"""

from collections.abc import Callable, Sequence

from . import limited
from .verify import Asked, Checked

# of an answer, from its end: the answer stands there, and the library reads all formulas of a text
LONGEST = 20_000


def check(answers: Sequence[Asked], checker: dict) -> list[Checked]:
    """Return what the checker says of answers: right, wrong, no answer found; an answer that takes too long to check is wrong.

    Raises BadInput where math-verify is not installed.
    """
    items = [[one.reference, one.text] for one in answers]
    asked = [item for item in items if item[0] and item[0].strip()]
    limits = limited.Limits(checker["seconds"], checker["megabytes"])
    found = iter([*limited.results("math", asked, limits)])
    checked = []
    for reference, _ in items:
        if not reference or not reference.strip():
            checked.append(Checked(None, None, "no reference answer"))
            continue
        result = next(found)
        if result.failed is not None:
            checked.append(Checked(0.0, result.failed, None))
        elif result.value == "unreadable":
            checked.append(Checked(None, None, f"the reference answer {reference[:80]!r} holds no formula"))
        else:
            checked.append(Checked(float(result.value == "right"), result.value, None))
    return checked


def opened() -> Callable[[list[str]], str]:
    """Return the function that checks [reference, answer]: right, wrong, no answer found, or unreadable for the reference."""
    from math_verify import parse, verify

    def one(item: list[str]) -> str:
        reference, text = item
        # without time limits of its own, which are signals: this process has limits
        gold = parse(as_formula(reference), parsing_timeout=None)
        if not gold:
            return "unreadable"
        answer = parse(last_box(text[-LONGEST:]), parsing_timeout=None)
        if not answer:
            return "no answer found"
        return "right" if verify(gold, answer, timeout_seconds=None) else "wrong"

    return one


def last_box(text: str) -> str:
    r"""Return the last \boxed{...} of a text, since the library makes one set of several; all of the text where it has none.

    One that does not end is as good as none.
    """
    start = text.rfind("\\boxed")
    if start < 0:
        return text
    opening = start + len("\\boxed")
    if text[opening : opening + 1] != "{":
        return text[start:]
    depth = 0
    for place in range(opening, len(text)):
        # \{ and \} are braces that are written
        if text[place - 1] != "\\" or text[place - 2 : place] == "\\\\":
            depth += {"{": 1, "}": -1}.get(text[place], 0)
        if not depth:
            return text[start : place + 1]
    return ""


def as_formula(reference: str) -> str:
    r"""Return a reference in which the library finds a formula: a bare one is put into \boxed{}."""
    if "\\boxed" in reference:
        return last_box(reference)
    bare = reference.strip()
    if len(bare) > 2 and bare[0] == bare[-1] == "$" and "$" not in bare[1:-1]:
        bare = bare[1:-1]
    return f"\\boxed{{{bare}}}"
