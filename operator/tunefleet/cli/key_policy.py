"""Options that say what a holder of keys may, and the policy that they make."""

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from typing import TYPE_CHECKING, Any

import click

from .options import Duration

if TYPE_CHECKING:
    from tunefleet.api.api_key import ApiKeyPolicy

Json = dict[str, Any]


class End(Duration):
    """A duration, or `never`: seconds."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        return inf if value == "never" else super().convert(value, param, ctx)


@dataclass(frozen=True)
class Said:
    """What the options say; None: nothing."""

    rule: Json | None
    """Models; empty: all of them."""
    limits: Json
    """By field of the policy; 0: no limit."""
    expires: float | None
    """Seconds from now."""

    def over(self, policy: Json, now: datetime) -> "ApiKeyPolicy":
        """The policy with it. Raises click.UsageError."""
        from tunefleet.api.api_key import read_policy

        changed: Json = {**policy, **self.limits}
        if self.rule is not None:
            changed["models"] = [self.rule] if self.rule else None
        if self.expires is not None:
            changed["expires"] = _end(now, self.expires)
        try:
            return read_policy(json.dumps({name: value for name, value in changed.items() if value or value == []}))
        except ValueError as error:
            raise click.UsageError(str(error)) from None


def policy_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """They become one argument `said`."""

    @click.option(
        "--models",
        multiple=True,
        metavar="NAME[,NAME…]",
        help="Served names that exist for the holder; a trailing * stands for whatever follows. Repeat for more.",
    )
    @click.option(
        "--model-namespace",
        multiple=True,
        metavar="NAMESPACE",
        help="Only models of these namespaces; repeat for more.",
    )
    @click.option(
        "--selector", metavar="LABEL=VALUE[,…]", help="Only models whose LoRAAdapter or BaseModel has these labels."
    )
    @click.option("--all-models", is_flag=True, help="Every model exists for the holder.")
    @click.option("--requests-per-minute", type=click.IntRange(min=0), help="Requests to engines; 0: no limit.")
    @click.option("--tokens-per-minute", type=click.IntRange(min=0), help="Prompts and completions; 0: no limit.")
    @click.option("--max-concurrent", type=click.IntRange(min=0), help="Requests at a time; 0: no limit.")
    @click.option(
        "--expires", type=End(), help="When the holder's keys end: from now on, such as 12h or 90d, or never."
    )
    @functools.wraps(function)
    def wrapped(
        *args: Any,
        models: tuple[str, ...],
        model_namespace: tuple[str, ...],
        selector: str | None,
        all_models: bool,
        requests_per_minute: int | None,
        tokens_per_minute: int | None,
        max_concurrent: int | None,
        expires: float | None,
        **kwargs: Any,
    ) -> Any:
        limits = {
            "requestsPerMinute": requests_per_minute,
            "tokensPerMinute": tokens_per_minute,
            "maxConcurrentRequests": max_concurrent,
        }
        given = {name: limit for name, limit in limits.items() if limit is not None}
        said = Said(_rule(models, model_namespace, selector, all_models=all_models), given, expires)
        return function(*args, said=said, **kwargs)

    return wrapped


def _rule(
    models: tuple[str, ...], namespaces: tuple[str, ...], selector: str | None, *, all_models: bool
) -> Json | None:
    names = [word for value in models for word in value.split(",") if word]
    parts = {"names": names, "namespaces": list(namespaces), "selector": _selector(selector)}
    rule = {name: value for name, value in parts.items() if value}
    if rule and all_models:
        raise click.UsageError("--all-models leaves nothing to select: take it away, or the others")
    return rule if rule or all_models else None


def _selector(text: str | None) -> Json | None:
    if not text:
        return None
    pairs = [pair.partition("=") for pair in text.split(",")]
    if not all(label and sign and value for label, sign, value in pairs):
        raise click.BadParameter(f"{text!r} is no list of LABEL=VALUE", param_hint="--selector")
    return {"matchLabels": {label: value for label, _, value in pairs}}


def _end(now: datetime, seconds: float) -> str | None:
    from tunefleet.plan.keys import timestamp

    if seconds == inf:
        return None
    try:
        return timestamp(now + timedelta(seconds=seconds))
    except OverflowError:
        raise click.BadParameter("that is too far away: write never", param_hint="--expires") from None
