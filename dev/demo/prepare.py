"""What must stand before the first object is applied: the chart, an S3 server, and the models in it."""

import os
from dataclasses import dataclass
from pathlib import Path

import obstore
from obstore.store import S3Store

from dev.images import catalog
from dev.shell import Shell

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "examples" / "models"
SYSTEM_NAMESPACE = "tunefleet-system"
NAMESPACE = "tunefleet-demo"
BUCKET = "models"


@dataclass(frozen=True)
class ImageReferences:
    """The images that the cluster holds."""

    operator: str
    gateway: str
    runtime: str
    s3: str


def image_references() -> ImageReferences:
    """What `python -m dev.images load` put into the cluster."""
    known = catalog.references()
    return ImageReferences(known["operator"], known["gateway"], known["runtime-cpu"], known["s3"])


def install(shell: Shell, images: ImageReferences, *settings: str) -> None:
    """Install or upgrade the chart and wait until both processes are ready."""
    values = [
        *_image("operator.image", images.operator),
        *_image("gateway.image", images.gateway),
        *_image("runtime.image", images.runtime),
        "gateway.auth=open",
        *settings,
    ]
    shell.kubectl("apply", "--server-side", "--force-conflicts", "-f", os.path.relpath(ROOT / "crds"))
    shell.helm(
        "upgrade", "--install", "tunefleet", os.path.relpath(ROOT / "charts" / "tunefleet"),
        "--namespace", SYSTEM_NAMESPACE,
        "--create-namespace", "--skip-crds", "--wait", "--timeout", "3m", *(f"--set={value}" for value in values),
    )  # fmt: skip


def _image(key: str, reference: str) -> list[str]:
    repository, _, tag = reference.rpartition(":")
    return [f"{key}.repository={repository}", f"{key}.tag={tag}", f"{key}.pullPolicy=Never"]


def make_namespace(shell: Shell, name: str = NAMESPACE) -> None:
    """A namespace under the restricted Pod Security standard, as a careful cluster has it."""
    shell.kubectl(
        "apply", "-f", "-", quiet=True,
        stdin=f"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n"
        "  labels: {pod-security.kubernetes.io/enforce: restricted}\n",
    )  # fmt: skip


def start_storage(shell: Shell, images: ImageReferences, namespace: str = NAMESPACE) -> str:
    """Start the S3 server and give its address as this machine reaches it, such as http://10.96.3.7:7070."""
    manifest = (Path(__file__).parent / "storage.yaml").read_text().replace("S3_IMAGE", images.s3)
    shell.kubectl("apply", "-n", namespace, "-f", "-", stdin=manifest, quiet=True)
    shell.kubectl("rollout", "status", "-n", namespace, "deployment/storage", "--timeout=60s", quiet=True)
    return service_address(shell, namespace, "storage")


def service_address(shell: Shell, namespace: str, name: str) -> str:
    """http://CLUSTER-IP:PORT of a Service; the local cluster routes its Services to this machine."""
    found = shell.kubectl(
        "get", "service", "-n", namespace, name, "-o", "jsonpath={.spec.clusterIP}:{.spec.ports[0].port}", quiet=True
    )
    return f"http://{found}"


def model_store(address: str) -> S3Store:
    """The bucket with the models, in the S3 server at this address."""
    return S3Store(
        BUCKET, endpoint=address, access_key_id="demo", secret_access_key="demo-secret",  # noqa: S106 - the demo's own
        region="us-east-1", client_options={"allow_http": True},
    )  # fmt: skip


def upload_models(address: str, models: Path = MODELS) -> int:
    """Put every model's folder (NAME/vN) into the bucket; give the number of files."""
    store = model_store(address)
    files = [path for path in sorted(models.glob("*/v*/*")) if path.is_file()]
    for path in files:
        obstore.put(store, str(path.relative_to(models)), path)
    return len(files)
