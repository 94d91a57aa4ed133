"""tunefleet, also as `kubectl tunefleet`: one file a command, imported when it runs."""

import importlib
import sys
from pathlib import Path

import click

from .access import Access
from .options import access_options

COMMANDS = {
    "history": "Versions that served, or revisions, with when and why.",
    "promote": "Let another version of an adapter answer.",
    "rollback": "Go back to a former version of an adapter, or to a former revision of an endpoint.",
    "diff": "What differs between two versions of an adapter, or two revisions of an endpoint.",
    "pause": "Keep a canary at its present step.",
    "resume": "Let a paused canary go on.",
    "keys": "API keys of the gateway: make, list, rotate and revoke them.",
    "inspect": "What an adapter is, and whether the gate would let it be loaded. Needs no cluster.",
}
"""Name and short help of every command; `tunefleet.cli.NAME` has it under its name."""


class Commands(click.Group):
    """Commands that are imported when they are called, so that help and completion come at once."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        found: click.Command = getattr(importlib.import_module(f"tunefleet.cli.{name}"), name)
        return found

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@access_options
@click.version_option(package_name="tunefleet")
@click.pass_context
def cli(context: click.Context, access: Access) -> None:
    """Versions of adapters and endpoints on a cluster: what served when, promote, roll back, compare.

    Every change is a merge patch of your own object's spec, as kubectl patch would make it; the operator does the rest.
    Exit codes: 0 done, 1 refused or failed (with the reason), 2 wrong usage, 124 not done within --timeout, 130 Ctrl-C;
    the last two leave the change in place, and it goes on.
    """
    context.obj = access


def main() -> None:
    """Entry point of both names."""
    plugin = Path(sys.argv[0]).name.startswith("kubectl-")
    cli(prog_name="kubectl tunefleet" if plugin else "tunefleet")
