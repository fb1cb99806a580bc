"""Config files as text: what YAML cannot read, or reads in another way than it looks, and the line of each key.

Every error is a BadInput that names the file, the line and the remedy.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..errors import BadInput

if TYPE_CHECKING:
    import yaml

IN_USE = "TEACHERGRID_CONFIG_FILES"  # tells the jobs of a run its config files; sbatch passes it on
DEEPEST = 40  # mappings and lists inside each other
MOST_VALUES = 1_000_000  # after all aliases (*name) are replaced by what they stand for
YAML_TAG = "tag:yaml.org,2002:"
TAGS = {"map", "seq", "str", "int", "float", "bool", "null", "timestamp", "merge", "value"}
# a name may not be one of these; {tag: what YAML makes of the text}
NO_TEXT = {"bool": "true or false", "int": "a number", "float": "a number", "timestamp": "a date", "null": "nothing"}
# entries of these kinds may hold their model, which the checks know as `config.models.NAME`
WITH_MODELS = ("teachers", "bases", "references", "scorers", "rewards", "judges")
UNKNOWN = re.compile(r": (?:unknown key|the name) '([^']*)'")
# (part of what the parser says, remedy)
REMEDIES = (
    ("'\\t'", "YAML has no tabs: indent with spaces"),
    ("that cannot start any token", "put the text into quotes"),
    ("mapping values are not allowed", "put a text with a colon into quotes, or correct the indentation"),
    ("expected ',' or", "a bracket or comma is missing before it"),
    ("expected key", "correct the indentation: keys of one mapping begin in the same column"),
    ("could not find expected ':'", "write `key: value`, with a space after the colon"),
    ("undefined alias", "write *name only after &name, and put a text that begins with * into quotes"),
    ("end of stream", "a closing quote or bracket is missing"),
    ("expected a single document", "a config is one document: remove the line `---`"),
    ("expected alphabetic or numeric", "put a text that begins with * or & into quotes"),
)


class _Key(NamedTuple):
    """A key of a mapping, or an item of a list: where it stands and what it holds."""

    mark: "yaml.Mark"
    value: "yaml.Node"


def refuse(paths: Iterable[str | Path], called: str = "config") -> None:
    """Raise BadInput for the first config file that cannot be read, or does not mean what it looks like.

    That is: a mistake of YAML or JSON; a key that stands twice in one mapping, of which the later one would silently count; a
    name that is no text to YAML, such as `no`; a tag, alias or depth that no config needs.

    Args:
        called: what messages call the settings, for files of another kind.
    """
    for path in paths:
        root = _composed(path)
        if root is None:
            continue
        _Look(path).at(root, called, ())
        _construct(path)


def _composed(path: str | Path) -> "yaml.Node | None":
    """Return the tree of a config file; None for JSON that is not YAML, too. Raises BadInput where it is neither."""
    import yaml

    text, loader = _text(path), getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        depth = 0
        for event in yaml.parse(text, Loader=loader):  # before what calls itself at each level
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                line = f", line {event.start_mark.line + 1}" if event.start_mark else ""
                raise BadInput(f"{shown(path)}{line}: more than {DEEPEST} mappings or lists inside each other")
        root = yaml.compose(text, Loader=loader)
    except yaml.YAMLError as error:
        if str(path).endswith(".json"):
            _refuse_json(path, text)
            return None
        raise _unreadable(path, text, error) from error
    if not isinstance(root, yaml.MappingNode):
        kind = "is empty" if root is None else "holds a list" if isinstance(root, yaml.SequenceNode) else "holds a text"
        raise BadInput(f"{shown(path)}: {kind}; a config has keys such as `models:` at its top (config/README.md)")
    return root


def _text(path: str | Path) -> str:
    """Return the text of a file. Raises BadInput where it cannot be read."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise BadInput(f"{shown(path)}: cannot be read as a config ({error.strerror})") from error
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        before = content[: error.start]
        raise BadInput(
            f"{shown(path)}, line {before.count(10) + 1}, column {error.start - before.rfind(10)}: byte "
            f"0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from error


def _refuse_json(path: str | Path, text: str) -> None:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise BadInput(
            f"{shown(path)}, line {error.lineno}, column {error.colno}: not valid JSON: {error.msg}"
        ) from error
    except RecursionError as error:
        raise BadInput(f"{shown(path)}: more than {DEEPEST} mappings or lists inside each other") from error


def _construct(path: str | Path) -> None:
    """Raise BadInput for a value that YAML cannot make, such as the date 2024-13-45."""
    import yaml

    text = _text(path)
    try:
        yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise _unreadable(path, text, error) from error
    except (ValueError, OverflowError) as error:
        raise BadInput(
            f"{shown(path)}: a value cannot be read ({error}); put it into quotes if it is a text"
        ) from error


def _unreadable(path: str | Path, text: str, error: "yaml.YAMLError") -> BadInput:
    """Return the error of a file that is no YAML: with line, column and cause, and the remedy of common mistakes."""
    import yaml

    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        position = getattr(error, "position", None)
        return BadInput(f"{shown(path)}: not valid YAML: {getattr(error, 'reason', error)} (character {position})")
    mark, problem = error.problem_mark, error.problem or str(error)
    if text[mark.index : mark.index + 1] == "\t":
        problem += " '\\t'"
    context = ""
    if error.context_mark is not None and error.context_mark.line != mark.line:
        context = f", {error.context} which begins in line {error.context_mark.line + 1}"
    remedy = next((f": {words}" for part, words in REMEDIES if part in f"{error.context} {problem}"), "")
    return BadInput(
        f"{shown(path)}, line {mark.line + 1}, column {mark.column + 1}: not valid YAML: {problem}{context}{remedy}"
    )


def shown(path: str | Path) -> str:
    """Return a path as the user knows it: relative to the current folder where it lies inside."""
    text, here = str(path), f"{os.getcwd()}/"
    return text.removeprefix(here)


class _Look:
    """One look through the tree of a config file, for what YAML allows and a config does not."""

    def __init__(self, path: str | Path) -> None:
        self.path = path
        self.values = 0

    def wrong(self, node: "yaml.Node", message: str) -> BadInput:
        """Return an error at a node."""
        return BadInput(f"{shown(self.path)}, line {node.start_mark.line + 1}: {message}")

    def at(self, node: "yaml.Node", where: str, above: tuple[int, ...]) -> None:
        """Look at a node. where: its key, such as config.models. above: ids of the nodes around it."""
        import yaml

        self.values += 1
        if id(node) in above:
            raise self.wrong(node, f"{where}: an alias (*name) stands inside what it names, which has no end")
        if len(above) > DEEPEST or self.values > MOST_VALUES:
            raise self.wrong(node, f"{where[:200]}: too many mappings or lists inside each other")
        if node.tag.removeprefix(YAML_TAG) not in TAGS:
            raise self.wrong(node, f"{where}: a config has no tag such as {node.tag.removeprefix(YAML_TAG)}; remove it")
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.at(item, f"{where}[{index}]", (*above, id(node)))
        elif isinstance(node, yaml.MappingNode):
            self.at_mapping(node, where, (*above, id(node)))

    def at_mapping(self, node: "yaml.MappingNode", where: str, above: tuple[int, ...]) -> None:
        """Look at the keys of a mapping, and what they hold."""
        keys = set()
        for key, item in node.value:
            self.at_key(key, where)
            if key.value in keys and key.value != "<<":
                raise self.wrong(
                    key,
                    f"{where}.{key.value} is stated a second time, and only one of the two could count; remove or rename one",
                )
            keys.add(key.value)
            self.at(item, f"{where}.{key.value}", above)

    def at_key(self, key: "yaml.Node", where: str) -> None:
        """Raise BadInput for a key that is no text."""
        import yaml

        if not isinstance(key, yaml.ScalarNode):
            raise self.wrong(
                key, f"{where}: a name is a text, not a mapping or list; put a text with {{ or [ into quotes"
            )
        if kind := NO_TEXT.get(key.tag.removeprefix(YAML_TAG)):
            raise self.wrong(
                key,
                f'{where}: YAML reads the name {key.value or "(nothing)"} as {kind}; put it into quotes: "{key.value}"',
            )


# --- the line of a key


@contextmanager
def located(paths: Sequence[str | Path]) -> Iterator[None]:
    """Let each BadInput about a key of the config, `config.a.b: ...`, name the file and the line as well."""
    try:
        yield
    except BadInput as error:
        if not re.match(r"config[.:\[]", str(error)):
            raise
        raise type(error)(with_line(str(error), paths)) from error


def with_line(message: str, paths: Sequence[str | Path]) -> str:
    """Return a message about a key of the config with the file and line of the key. Without one where no file has the key."""
    best: tuple[int, str, _Key | None, str] | None = None
    for text in _spellings(message):
        for path in reversed(paths):  # a later file overrides the earlier ones
            try:
                root = _composed(path)
            except BadInput:
                continue
            depth, key = _place(root, text) if root is not None else (0, None)
            if best is None or depth > best[0]:
                best = depth, str(path), key, text
    if best is None or (best[0] == 0 and not (message.startswith("config: ") and not UNKNOWN.search(message))):
        return message
    _, path, key, text = best
    return f"{shown(path)}{f', line {key.mark.line + 1}' if key else ''}: {text}"


def _spellings(message: str) -> list[str]:
    """Return a message, and how it reads where the model stands inside its entry: config.models.a -> config.teachers.a.model."""
    if not (match := re.match(r"config\.models\.(.*?)((?:\.(?:[a-z_]+))?: .*)", message, re.DOTALL)):
        return [message]
    return [message, *(f"config.{kind}.{match[1]}.model{match[2]}" for kind in WITH_MODELS)]


def _place(root: "yaml.Node", message: str) -> tuple[int, _Key | None]:
    """Return (how many parts of the message's key the tree has, the last one of them)."""
    rest, node, found, depth = message.removeprefix("config"), root, None, 0
    while step := _step(node, rest):
        found, rest = step
        node, depth = found.value, depth + 1
    if match := UNKNOWN.match(rest):
        inside = next((item for name, item in _entries(node) if name == match[1]), None)
        if inside:
            found, depth = inside, depth + 1
    return depth, found


def _step(node: "yaml.Node", rest: str) -> tuple[_Key, str] | None:
    """Return the entry of a node with which a text goes on, and the remaining text. Names may contain points: the longest one."""
    ways = [(name, key) for name, key in _entries(node) if re.match(rf"[.\[]{re.escape(name)}(?![\w-])", rest)]
    if not ways:
        return None
    name, key = max(ways, key=lambda way: len(way[0]))
    return key, rest[1 + len(name) :].removeprefix("]")


def _entries(node: "yaml.Node") -> Iterator[tuple[str, _Key]]:
    """Yield (name or index, entry) of a mapping or list."""
    import yaml

    if isinstance(node, yaml.SequenceNode):
        yield from ((str(index), _Key(item.start_mark, item)) for index, item in enumerate(node.value))
    for key, item in node.value if isinstance(node, yaml.MappingNode) else ():
        if key.value == "<<":  # other mappings, whose keys count as its own
            for merged in item.value if isinstance(item, yaml.SequenceNode) else [item]:
                yield from _entries(merged)
        yield str(key.value), _Key(key.start_mark, item)


# --- for the jobs of a run


def announce(paths: Iterable[str | Path]) -> None:
    """Tell the jobs of this process which files its config comes from: inside the current folder by their path from here."""
    shown = (os.path.relpath(path) for path in paths)
    os.environ[IN_USE] = json.dumps([os.path.abspath(path) if path.startswith(os.pardir) else path for path in shown])


def in_use() -> list[str]:
    """Return what `announce` told this process; [] where it belongs to no run."""
    return json.loads(os.environ.get(IN_USE, "[]"))
