"""What a page holds, as its reader and its browser get it."""

import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser


class Words(HTMLParser):
    """Text as a reader gets it, and every tag with its attributes."""

    VOID = frozenset(("meta", "link", "br", "wbr", "hr", "img", "input"))

    def __init__(self, html):
        super().__init__()
        self.words, self.tags, self.open, self.crossed = [], [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.crossed.append(tag)

    def handle_data(self, words):
        if not {"style", "script"} & set(self.open):
            self.words.append(words)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


def without_words(html):
    return re.sub(r"<(script|style)>.*?</\1>", "", html, flags=re.S)


def ids(html, tag="section"):
    return [attributes["id"] for name, attributes in Words(html).tags if name == tag]


def body_of(html, label):
    """The rows of the table whose box has this label, as texts: the first cell is the row's head."""
    box = html[html.index(f'aria-label="{label}"') :]
    table = ElementTree.fromstring(
        re.search(r"<table.*?</table>", box, re.S)[0].replace("<br>", " ").replace("<wbr>", "")
    )
    return [[" ".join("".join(cell.itertext()).split()) for cell in row] for row in table.iter("tr")]
