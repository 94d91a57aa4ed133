"""tunefleet-gateway: the command line."""

import logging
import sys
from pathlib import Path

import click

from tunefleet.api.names import KEYS_NAMESPACE

from .hold import HoldLimits
from .settings import Settings, Timeouts

log = logging.getLogger("tunefleet.gateway")

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def _say_version(context: click.Context, _parameter: click.Parameter, asked: bool) -> None:
    if asked and not context.resilient_parsing:
        from .runtime import describe

        click.echo(describe())
        context.exit()


@click.command(context_settings={"auto_envvar_prefix": "TUNEFLEET", "show_default": True, "max_content_width": 100})
@click.option(
    "--auth",
    type=click.Choice(["keys", "open"]),
    required=True,
    help="Who may call. `keys`: holders of a key, see `tunefleet keys`. `open`: everybody who reaches the port; no API "
    "key is read or asked for. It must be given, so that nobody runs an open gateway by accident.",
)
@click.option(
    "--keys-namespace",
    default=KEYS_NAMESPACE,
    help="With --auth=keys: namespace of the Secrets with the keys. It should hold nothing else.",
)
@click.option(
    "--peers-namespace",
    help="With --auth=keys: namespace of this gateway's pods; the limits of keys hold for all of them together.  "
    "[default: for each process alone]",
)
@click.option("--host", default="0.0.0.0", help="Address of both ports.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, help="Public port: the OpenAI-compatible API.")
@click.option(
    "--admin-port",
    type=click.IntRange(0, 65535),
    default=9090,
    help="Port of /healthz, /readyz, /metrics, /table and /v1/demand; keep it inside the cluster.",
)
@click.option(
    "--watch-namespace",
    multiple=True,
    help="Serve the objects of this namespace only; repeat for more.  [default: all namespaces]",
)
@click.option(
    "--fleet-key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=Path("/etc/tunefleet/fleet/gatewayKey"),
    help="Key that engines' and agents' credentials are derived from: `gatewayKey` of the Secret tunefleet-fleet.",
)
@click.option("--kubeconfig", type=click.Path(exists=True, dir_okay=False), help="Instead of the pod's own account.")
@click.option(
    "--drain-seconds",
    type=click.FloatRange(min=0),
    default=Settings.drain_seconds,
    help="After SIGTERM, how long streams may go on; keep it below the pod's grace period.",
)
@click.option(
    "--max-body-bytes",
    type=click.IntRange(min=1),
    default=Settings().limits.body,
    help="Largest request body; larger ones get 413.",
)
@click.option(
    "--max-connections",
    type=click.IntRange(min=1),
    default=Settings.max_connections,
    help="Client connections at a time; further ones get 503.",
)
@click.option(
    "--engine-timeout",
    type=click.FloatRange(min=1),
    default=Timeouts.engine,
    help="Seconds that an engine may say nothing, before its answer or within it.",
)
@click.option(
    "--hold-seconds",
    type=click.FloatRange(min=0),
    default=HoldLimits.seconds,
    help="How long a request waits for an engine when its model sleeps, starts or restarts; then it gets 503. 0: none "
    "waits.",
)
@click.option(
    "--hold-comment-seconds",
    type=click.FloatRange(min=0),
    default=HoldLimits.comment_seconds,
    help="How often a stream that waits so gets a comment, so that nothing in between hangs up. Its answer begins with "
    "status 200 then, and an error comes as an event. 0: never.",
)
@click.option(
    "--max-held",
    type=click.IntRange(min=0),
    default=HoldLimits.requests,
    help="Requests that may wait so, of all models.",
)
@click.option(
    "--max-held-per-model",
    type=click.IntRange(min=0),
    default=HoldLimits.per_model,
    help="Requests that may wait so for one served name.",
)
@click.option(
    "--max-held-bytes",
    type=click.IntRange(min=0),
    default=HoldLimits.bytes,
    help="Bytes of bodies that may wait so, of all models.",
)
@click.option(
    "--tls-cert",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Certificate chain (PEM) of the public port, which then speaks TLS; read anew when the file changes.",
)
@click.option("--tls-key", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Its private key (PEM).")
@click.option(
    "--tls-client-ca",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Clients must show a certificate that one of these (PEM) signed.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    help="Processes that share the public port. Limits and time-outs hold for each of them.",
)
@click.option("--worker-socket", type=click.Path(path_type=Path), hidden=True)
@click.option(
    "--audit",
    metavar="[off|stdout|PATH]",
    default=Settings.audit,
    help="Where a JSON line for each request goes, without prompts and keys. A file is opened anew when it was moved.",
)
@click.option(
    "--otel-endpoint",
    envvar=["TUNEFLEET_OTEL_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"],
    default=Settings.otel_endpoint,
    help="OpenTelemetry receiver that a span for each request goes to (OTLP over HTTP, such as http://collector:4318); "
    "needs tunefleet[otel].  [default: none]",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_say_version,
    help="Say what this is, and end.",
)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", help="To standard error."
)
def main(
    auth: str,
    keys_namespace: str,
    peers_namespace: str | None,
    host: str,
    port: int,
    admin_port: int,
    watch_namespace: tuple[str, ...],
    fleet_key_file: Path,
    kubeconfig: str | None,
    drain_seconds: float,
    max_body_bytes: int,
    max_connections: int,
    engine_timeout: float,
    hold_seconds: float,
    hold_comment_seconds: float,
    max_held: int,
    max_held_per_model: int,
    max_held_bytes: int,
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_client_ca: Path | None,
    workers: int,
    worker_socket: Path | None,
    audit: str,
    otel_endpoint: str,
    log_level: str,
) -> None:
    """Route OpenAI requests to the engines that hold the model's version.

    POST /v1/chat/completions and /v1/completions go to an engine: `model` is replaced by the exact version, every
    other byte stays as it came. GET /v1/models lists what can answer now. A model is a served name, NAME@vN for one
    of its loaded versions, or an exact version as answers show it.

    Every option can be set by an environment variable: TUNEFLEET_ and its name, such as TUNEFLEET_AUTH=open.
    """
    from tunefleet.kube.client import NoClusterError

    from . import runtime
    from .outlets import NoOpenTelemetryError
    from .parent import run_workers
    from .process import Process, run
    from .request_reader import Limits
    from .tenancy import KeySettings
    from .tls import TlsFiles
    from .workers import NeverAnsweredError

    logging.basicConfig(level=log_level.upper(), format=LOG_FORMAT)
    log.info("%s", runtime.describe())
    if auth == "open":
        log.warning("auth is open: whoever reaches port %d may use every model", port)
    settings = Settings(
        limits=Limits(Settings().limits.head, max_body_bytes),
        timeouts=Timeouts(engine=engine_timeout),
        hold=HoldLimits(hold_seconds, max_held, max_held_per_model, max_held_bytes, hold_comment_seconds),
        max_connections=max_connections,
        drain_seconds=drain_seconds,
        audit=audit,
        otel_endpoint=otel_endpoint,
    )
    fleet_key = fleet_key_file.read_bytes()
    if not fleet_key:
        raise click.BadParameter(f"{fleet_key_file} is empty", param_hint="--fleet-key-file")
    if (tls_cert is None) != (tls_key is None) or (tls_client_ca is not None and tls_cert is None):
        raise click.UsageError("--tls-cert and --tls-key belong together, and --tls-client-ca needs both")
    tls = TlsFiles(tls_cert, tls_key, tls_client_ca) if tls_cert and tls_key else None
    keys = KeySettings(keys_namespace, peers_namespace) if auth == "keys" else None
    process = Process(host, port, admin_port, watch_namespace, fleet_key, kubeconfig, tls, worker_socket, keys)
    if workers > 1 and worker_socket is None:
        serving = run_workers(workers, sys.argv[1:], (host, port), (host, admin_port), drain_seconds)
    else:
        serving = run(process, settings)
    try:
        runtime.run(serving)
    except (OSError, NoClusterError, NoOpenTelemetryError) as failed:
        raise click.ClickException(str(failed)) from None
    except ExceptionGroup as group:
        failed_parts, rest = group.split((OSError, NoClusterError, NeverAnsweredError))
        if failed_parts is None or rest is not None:
            raise
        raise click.ClickException("; ".join(str(error) for error in failed_parts.exceptions)) from None
