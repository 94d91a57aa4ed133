"""tunefleet resume: a paused canary goes on."""

import click

from .access import Access
from .how import How
from .options import access_options, change_options
from .pause import set_paused
from .subject import parse


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="lora NAME")
@change_options
@access_options
def resume(words: tuple[str, ...], how: How, access: Access) -> None:
    """Patch an adapter's rollout.paused to false, and wait until the operator has seen it.

    A step without duration needs `tunefleet promote lora NAME VERSION --now` instead.
    """
    subject, _ = parse(words, ("LoRAAdapter",), 0, 0)
    set_paused(subject, paused=False, how=how, access=access)
