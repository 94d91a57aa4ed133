"""Writes the reference of what the gateway tells: `python -m tunefleet.gateway.telemetry_reference docs/reference`."""

import ast
import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path

import click

from tunefleet.api.crdgen import write

from . import names
from .audit_line import AuditLine
from .names import FAMILIES, WORKER_STARTS

HEADER = "<!-- Made by `make generate` from operator/tunefleet/gateway/telemetry_reference.py; change it there. -->\n"
NAME = "gateway-telemetry.md"

INTRO = """# What the gateway tells

## Header lines of answers

"""

ADMIN = """
`traceparent` and `tracestate` reach the engine as they came; external upstreams do not get them.

## Admin port

Of `--admin-port`, for the cluster alone: who reaches it sees every model's name.

| path | answers |
|---|---|
| `/healthz` | 200 while the process runs |
| `/readyz` | 200 when requests are served; 503 before, and while draining |
| `/metrics` | Prometheus' text format |
| `/v1/demand` | which adapters are asked for, for the operator: a long poll, see [the design](../design/gateway.md) |
| `/v1/usage` | what tenants used lately, for other gateways: limits hold for all of them together |
| `/table` | the route table, for people |

`/table` is an object:

- `models`: as `/v1/models` lists them;
- `routes`, by what a client may write as `model`: `servedName`, `namespace`, `versions` (`engineName`, `weight`,
  `pods`), `fallback` (`mark`, and `problem` when it cannot be asked), `awaited` (requests wait when no pod can answer);
- `pods`, by `NAMESPACE/NAME`: `address`, `endpoint`, `base`, `region`, `inFlight`, `idleConnections`, `ejected` (`why`:
  `refused`, `failed` or `busy`, and for how many `seconds` more);
- `breakers`, by `NAMESPACE/ENDPOINT` of those with a fallback: `closed`, `open` or `half-open`.
"""

METRICS = """
## Metrics

Labels are bounded: `model` and `version` are served names and versions of the route table and go with their last
request; `tenant` is the name of a Secret with keys; clients cannot make a label. With `--workers` each series has a
label `worker`. What the conventions of OpenTelemetry for generative AI name has their name (`gen_ai_…`); their token
metrics are the client's, so tokens are counted under a name of ours.

"""

AUDIT = """
## The audit trail

`--audit stdout` (the default), `--audit PATH` or `--audit off`. One JSON object a line for each request that went to an
engine or was refused; fields without a value are left out. A line is written within about a second. A file is opened
anew when it was moved, as logrotate does, and on SIGHUP. When the disk or the reader of the pipe is behind by 32,768
lines, further ones are dropped and counted (`tunefleet_gateway_audit_dropped_total`): no request waits for the trail.

There is no prompt, no answer and no key in a line, and neither a model nor a path that does not exist, as clients write
anything there. `x-request-id` is the client's own.

"""

SPANS = f"""
## Spans

With `--otel-endpoint` (or `OTEL_EXPORTER_OTLP_ENDPOINT`) and `pip install 'tunefleet[otel]'`, each request that went to
an engine makes a server span `{{operation}} {{model}}`, sent by OTLP over HTTP. The client's `traceparent` is its
parent and says whether it is sampled; requests without one follow `OTEL_TRACES_SAMPLER`. Names:
{names.GENAI_CONVENTIONS}.

"""


def files() -> dict[str, str]:
    """File name to content."""
    metrics = [f"| `{f.name}` | {f.kind} | {_quoted(f.labels)} | {f.help} |" for f in (*FAMILIES, WORKER_STARTS)]
    parts = (
        *(HEADER, INTRO, _table("| line | says |", _pairs(names.HEADERS))),
        *(ADMIN, METRICS, _table("| metric | | labels | |", metrics)),
        *(AUDIT, _table("| field | |", _pairs(audit_fields()))),
        *(SPANS, _table("| attribute | |", _pairs(names.SPAN_ATTRIBUTES))),
    )
    return {NAME: "".join(parts)}


def audit_fields() -> dict[str, str]:
    """What each field of the audit line means, by name: the strings below them in the class."""
    (tree,) = ast.parse(inspect.getsource(AuditLine)).body
    assert isinstance(tree, ast.ClassDef)
    found: dict[str, str] = {}
    for field, text in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            found[ast.unparse(field.target)] = " ".join(str(text.value.value).split())
    return found


def _pairs(meanings: Mapping[str, str]) -> list[str]:
    return [f"| `{name}` | {text} |" for name, text in meanings.items()]


def _quoted(labels: Iterable[str]) -> str:
    return ", ".join(f"`{label}`" for label in labels)


def _table(head: str, rows: Iterable[str]) -> str:
    return "\n".join([head, "|" + "---|" * (head.count("|") - 1), *rows]) + "\n"


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def main(directory: Path) -> None:
    """Write the reference of the gateway's telemetry into DIRECTORY."""
    write(directory, files())


if __name__ == "__main__":
    main()
