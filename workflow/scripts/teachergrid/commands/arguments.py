"""Our argument parser: no abbreviations, one version line, and an error in words for an option that nobody has."""

import argparse
from functools import cache
from importlib.metadata import version
from typing import NoReturn

from ..errors import BadInput
from ..spec.spelling import nearest

VERSION = "unreleased"  # as CHANGELOG.md says


@cache
def versions() -> str:
    """Return the versions of teachergrid and Snakemake in one line."""
    return f"teachergrid {VERSION}, Snakemake {version('snakemake')}"


class Parser(argparse.ArgumentParser):
    """An argument parser that accepts no abbreviations and raises BadInput for a mistake."""

    def __init__(self, prog: str, description: str, epilog: str) -> None:
        layout = argparse.RawDescriptionHelpFormatter
        super().__init__(prog, description=description, epilog=epilog, allow_abbrev=False, formatter_class=layout)

        self.add_argument(
            "--version",
            action="version",
            version=versions(),
            help="print the version of teachergrid and Snakemake, and exit",
        )

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message}; {self.prog} --help lists the options")

    def option_names(self) -> list[str]:
        """Return the names of our options, such as --json."""
        return [name for action in self._actions for name in action.option_strings if name.startswith("--")]


def refuse_mistyped(rest: list[str], command: Parser) -> None:
    """Raise BadInput for an option that neither we nor Snakemake have, with the most similar one of both."""
    own = command.option_names()
    end = rest.index("--") if "--" in rest else len(rest)
    for word in rest[:end]:
        name = word.partition("=")[0]
        if not name.startswith("--"):
            continue
        beginning_so = [option for option in own if option.startswith(name)]
        hint = f", did you mean '{beginning_so[0]}'?" if beginning_so else nearest(name, own)
        known = of_snakemake()
        # Snakemake takes abbreviations
        if name in known or (not beginning_so and any(option.startswith(name) for option in known)):
            continue
        hint = hint or nearest(name, known) or f"; {command.prog} --help and snakemake --help list them"
        raise BadInput(f"{name}: neither {command.prog} nor Snakemake has such an option{hint}")


def of_snakemake() -> list[str]:
    """Return the names of Snakemake's options."""
    from snakemake.cli import get_argument_parser

    return [name for name in get_argument_parser()._option_string_actions if name.startswith("--")]
