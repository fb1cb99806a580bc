"""A list as a JSON document, read element by element: parsed as a whole, it takes four times its size."""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

CHUNK = 1 << 22  # bytes that are read at once
_SPACE = re.compile(r"[ \t\n\r]*")
_AFTER = frozenset(",] \t\n\r")  # what may follow a value
_DECODER = json.JSONDecoder()


class Irregular(Exception):
    """The file is not one whole JSON list."""


def begins(file: BinaryIO) -> bool:
    """Whether a file begins as a list does. It is then at its beginning again."""
    head = file.read(1 << 16).removeprefix(codecs.BOM_UTF8).lstrip(b" \t\n\r")
    file.seek(0)
    return head[:1] == b"["


def elements(file: BinaryIO) -> Iterator[Any]:
    """Yield the values of a list as json.loads gives them.

    Raises:
        Irregular: after the last value that could be read, where the file is broken, not UTF-8 or holds more than a list.
    """
    text = _Text(file)
    if text.next_sign() != "[":
        raise Irregular
    text.place += 1
    if text.next_sign() == "]":
        text.place += 1
    else:
        yield from _values(text)
    if text.next_sign():
        raise Irregular


def _values(text: "_Text") -> Iterator[Any]:
    """Yield the values up to the list's end, after which the text's place then is."""
    while True:
        yield text.value()
        sign = text.next_sign()
        text.place += 1
        if sign == "]":
            return
        if sign != ",":
            raise Irregular


class _Text:
    """The text of a file as far as it was read and not yet used. place: in `read`."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.read, self.place, self.is_whole = file, "", 0, False
        self.decoder = codecs.getincrementaldecoder("utf-8-sig")()

    def more(self) -> None:
        """Read on, and forget what lies before the place."""
        # as much again as there is: a long value is not tried too often
        found = self.file.read(max(CHUNK, len(self.read) - self.place))
        self.is_whole = not found
        try:
            self.read = self.read[self.place :] + self.decoder.decode(found, final=self.is_whole)
        except UnicodeDecodeError as error:
            raise Irregular from error
        self.place = 0

    def next_sign(self) -> str:
        """Go to the next character that is no white space, and return it; an empty text at the end."""
        while True:
            found = _SPACE.match(self.read, self.place)
            assert found is not None, "it may be empty"
            self.place = found.end()
            if self.place < len(self.read) or self.is_whole:
                return self.read[self.place : self.place + 1]
            self.more()

    def value(self) -> Any:
        """Return the value at the place, and go behind it."""
        self.next_sign()
        while True:
            try:
                value, end = _DECODER.raw_decode(self.read, self.place)
                # a number may go on in what is not read yet: 1.5e of 1.5e10
                if self.is_whole or self.read[end : end + 1] in _AFTER:
                    self.place = end
                    return value
            except (ValueError, RecursionError) as error:
                if self.is_whole or isinstance(error, RecursionError):
                    raise Irregular from error
            self.more()
