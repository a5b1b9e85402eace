"""The frame of all commands: help, exit codes, messages, the start."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

import sklearn_adaalloc
from sklearn_adaalloc import __version__
from sklearn_adaalloc.command_line import _main, main
from sklearn_adaalloc.command_line._configuration import (
    apply_configuration,
    find_configuration,
)
from sklearn_adaalloc.command_line.commands import report

ROOT = Path(sklearn_adaalloc.__file__).parents[1]


def process(*words, **options):
    return subprocess.run(
        [sys.executable, *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        **options,
    )


@pytest.mark.parametrize("command", _main.COMMANDS)
def test_help_has_an_example_that_its_own_parser_accepts(command, run):
    code, out, _ = run(command, "--help")
    assert code == 0
    parser, commands = _main.build_parser()
    example = commands[command].epilog.partition("adaalloc ")[2]
    assert f"adaalloc {command}" in out
    words = [word.strip("'") for word in example.split()]
    if command == "explain":
        words = ["explain", "policy", "What is 17 * 23?"]
    if command == "collect":  # the file holds the rest
        words += ["--queries", "q", "--reward", "math", "--store", "s"]
    assert parser.parse_args(words).command == command


def test_every_file_of_commands_is_a_command():
    files = (Path(report.__file__).parent).glob("[!_]*.py")
    assert {path.stem for path in files} == set(_main.COMMANDS)


def test_without_a_command_the_help_is_printed(run):
    code, out, err = run()
    assert (code, err) == (0, "")
    assert all(f"    {command} " in out for command in _main.COMMANDS)


def test_the_version(run):
    assert run("--version")[:2] == (0, f"sklearn-adaalloc {__version__}\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["reprot"], "invalid choice: 'reprot'"),
        (["report"], "the following arguments are required: TABLE"),
        (["report", "a", "--budget", "-1"], "'-1' is no positive number"),
        (["report", "a", "--budget", "inf"], "'inf' is no positive number"),
        (["report", "a", "--folds", "1"], "'1' is no whole number of at least 2"),
        (["report", "a", "--selection", "best"], "invalid choice: 'best'"),
        (["fit", "a", "--out", "b"], "the following arguments are required: --budget"),
    ],
)
def test_wrong_use_is_exit_code_2(words, message, run):
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert message in err


def test_a_missing_file_is_one_plain_line_and_exit_code_1(run):
    code, out, err = run("report", "nothing.jsonl")
    assert (code, out) == (1, "")
    assert err == "adaalloc: error: nothing.jsonl: No such file or directory\n"


def stop(error):
    def run_command(options):
        raise error

    return run_command


def test_an_interrupt_is_exit_code_130(monkeypatch, run):
    monkeypatch.setattr(report, "run", stop(KeyboardInterrupt()))
    assert run("report", "a") == (130, "", "adaalloc: interrupted\n")


def test_a_message_is_one_line_however_long_the_error(monkeypatch, run):
    monkeypatch.setattr(report, "run", stop(ValueError("one\n  two\n\nthree")))
    assert run("report", "a") == (1, "", "adaalloc: error: one two three\n")


def test_a_defect_of_the_program_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(report, "run", stop(AttributeError("defect")))
    with pytest.raises(AttributeError, match="defect"):
        main(["report", "a"])


def test_help_loads_nothing_heavy():
    script = (
        "import sys; from sklearn_adaalloc.command_line import main; "
        "main(['report', '--help']); print(*sys.modules, file=sys.stderr)"
    )
    ended = process("-c", script, check=True)
    assert "adaalloc report" in ended.stdout
    assert {"numpy", "scipy", "sklearn", "torch"}.isdisjoint(ended.stderr.split())


def test_python_m_takes_commands_and_a_closed_pipe_ends_it_quietly(table):
    ended = process("-m", "sklearn_adaalloc", "report", str(table.with_name("no.csv")))
    assert ended.returncode == 1
    assert ended.stderr.startswith("adaalloc: error: ")
    shell = f"{sys.executable} -m sklearn_adaalloc --help | head -1"
    ended = subprocess.run(
        shell,
        shell=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (ended.stdout, ended.stderr) == (
        "usage: adaalloc [-h] [--version] COMMAND ...\n",
        "",
    )


DOCS = Path(__file__).resolve().parents[2] / "docs"


def commands_on(page):
    """Words of the commands on a page, whose lines may go on after a backslash."""
    text = re.sub(r"\\\n\s*", " ", page.read_text(encoding="utf-8"))
    lines = re.findall(r"^ *\$ adaalloc (.*?)(?: &)?$", text, re.MULTILINE)
    return [(page.stem, line) for line in lines]


def options_on(page, command):
    """The section for a command in the TOML files on a page, empty if there is none."""
    text = (DOCS / f"{page}.rst").read_text(encoding="utf-8")
    block = r"^\.\. code-block:: toml\n\n((?:   .*\n|\n)+)"
    blocks = re.findall(block, text, re.MULTILINE)
    return "".join(dedent(block) for block in blocks if f"[{command}]" in block)


@pytest.mark.parametrize(
    ("page", "line"),
    [each for page in sorted(DOCS.glob("*.rst")) for each in commands_on(page)],
)
def test_commands_on_the_pages_are_accepted(page, line, tmp_path):
    parser, commands = _main.build_parser()
    words = shlex.split(line)
    name, path = find_configuration(words, commands)
    if path is not None:
        file = tmp_path / "options.toml"
        file.write_text(options_on(page, name))
        apply_configuration(str(file), name, commands)
    assert parser.parse_args(words).command == words[0]
