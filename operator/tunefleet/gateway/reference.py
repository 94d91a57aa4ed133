"""Writes the reference of the gateway: `python -m tunefleet.gateway.reference docs/reference`."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from tunefleet.api.crdgen import write

from .error_codes import ERROR_CODES
from .main import main as gateway
from .names import HEADERS
from .routes import ENGINE_PATHS, HEALTH_PATH, MODELS_PATH

HEADER: Final = "<!-- Made by `make generate` from operator/tunefleet/gateway/; change it there. -->\n"
NAME: Final = "gateway.md"

PATHS: Final[dict[str, str]] = {
    "/v1/chat/completions": "OpenAI's chat completions",
    "/v1/completions": "OpenAI's completions",
    "/v1/responses": "OpenAI's responses. Nothing is stored: no `background`, no `previous_response_id`, no `GET`",
    "/v1/embeddings": "embeddings; engines of generating models answer 404",
    "/v1/messages": "Anthropic's messages",
    "/v1/messages/count_tokens": "Anthropic's count of a prompt's tokens",
    "/tokenize": "tokens of a text or a chat",
    "/detokenize": "the text of tokens",
}

INTRO: Final = """# Gateway

How to use it from your program: [clients](../how-to/use-with-clients.md). How it works:
[design](../design/gateway.md). What it measures: [telemetry](gateway-telemetry.md).

## Paths

Everything that is not here is a 404 and reaches no engine. What `POST` names in `model` is a served name, `NAME@vN` for
one of its loaded versions, or an exact version as answers show it. Only that value is replaced; all else of the body
and of the answer passes as it came, errors of engines included.
"""
ERRORS: Final = """## Errors

`{"error": {"message", "type", "param", "code"}}`, as OpenAI's clients read it. `code` stays the same from version to
version; messages may change. Other codes, and other shapes, are the engine's own.
"""
SETTINGS: Final = """## Settings

Of `tunefleet-gateway`, as an option or as a variable of its environment. The chart sets them from its values.
"""


def files() -> dict[str, str]:
    """File name to content."""
    return {NAME: HEADER + "\n".join([INTRO, *_paths(), "## Header lines of answers\n", *_headers(), *_rest()])}


def _paths() -> Iterator[str]:
    here = [
        ("GET", MODELS_PATH, "the models that can answer now, with `parent` (an adapter's base) and exact `versions`"),
        ("GET", f"{MODELS_PATH}/{{id}}", "one of them"),
        ("GET", HEALTH_PATH, "`ok`, without a key; for load balancers"),
    ]
    rows = [("POST", path, PATHS[path]) for path in ENGINE_PATHS]
    yield table(("", "path", ""), [(method, f"`{path}`", meaning) for method, path, meaning in [*rows, *here]])


def _headers() -> Iterator[str]:
    limits = "of a key with limits: OpenAI's `limit`, `remaining` and `reset`, each of `requests` and `tokens`"
    rows = [*((f"`{name}`", meaning) for name, meaning in HEADERS.items()), ("`x-ratelimit-…`", limits)]
    yield table(("line", "what it says"), [*rows, ("`retry-after`", "seconds, with 429 and 503")])


def _rest() -> Iterator[str]:
    yield ERRORS
    rows = [(" ".join(map(str, e.statuses)), f"`{e.code}`", e.meaning, e.advice) for e in ERROR_CODES]
    yield table(("status", "code", "what happened", "what to do"), rows)
    yield SETTINGS
    yield table(("option", "variable", "default", ""), [_option(option) for option in settings()])


def settings() -> list[click.Option]:
    """What changes how the gateway behaves: no --version, and nothing that is hidden."""
    options = [option for option in gateway.params if isinstance(option, click.Option)]
    return [option for option in options if option.expose_value and not option.hidden]


def _option(option: click.Option) -> tuple[str, str, str, str]:
    """As a row. What stands in brackets at the end of a help text is its default in words."""
    words = re.fullmatch(r"(.*?)(?: +\[default: (.*)\])?", option.help or "", re.DOTALL)
    assert words is not None
    kind = "|".join(option.type.choices) if isinstance(option.type, click.Choice) else ""
    name = f"`{option.opts[0]}{'=' + kind if kind else ''}`"
    variables = option.envvar or f"TUNEFLEET_{(option.name or '').upper()}"
    shown = ", ".join(f"`{name}`" for name in ([variables] if isinstance(variables, str) else variables))
    return name, shown, words[2] or _default(option), words[1]


def _default(option: click.Option) -> str:
    value = option.default
    if option.required:
        return "must be given"
    return f"`{value}`" if isinstance(value, (str, int, float, Path)) else "none"


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """In Markdown."""
    lines = [titles, ["---"] * len(titles), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def main(directory: Path) -> None:
    """Write the reference of the gateway into DIRECTORY."""
    write(directory, files())


if __name__ == "__main__":
    main()
