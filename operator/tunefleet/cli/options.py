"""Options that commands share, each under kubectl's name where it has one."""

import functools
import re
from collections.abc import Callable
from typing import Any

import click

from tunefleet.api.names import KEYS_NAMESPACE

from .access import Access
from .how import How

Function = Callable[..., Any]

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


class Duration(click.ParamType[float]):
    """`90`, `90s`, `10m`, `2h`, `30d`: seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", value)
        if match is None:
            self.fail(f"{value!r} is no duration: write it as 90s, 10m, 2h or 30d", param, ctx)
        return float(match[1]) * _UNITS[match[2]]


_context_option = click.option(
    "--context", "kube_context", help="Context of the kubeconfig; its current one when absent."
)
_kubeconfig_option = click.option("--kubeconfig", help="File; KUBECONFIG, else ~/.kube/config when absent.")


def access_options(function: Function) -> Function:
    """-n, --context and --kubeconfig as one argument `access`; a command's own go before the group's."""

    @click.option("--namespace", "-n", help="Namespace; that of the kubeconfig's context when absent.")
    @_context_option
    @_kubeconfig_option
    @functools.wraps(function)
    def wrapped(
        *args: Any, namespace: str | None, kube_context: str | None, kubeconfig: str | None, **kwargs: Any
    ) -> Any:
        given = Access(kubeconfig, kube_context, namespace)
        outer = click.get_current_context().obj
        return function(*args, access=given.over(outer) if isinstance(outer, Access) else given, **kwargs)

    return wrapped


def keys_options(function: Function) -> Function:
    """--keys-namespace, --context and --kubeconfig as one argument `access`: keys lie in one namespace, whatever
    namespace a user works in."""

    @click.option(
        "--keys-namespace",
        envvar="TUNEFLEET_KEYS_NAMESPACE",
        default=KEYS_NAMESPACE,
        show_default=True,
        help="Namespace of the Secrets with the keys, as the gateway's option of this name has it.",
    )
    @_context_option
    @_kubeconfig_option
    @functools.wraps(function)
    def wrapped(
        *args: Any, keys_namespace: str, kube_context: str | None, kubeconfig: str | None, **kwargs: Any
    ) -> Any:
        given = Access(kubeconfig, kube_context, keys_namespace)
        outer = click.get_current_context().obj
        return function(*args, access=given.over(outer) if isinstance(outer, Access) else given, **kwargs)

    return wrapped


def change_options(function: Function) -> Function:
    """--dry-run, --no-wait and --timeout as one argument `how`."""

    @click.option(
        "--dry-run",
        type=click.Choice(["none", "server", "client"]),
        default="none",
        show_default=True,
        help="Say what would change, and change nothing; with server the API server checks it.",
    )
    @click.option("--no-wait", is_flag=True, help="Return as soon as the object is patched.")
    @click.option(
        "--timeout",
        type=Duration(),
        default="10m",
        show_default=True,
        help="How long to wait until it answers, such as 90s, 10m or 2h.",
    )
    @functools.wraps(function)
    def wrapped(*args: Any, dry_run: str, no_wait: bool, timeout: float, **kwargs: Any) -> Any:
        return function(*args, how=How(dry_run, not no_wait, timeout), **kwargs)

    return wrapped


output_option = click.option(
    "--output", "-o", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True, help="Form."
)
