"""Which object is meant: `lora support-de` or `lora/support-de`, with every name that kubectl takes for the kind."""

from collections.abc import Sequence
from dataclasses import dataclass

import click

ALIASES = {
    "LoRAAdapter": ("lora", "loraadapter", "loraadapters"),
    "InferenceEndpoint": ("iep", "inferenceendpoint", "inferenceendpoints"),
}
"""Kind to its names on command lines, the shortest first; `api.kinds` says the same."""


@dataclass(frozen=True)
class Subject:
    """One object of a kind."""

    kind: str
    name: str

    def __str__(self) -> str:
        """As on a command line."""
        return f"{ALIASES[self.kind][0]}/{self.name}"


def parse(words: Sequence[str], kinds: Sequence[str], least: int, most: int) -> tuple[Subject, tuple[str, ...]]:
    """The object, and the words after it, of which there are `least` to `most`.

    Raises click.UsageError that says which word is wrong.
    """
    kind, name, rest = _split(words)
    found = next((k for k in kinds if kind.lower().partition(".")[0] in ALIASES[k]), None)
    if found is None:
        allowed = " or ".join(f"{ALIASES[k][0]} ({ALIASES[k][1]})" for k in kinds)
        raise click.UsageError(f"{kind!r} is no type that this command knows: write {allowed}")
    if not name:
        raise click.UsageError(f"name the {found}: {kind} NAME or {kind}/NAME")
    if not least <= len(rest) <= most:
        said = "too few" if len(rest) < least else f"too many, from {rest[most]!r} on"
        raise click.UsageError(f"arguments after the name: {said}")
    return Subject(found, name), rest


def version_number(word: str) -> int:
    """`4` or `v4`. Raises click.UsageError."""
    digits = word.removeprefix("v")
    if not digits.isascii() or not digits.isdigit():
        raise click.UsageError(f"{word!r} is no version: write its number, such as 4")
    return int(digits)


def _split(words: Sequence[str]) -> tuple[str, str, tuple[str, ...]]:
    if not words:
        raise click.UsageError("name an object: TYPE NAME or TYPE/NAME")
    kind, slash, name = words[0].partition("/")
    if slash:
        return kind, name, tuple(words[1:])
    return kind, words[1] if len(words) > 1 else "", tuple(words[2:])
