"""Find the program in an answer: in the fenced blocks of a chat answer, or in what a base model wrote on from a prompt.

- An answer that begins with an indented line goes on with the prompt's code, up to where it begins something else.
- Else the last fenced block counts that defines the entry, the name that the tests use. A block of nothing but the function's body
  goes on with the prompt.
- Without any fence it is the answer from its first line that looks like a statement, without prose behind it.
"""

import ast
import re
import warnings
from collections.abc import Iterator

# a line that opens or closes a block, as Markdown has it; inside a list it may be indented
_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*([^`\n]*)$")
# how a line of a program begins that stands in prose without a fence
_STATEMENT = re.compile(r"(?:async def|class|def|from|if|import|try)\b.*\w|@\w|#|[A-Za-z_]\w*[ \t]*(?::[^=]*)?=[^=]")
_STARTS = 20  # such lines that are tried


# where a base model has finished its function, and begins something else
_ENDS_CODE = ("\nclass", "\ndef", "\n#", "\n@", "\nif", "\nprint", "\nassert", "\n```", "\n[DONE]")
# where it has finished a program behind shots
_ENDS_TEXT = "[DONE]"


def program(answer: str, entry: str, prompt: str = "") -> tuple[str, ...] | None:
    """Return the parts of an answer's program; None where there is none.

    Args:
        entry: the name of the function or class that the tests use.
        prompt: code that ends with the head of the entry and its docstring; "" where the prompt is prose.
    """
    if prompt and answer.strip() and _is_indented(answer):
        return (prompt + continuation(answer),)
    found = [block for block in blocks(answer) if defines(block, entry)]
    bodies = [] if found or not prompt else [block for block in blocks(answer) if _is_indented(block)]
    if bodies := [block for block in bodies if parsed(prompt + block)]:
        return (prompt + bodies[-1],)
    if not found and not any(map(_FENCE.match, answer.splitlines())):
        found = _without_prose(answer.partition(_ENDS_TEXT)[0], entry)
    if not found:
        return None
    # the prompt's imports and helpers, and the entry without a body; apart, since `from __future__` has to come first in a program
    return (f"{prompt}\n    pass\n", found[-1]) if prompt else (found[-1],)


def _is_indented(text: str) -> bool:
    """Return whether the first line that is not empty is indented."""
    return next((line for line in text.splitlines() if line.strip()), "")[:1] in (" ", "\t")


def continuation(answer: str) -> str:
    """Return what goes on with a prompt's function, up to where something else begins."""
    places = [place for word in _ENDS_CODE if (place := answer.find(word)) >= 0]
    return answer[: min(places, default=len(answer))]


def blocks(answer: str) -> Iterator[str]:
    """Yield the fenced blocks of an answer, without the indentation of their fence."""
    fence, indent = "", 0
    lines: list[str] = []
    for line in answer.splitlines():
        match = _FENCE.match(line)
        # a block closes by at least as many of the same marks, and nothing behind them
        if fence and match and match[1].startswith(fence) and not match[2].strip():
            yield "\n".join(lines)
            fence = ""
        elif fence:
            lines.append(line[min(indent, len(line) - len(line.lstrip())) :])
        elif match:
            fence, lines, indent = match[1], [], len(line) - len(line.lstrip())
    if fence:
        yield "\n".join(lines)


def defines(program: str, entry: str) -> bool:
    """Return whether a program defines a name at its top; by its lines where it is no Python."""
    tree = parsed(program)
    if tree is None:
        return bool(re.search(rf"^(?:async def|def|class)[ \t]+{re.escape(entry)}\b", program, re.MULTILINE))
    return entry in {name for node in tree.body for name in _names(node)}


def _names(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name
        case ast.Assign() | ast.AnnAssign():
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name))
        case ast.Import() | ast.ImportFrom():
            yield from (alias.asname or alias.name for alias in node.names)
        case ast.If() | ast.Try() | ast.With():
            yield from (
                name for part in ast.iter_child_nodes(node) if isinstance(part, ast.stmt) for name in _names(part)
            )


def parsed(program: str) -> ast.Module | None:
    """Return the tree of a program, None where it is no Python."""
    try:
        return _tree(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _tree(program: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the model's style
        return ast.parse(program)


def _without_prose(answer: str, entry: str) -> list[str]:
    """Return the first program in a text that defines the entry, in a list; prose may stand before it and behind it."""
    lines = answer.splitlines()
    starts = [number for number, line in enumerate(lines) if _STATEMENT.match(line)][:_STARTS]
    candidates = [_without_end(lines[start:]) for start in starts]
    broken = ["\n".join(lines[start:]) for start in starts[:1]]  # it counts as an answer, if a wrong one
    return [one for one in [*candidates, *broken] if defines(one, entry)][:1]


def _without_end(lines: list[str]) -> str:
    """Return the lines up to where they stop being Python."""
    while lines:
        try:
            _tree(program := "\n".join(lines))
            return program.rstrip()
        except SyntaxError as error:
            # a statement begins without indentation
            end = min(error.lineno or 1, len(lines)) - 1
            while end > 0 and not lines[end][:1].strip():
                end -= 1
            lines = lines[:end]
        except (ValueError, RecursionError, MemoryError):
            break
    return ""
