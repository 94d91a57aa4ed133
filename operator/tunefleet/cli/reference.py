"""Writes the reference of the command line: `python -m tunefleet.cli.reference docs/reference`."""

from collections.abc import Iterator
from pathlib import Path

import click

from tunefleet.api.crdgen import write

from .main import cli

HEADER = "<!-- Made by `make generate` from operator/tunefleet/cli/; change it there. -->\n"
NAME = "cli.md"

INTRO = """# Command line

    pip install 'tunefleet[cli]'

installs `tunefleet`, and `kubectl-tunefleet`, which makes `kubectl tunefleet …` the same. For completion, put the
output of `_TUNEFLEET_COMPLETE=bash_source tunefleet` (or `zsh_source`, `fish_source`) where your shell reads it.

"""


def files() -> dict[str, str]:
    """File name to content."""
    top = click.Context(cli, info_name="tunefleet", help_option_names=["-h", "--help"])
    return {NAME: f"{HEADER}{INTRO}" + "\n".join(_sections(cli, top))}


def _sections(command: click.Command, context: click.Context) -> Iterator[str]:
    """Of a command, and of those below it."""
    yield _section(command, context, f"# {context.command_path}")
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _sections(below, click.Context(below, info_name=name, parent=context))


def _section(command: click.Command, context: click.Context, title: str) -> str:
    """As --help prints it, in a block: what a terminal shows is what is written here."""
    formatter = click.HelpFormatter(width=100)
    command.format_help(context, formatter)
    return f"#{title}\n\n```text\n{formatter.getvalue().rstrip()}\n```\n"


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def main(directory: Path) -> None:
    """Write the reference of the command line into DIRECTORY."""
    write(directory, files())


if __name__ == "__main__":
    main()
