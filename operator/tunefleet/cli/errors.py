"""What goes wrong, in one sentence that says what to do, with the exit code that scripts look at."""

from difflib import get_close_matches

import click

FAILED, TIMED_OUT, INTERRUPTED = 1, 124, 130


class CommandError(click.ClickException):
    """It was refused, or failed."""

    exit_code = FAILED


class NotInTimeError(CommandError):
    """It goes on, but longer than --timeout."""

    exit_code = TIMED_OUT


class ConflictError(CommandError):
    """Somebody else changed the object meanwhile, or made one of this name; a later try sees theirs."""


def not_found(kind: str, name: str, namespace: str, others: list[str]) -> CommandError:
    """With near names when there are."""
    near = get_close_matches(name, others, n=3, cutoff=0.5)
    if near:
        hint = f"; did you mean {' or '.join(near)}?"
    elif others:
        hint = f"; there are {', '.join(sorted(others)[:8])}{' and more' if len(others) > 8 else ''}"
    else:
        hint = "; it has none: name another namespace by -n"
    return CommandError(f"there is no {kind} {name} in namespace {namespace}{hint}")


def no_kinds() -> CommandError:
    """The cluster does not know the API group."""
    return CommandError(
        "this cluster does not know Tunefleet's kinds: install the CRDs (kubectl apply --server-side -f crds/), "
        "or name another cluster by --context"
    )


def forbidden(message: str) -> CommandError:
    """By RBAC."""
    return CommandError(f"you may not do this: {message}; `kubectl auth can-i` shows what your role allows")


def unauthorized() -> CommandError:
    """By authentication."""
    return CommandError("the API server refuses your credentials: log in anew, or name another context by --context")


def no_answer(server: str, reason: str) -> CommandError:
    """Nobody there."""
    return CommandError(f"the API server {server} does not answer: {reason}; is the cluster up, the context right?")
