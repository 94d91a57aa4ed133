"""RFC 7386 merge patches: what a patch makes of an object, and the smallest one from one object to another."""

from collections.abc import Mapping
from typing import Any


def applied(former: Any, patch: Any) -> Any:
    """The value after the patch: null takes a field away, lists are replaced."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(former) if isinstance(former, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = applied(result.get(name), value)
    return result


def between(former: Mapping[str, Any], latest: Mapping[str, Any]) -> dict[str, Any]:
    """The patch that makes `latest` of `former`; empty when they are equal. Neither may hold a null."""
    patch: dict[str, Any] = {name: None for name in former if name not in latest}
    for name, value in latest.items():
        before = former.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            if inner := between(before, value):
                patch[name] = inner
        elif value != before:
            patch[name] = value
    return patch
