"""tunefleet keys: API keys of the gateway. One Secret a holder; of keys only hashes are stored."""

import importlib

import click

COMMANDS = {
    "create": "Let somebody call the gateway: a new holder with a key.",
    "list": "Who has keys, and what they may use.",
    "show": "One holder: the policy, and each key.",
    "set": "Change what a holder may see and use.",
    "rotate": "Give a holder another key; the former ones work on for a while.",
    "revoke": "End a holder's keys, or one of them, at once.",
}
"""Name and short help; `tunefleet.cli.keys_NAME` has the command under its name."""


class KeyCommands(click.Group):
    """Commands that are imported when they are called."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        found: click.Command = getattr(importlib.import_module(f"tunefleet.cli.keys_{name}"), f"{name}_")
        return found

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=KeyCommands)
def keys() -> None:
    """API keys of the gateway, when it runs with --auth=keys.

    A holder is a Secret in the keys' namespace: it has hashes of keys, and a policy that says which models exist for
    them and how much they may use. Commands read and write these Secrets; gateways follow within a second. A key itself
    is shown once, when it is made, and stored nowhere.
    """
