"""What commands print of keys: never a key itself, but for the one that was just made."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import click

from tunefleet.api.api_key import ApiKeyPolicy, ModelRule
from tunefleet.plan.keys import SHOWN_DIGITS, KeyHash, KeyHolder, timestamp

from .key_secrets import Stored
from .table import rendered, table

Row = dict[str, Any]

HOLDERS = ("name", "keys", "models", "requests/min", "tokens/min", "concurrent", "expires", "created", "status")
KEYS = ("hash", "expires", "status")


def holder_row(found: Stored, now: datetime) -> Row:
    """A line of the list."""
    created = found.secret["metadata"]["creationTimestamp"]
    if found.holder is None:
        return {"name": found.name, "created": created, "status": "Unreadable", "message": found.fault}
    policy = found.holder.policy
    valid = found.holder.valid(now)
    return {
        "name": found.name,
        "keys": len(valid),
        "created": created,
        "status": "Valid" if valid else "Expired" if found.holder.hashes else "NoKey",
        "policy": policy.dump(),
    }


def key_row(holder: KeyHolder, key: KeyHash, now: datetime) -> Row:
    """One key of a holder."""
    end = holder.until(key)
    return {
        "sha256": key.digest,
        "expires": timestamp(end) if end else None,
        "status": "Valid" if key in holder.valid(now) else "Expired",
    }


def holder_table(found: Iterable[Stored], now: datetime) -> str:
    """The list, for people."""
    return table(HOLDERS, [_holder_cells(one, holder_row(one, now)) for one in found])


def _holder_cells(found: Stored, row: Row) -> list[str]:
    holder = found.holder
    if holder is None:
        return [found.name, *"-" * 6, row["created"], f"Unreadable: {found.fault}"]
    policy = holder.policy
    limits = (policy.requests_per_minute, policy.tokens_per_minute, policy.max_concurrent_requests)
    return [
        found.name,
        str(row["keys"]),
        models(policy),
        *(str(limit) if limit else "-" for limit in limits),
        timestamp(policy.expires) if policy.expires else "-",
        row["created"],
        row["status"],
    ]


def key_table(holder: KeyHolder, now: datetime) -> str:
    """The keys of one holder, for people."""
    rows = [key_row(holder, key, now) for key in holder.hashes]
    return table(KEYS, [[row["sha256"][:SHOWN_DIGITS], row["expires"] or "-", row["status"]] for row in rows])


def models(policy: ApiKeyPolicy) -> str:
    """Which models exist for a holder, in a few words."""
    if policy.models is None:
        return "all"
    return " or ".join(_rule(rule) for rule in policy.models) or "none"


def _rule(rule: ModelRule) -> str:
    labels = ",".join(f"{name}={value}" for name, value in rule.selector.match_labels.items())
    parts = [
        ",".join(rule.names),
        f"in {','.join(rule.namespaces)}" if rule.namespaces else "",
        f"with {labels}" if labels else "",
    ]
    return " ".join(part for part in parts if part) or "all"


def tell_new_key(holder: KeyHolder, key: str, form: str) -> None:
    """The key goes to standard output, alone or in a document; what people should know of it, to standard error."""
    made = KeyHash.of(key)
    end = holder.until(next(one for one in holder.hashes if one.digest == made.digest))
    click.echo(f"{holder.name}: this key is shown once and stored nowhere; keep it now.", err=True)
    if form == "table":
        click.echo(key)
        return
    row = {"name": holder.name, "key": key, "sha256": made.digest, "expires": timestamp(end) if end else None}
    click.echo(rendered([row], form))
