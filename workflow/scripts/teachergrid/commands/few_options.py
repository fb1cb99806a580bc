"""The options of the commands that have few."""

from argparse import ArgumentTypeError

from ..hub.upload import TOKEN
from .arguments import Parser

STATUS_PAGE = "results/status.html"


def add_status_options(parser: Parser) -> None:
    """Add the options of `status`."""
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    page = f"write it as an HTML page ({STATUS_PAGE})"
    parser.add_argument("--html", nargs="?", const=STATUS_PAGE, metavar="FILE", help=page)


def add_prefetch_options(parser: Parser) -> None:
    """Add the options of `prefetch`."""
    add = parser.add_argument
    pin = "write the current commit of every model and data set without one in the config into config/revisions.lock"
    add("--pin", action="store_true", help=pin)
    dry = "print what would be fetched, its size and the free space; fetch and write nothing"
    add("--dry-run", action="store_true", help=dry)
    add("--check", action="store_true", help="only print what is missing in the cache; uses no network")


def add_replicate_options(parser: Parser) -> None:
    """Add the options of `replicate`."""
    parser.add_argument("--html", metavar="FILE", help="also write the results as an HTML page")
    parser.add_argument("--results-table", metavar="CSV", help="instead, what a table like llm-jp/massive-sft's says")


def add_calibrate_options(parser: Parser) -> None:
    """Add the options of `calibrate-judge`."""
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")


def add_next_options(parser: Parser) -> None:
    """Add the options of `next`."""
    parser.add_argument(
        "--most", type=_number, default=5, metavar="N", help="list at most so many proposals (default 5)"
    )
    parser.add_argument("--json", action="store_true", help="print proposals and fronts as JSON")


def _number(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise ArgumentTypeError(f"'{text}' is no whole number from 1 on")
    return int(text)


def add_no_options(parser: Parser) -> None:
    """Add nothing."""


def add_publish_options(parser: Parser) -> None:
    """Add the options of `publish`."""
    add = parser.add_argument
    add("student", metavar="STUDENT", help="name of a folder in results/students")
    add("--to", metavar="FOLDER", help="write model, tokenizer and card into a new folder")
    add(
        "--push",
        metavar="OWNER/NAME",
        help="send them to this repository on the hub, which is made private where there is none",
    )
    add("--public", action="store_true", help="with --push: a new repository is public")
    add(
        "--token",
        default=TOKEN,
        metavar="VARIABLE",
        help="environment variable that holds the hub's token (%(default)s)",
    )
    add("--dry-run", action="store_true", help="only print card and files; write and send nothing")
