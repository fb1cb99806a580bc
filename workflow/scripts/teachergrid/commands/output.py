"""What a command prints: all text passes through here, so that no text of others can control the terminal."""

import io
import os
import re
import sys
from typing import TextIO

from ..errors import BadInput
from ..store import origin
from ..units import visible

# colours of Snakemake and of `status`, and their end
COLOUR = re.compile("(\x1b\\[(?:0|1|3[1-6])m)")


class Shown(io.TextIOWrapper):
    """A standard stream that shows control characters as text (units.visible). Colours reach a terminal, and only a terminal."""

    def __init__(self, stream: TextIO) -> None:
        """stream: such as sys.stdout; its buffer is shared."""
        super().__init__(
            stream.buffer,
            stream.encoding,
            stream.errors,
            line_buffering=getattr(stream, "line_buffering", True),
            write_through=getattr(stream, "write_through", True),
        )
        self.stream = stream  # which closes the buffer when nothing refers to it any more
        self.in_colour = self.isatty()

    def write(self, text: str) -> int:
        """Write the text as `shown` returns it, and return the length of the text."""
        try:
            super().write(shown(text, self.in_colour))
        except BrokenPipeError:
            self.discard()
        return len(text)

    def flush(self) -> None:
        """Write what is buffered, if anybody still reads it."""
        try:
            super().flush()
        except BrokenPipeError:
            self.discard()

    def discard(self) -> None:
        """Let all that follows go nowhere: nobody reads it (`teachergrid run | head -1`), and what is printed ends no run."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def shown(text: str, colour: bool) -> str:
    """Return a text with visible control characters. colour: whether the codes of colours stay."""
    if not colour:
        return visible(text)
    return "".join(part if i % 2 else visible(part) for i, part in enumerate(COLOUR.split(text)))


def guard() -> None:
    """Let standard output and standard error of this process show control characters.

    The originals stay in sys.__stdout__ and sys.__stderr__, for progress bars, which move the cursor.
    """
    sys.stdout, sys.stderr = Shown(sys.stdout), Shown(sys.stderr)


def write_page(path: str, text: str) -> None:
    """Write a page for --html. Raises BadInput where that is not possible."""
    try:
        origin.replace_text(path, text)
    except OSError as error:
        raise BadInput(
            f"--html {path}: cannot be written ({error.strerror}); name a file in a folder of yours"
        ) from error
