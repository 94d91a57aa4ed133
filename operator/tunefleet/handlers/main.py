"""tunefleet-operator: takes the Lease, then acts until told to stop."""

import asyncio
import logging
import sys

import click

from .options import Options


@click.command(context_settings={"auto_envvar_prefix": "TUNEFLEET", "show_default": True})
@click.option("--namespace", envvar="POD_NAMESPACE", required=True, help="The operator's own namespace.")
@click.option(
    "--watch-namespace",
    "watch_namespaces",
    envvar="TUNEFLEET_WATCH_NAMESPACE",
    multiple=True,
    help="A namespace whose objects are served, besides the operator's own; repeatable. All namespaces if not given.",
)
@click.option("--runtime-image", required=True, help="Image of engine pods that name none.")
@click.option(
    "--image-pull-policy",
    type=click.Choice(["Always", "IfNotPresent", "Never"]),
    default="IfNotPresent",
    help="Pull policy of engine pods.",
)
@click.option(
    "--lease-seconds",
    type=click.FloatRange(2, 600),
    default=10.0,
    help="How long a leader that died keeps others from taking over.",
)
@click.option("--admin-port", type=click.IntRange(0, 65535), default=8090, help="/healthz, /readyz and /metrics.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    help="Least important lines that are logged.",
)
@click.version_option(package_name="tunefleet")
def main(log_level: str, **options: object) -> None:
    """Run the Tunefleet operator.

    It watches BaseModels, LoRAAdapters and InferenceEndpoints and makes of them engine pods with the right weights on
    them. Several may run; one of them holds the Lease and acts. Credentials for the API server come from KUBECONFIG,
    else from the pod's service account, else from ~/.kube/config.
    """
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("kopf").setLevel(logging.WARNING)
    from .process import operate

    sys.exit(asyncio.run(operate(Options(**options))))  # type: ignore[arg-type]  # click has checked the types


if __name__ == "__main__":
    main()
