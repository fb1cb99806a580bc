"""Our argument parser: what it answers to words that nobody knows."""

import pytest
from teachergrid.commands import arguments
from teachergrid.errors import BadInput


@pytest.fixture
def parser() -> arguments.Parser:
    parser = arguments.Parser(prog="teachergrid do", description="", epilog="")
    parser.add_argument("--live-jobs")
    return parser


def test_a_mistake_is_an_error_in_words_with_the_way_to_the_options(parser):
    with pytest.raises(BadInput, match="--live-jobs: expected one argument; teachergrid do --help lists the options"):
        parser.parse_args(["--live-jobs"])


def test_the_names_of_our_options(parser):
    assert parser.option_names() == ["--help", "--version", "--live-jobs"]


@pytest.mark.parametrize("word", ["--live-job", "--live", "--live-jbos=3"])
def test_a_mistyped_option_of_ours(parser, word):
    with pytest.raises(BadInput, match=f"^{word.partition('=')[0]}: neither .*did you mean '--live-jobs'"):
        arguments.refuse_mistyped(["--cores", "1", word], parser)


@pytest.mark.parametrize("words", [["--cores", "1"], ["--core=1"], ["--dry-run"], ["-n"], ["x", "--", "--live"], []])
def test_what_snakemake_knows_passes(parser, words):
    arguments.refuse_mistyped(words, parser)


def test_snakemakes_options_are_suggested_too(parser):
    assert "--rerun-incomplete" in arguments.of_snakemake()
    with pytest.raises(BadInput, match="did you mean '--rerun-incomplete'"):
        arguments.refuse_mistyped(["--rerun-incomplet3"], parser)
