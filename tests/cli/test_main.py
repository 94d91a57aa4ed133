"""The whole command line: its help, what it imports, its reference."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tunefleet.api.kinds import KINDS
from tunefleet.cli import reference
from tunefleet.cli.main import COMMANDS, cli
from tunefleet.cli.subject import ALIASES

ROOT = Path(__file__).parents[2]


def test_help_imports_nothing_heavy() -> None:
    """Help and completion come at once: no client, no models."""
    script = (
        "import sys\nfrom click.testing import CliRunner\nfrom tunefleet.cli.main import cli\n"
        "for command in ([], ['rollback']):\n    assert CliRunner().invoke(cli, [*command, '--help']).exit_code == 0\n"
        "print(sorted({'pydantic', 'kubernetes', 'aiohttp', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_helps(name: str) -> None:
    context = click.Context(cli)
    command = cli.get_command(context, name)
    assert command is not None
    assert command.name == name
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0
    assert COMMANDS[name] in CliRunner().invoke(cli, ["--help"], terminal_width=200).output


def test_an_unknown_command_is_wrong_usage() -> None:
    result = CliRunner().invoke(cli, ["undo"])
    assert result.exit_code == 2
    assert "No such command 'undo'" in result.output


def test_kinds_have_kubectls_names() -> None:
    known = {kind.name: {kind.short_name, kind.singular, kind.plural} for kind in KINDS}
    assert all(set(names) == known[kind] for kind, names in ALIASES.items())


@pytest.mark.parametrize("name", reference.files())
def test_reference_is_committed(name: str) -> None:
    assert (ROOT / "docs" / "reference" / name).read_text() == reference.files()[name]


def test_completion_knows_the_commands() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "tunefleet")],
        env={"_TUNEFLEET_COMPLETE": "bash_complete", "COMP_WORDS": "tunefleet r", "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert {line.partition(",")[2] for line in done.stdout.splitlines()} == {"rollback", "resume"}
