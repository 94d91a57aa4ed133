"""What tests against Kubernetes share.

`kubeconfig`, `kubectl`, `namespace` and `api` speak to one API server: the one that TUNEFLEET_TEST_KUBECONFIG names,
else one of the tests' own. `cluster` and `shell` speak to the local cluster with its kubelet. A machine without them
skips the tests, with the command that helps; in continuous integration (CI=true) that is a failure.
"""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from dev import settings as configuration
from dev.builds import etcd, helm, kubernetes
from dev.builds.gomodules import directory, ensure
from dev.shell import CommandFailedError, Shell

from .api_server import Binaries, running
from .missing import without

if TYPE_CHECKING:
    from tunefleet.kube.client import Client

ROOT = Path(__file__).parent.parent
WANTED = os.environ.get("CI") == "true" or "TUNEFLEET_TEST_CLUSTER" in os.environ
"""Whether tests may build and start what they need, however long it takes."""

settings.register_profile("same", derandomize=True)
if os.environ.get("CI") == "true":
    settings.load_profile("same")  # a change is judged by what it changes; everybody's own runs go on exploring


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Administrator's access to an API server that knows the three kinds. With one of our own, nobody else writes."""
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("KUBECACHEDIR", str(tmp_path_factory.mktemp("kubectl")))  # ports come back, resources may not
        given = os.environ.get("TUNEFLEET_TEST_KUBECONFIG")
        start = (
            running(_binaries(), tmp_path_factory.mktemp("api-server")) if given is None else nullcontext(Path(given))
        )
        yield _with_kinds(stack.enter_context(start))


@pytest.fixture(scope="session")
def kubectl(kubeconfig: Path) -> Shell:
    """kubectl against `kubeconfig`'s API server."""
    return Shell(kubeconfig)


@pytest.fixture
def namespace(kubectl: Shell) -> Iterator[str]:
    """A namespace of the test's own, deleted afterwards."""
    name = f"test-{uuid.uuid4().hex[:10]}"
    kubectl.kubectl("create", "namespace", name)
    yield name
    kubectl.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
async def api(kubeconfig: Path) -> AsyncIterator["Client"]:
    """The operator's own client on `kubeconfig`'s API server."""
    from tunefleet.kube.client import Client

    async with await Client.connect(str(kubeconfig)) as client:
        yield client


@pytest.fixture(scope="session")
def cluster() -> configuration.Settings:
    """The local cluster, brought up if need be."""
    if WANTED:
        subprocess.run([sys.executable, "-m", "dev.cluster", "up"], cwd=ROOT, check=True)
    found = configuration.load()
    if not found.kubeconfig.exists():
        without("the local cluster is down: `make up`, then set TUNEFLEET_TEST_CLUSTER=1")
    return found


@pytest.fixture(scope="session")
def shell(cluster: configuration.Settings) -> Shell:
    """kubectl and helm against the local cluster."""
    return Shell(cluster.kubeconfig, path=str(directory(helm.BUILD, cluster.cache)))


def _binaries() -> Binaries:
    cache = configuration.cache_directory()
    found = Binaries(etcd=directory(etcd.BUILD, cache), kubernetes=directory(kubernetes.BUILD, cache))
    if not found.present and not WANTED:
        without("no API server is built: `python -m dev.cluster build etcd kubernetes`, or name one by its kubeconfig "
                 "in TUNEFLEET_TEST_KUBECONFIG")  # fmt: skip
    if not found.present:
        ensure(etcd.BUILD, cache)
        ensure(kubernetes.BUILD, cache)
    return found


def _with_kinds(kubeconfig: Path) -> Path:
    shell = Shell(kubeconfig)
    shell.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
    shell.kubectl("wait", "--for=condition=Established", "-f", str(ROOT / "crds"))
    _until_known(shell, "get", "tunefleet", "--all-namespaces")
    _until_known(shell, "explain", "inferenceendpoint.spec")
    return kubeconfig


def _until_known(shell: Shell, *arguments: str) -> None:
    """The API server tells clients of a new kind a little after it serves it, at two places."""
    deadline = time.monotonic() + 30
    while True:
        try:
            shell.kubectl(*arguments)
        except CommandFailedError:
            if time.monotonic() > deadline:
                raise
        else:
            return
