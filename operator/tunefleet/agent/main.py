"""tunefleet-agent: beside an engine (`run`), before it (`fetch`), or in a Job (`inspect`)."""

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunefleet.api.inspection import InspectedKind
from tunefleet.api.names import AGENT_PORT
from tunefleet.artifacts.errors import ArtifactError
from tunefleet.artifacts.fetch import fetch as fetch_version
from tunefleet.artifacts.opening import open_source
from tunefleet.artifacts.progress import LogLines, Progress
from tunefleet.artifacts.pvc import MOUNT_ROOT
from tunefleet.artifacts.shared_store import alone, discard_if_damaged

if TYPE_CHECKING:
    from tunefleet.artifacts.store import StoredVersion
    from tunefleet.engine.flags import Device

    from .settings import AgentSettings

TERMINATION_LOG = Path("/dev/termination-log")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """Fetches, checks and loads model weights beside a vLLM engine."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for noisy in ("aiohttp.access", "httpx2", "stamina"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


@main.command()
@click.option("--uri", required=True, help="Where the version is, as in an object's source.")
@click.option("--digest", required=True, help="What its files must hash to, sha256:HEX.")
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), help="Directory named by the digest.")
@click.option("--kind", type=click.Choice(["base", "adapter"]), default="base", show_default=True)
@click.option("--mount-root", type=click.Path(path_type=Path), default=MOUNT_ROOT, show_default=True, hidden=True)
def fetch(uri: str, digest: str, target: Path, kind: InspectedKind, mount_root: Path) -> None:
    """Put one version on the disk, verified, or fail and say why.

    Credentials come from the environment, named as in a source's Secret. A transfer that was cut goes on where it
    stopped.
    """
    if target.name != digest.removeprefix("sha256:"):
        raise click.BadParameter("must end with the digest's 64 digits", param_hint="--to")
    try:
        stored = asyncio.run(_fetch(uri, digest, target, kind, mount_root))
    except ArtifactError as error:
        _terminate(f"{error.reason}: {error.message}")
        raise click.ClickException(error.message) from error
    click.echo(f"complete: {stored.directory} ({stored.size_bytes} bytes, {stored.digest})")


async def _fetch(uri: str, digest: str, target: Path, kind: InspectedKind, mount_root: Path) -> "StoredVersion":
    from .base_files import ProgressFile

    async with open_source(uri, os.environ, mount_root=mount_root) as source:
        lines, file = LogLines(f"fetching {uri}"), ProgressFile(target)

        def report(progress: Progress) -> None:
            lines(progress)
            file(progress)

        with alone(target.parent, digest):
            discard_if_damaged(target.parent, digest)
            return await fetch_version(source, kind, target.parent, digest=digest, report=report)


@main.command()
@click.option("--uri", required=True, help="Where the version is, as in an object's source.")
@click.option("--kind", type=click.Choice(["base", "adapter"]), required=True)
@click.option("--digest", help="What its files must hash to, sha256:HEX; computed when absent.")
@click.option("--mount-root", type=click.Path(path_type=Path), default=MOUNT_ROOT, show_default=True, hidden=True)
@click.option("--work", type=click.Path(path_type=Path), default=Path("/tmp/inspect"), show_default=True)  # noqa: S108
def inspect(uri: str, kind: InspectedKind, digest: str | None, mount_root: Path, work: Path) -> None:
    """Say what a version is, as JSON on stdout and as the container's termination message.

    A refusal is an answer: the exit code is 1 only when another try may give another answer.
    """
    from tunefleet.artifacts.inspection import Question, inspect_adapter, inspect_base

    question = Question(uri, os.environ, digest, mount_root)
    report = LogLines(f"reading {uri}")
    if kind == "base":
        result = asyncio.run(inspect_base(question, report))
    else:
        work.mkdir(parents=True, exist_ok=True)
        result = asyncio.run(inspect_adapter(question, work, report))
    message = result.termination_message()
    click.echo(message)
    _terminate(message)
    sys.exit(1 if result.transient else 0)


@main.command()
@click.option("--engine-url", envvar="TUNEFLEET_ENGINE_URL", default="http://127.0.0.1:8000", show_default=True)
@click.option("--base-engine-name", envvar="TUNEFLEET_BASE_ENGINE_NAME", required=True, help="NAME@vN-DIGEST8.")
@click.option("--base-path", envvar="TUNEFLEET_BASE_PATH", required=True, type=click.Path(path_type=Path))
@click.option("--slots", envvar="TUNEFLEET_SLOTS", required=True, type=int, help="The engine's --max-loras.")
@click.option("--max-rank", envvar="TUNEFLEET_MAX_RANK", required=True, type=int, help="The engine's --max-lora-rank.")
@click.option("--device", envvar="TUNEFLEET_DEVICE", type=click.Choice(["cpu", "gpu"]), default="gpu")
@click.option(
    "--engine-options", envvar="TUNEFLEET_ENGINE_OPTIONS", default="", help="Options that change the engine's figures."
)
@click.option("--node", envvar="NODE_NAME", required=True, help="Stands for the processor where that cannot be read.")
@click.option("--disk-bytes", envvar="TUNEFLEET_ADAPTERS_BYTES", required=True, type=int, help="Bound for adapters.")
@click.option("--namespace", envvar="POD_NAMESPACE", required=True, help="Namespace of the pod and its Secrets.")
@click.option("--adapters-root", type=click.Path(path_type=Path), default=Path("/adapters"), show_default=True)
@click.option("--mount-root", type=click.Path(path_type=Path), default=MOUNT_ROOT, show_default=True)
@click.option("--port", type=int, default=AGENT_PORT, show_default=True)
def run(
    engine_url: str,
    base_engine_name: str,
    base_path: Path,
    slots: int,
    max_rank: int,
    device: str,
    engine_options: str,
    node: str,
    disk_bytes: int,
    namespace: str,
    adapters_root: Path,
    mount_root: Path,
    port: int,
) -> None:
    """Hold the adapters that the operator assigns, beside one engine, until told to stop.

    Keys come from the environment alone: VLLM_API_KEY, TUNEFLEET_AGENT_WRITE_TOKEN, TUNEFLEET_AGENT_READ_TOKEN.
    """
    from .hardware import product
    from .settings import AgentSettings

    kind: Device = "cpu" if device == "cpu" else "gpu"
    settings = AgentSettings(
        engine_url=engine_url.rstrip("/"),
        base_engine_name=base_engine_name,
        base_path=base_path,
        slots=slots,
        max_rank=max_rank,
        device=kind,
        engine_options=engine_options,
        product=product(kind, node),
        disk_bytes=disk_bytes,
        namespace=namespace,
        engine_key=_required("VLLM_API_KEY"),
        write_token=_required("TUNEFLEET_AGENT_WRITE_TOKEN"),
        read_token=_required("TUNEFLEET_AGENT_READ_TOKEN"),
        root=adapters_root,
        mount_root=mount_root,
    )
    asyncio.run(_serve(settings, port))


async def _serve(settings: "AgentSettings", port: int) -> None:
    import aiohttp
    from aiohttp import web

    from .kubernetes_secrets import KubernetesSecrets
    from .runtime import running_agent
    from .server import make_app

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with aiohttp.ClientSession() as session:
        secrets = KubernetesSecrets(session, settings.namespace)
        async with running_agent(settings, session, secrets) as agent:
            runner = web.AppRunner(make_app(agent), shutdown_timeout=5)
            await runner.setup()
            await web.TCPSite(runner, port=port).start()
            try:
                await stop.wait()
                await agent.board.close()
            finally:
                await runner.cleanup()


def _required(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise click.UsageError(f"the environment variable {name} is not set")
    return value


def _terminate(message: str) -> None:
    """The message that the pod's status will carry; no container, no message."""
    if TERMINATION_LOG.exists():
        TERMINATION_LOG.write_text(message[:4096])
