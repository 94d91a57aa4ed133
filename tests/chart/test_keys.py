"""What the chart gives the gateway to read keys with, and nothing more."""

import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev import settings
from dev.builds import gomodules, helm
from dev.shell import CommandFailedError, Shell

pytestmark = pytest.mark.apiserver

CHART = Path(__file__).parents[2] / "charts" / "tunefleet"


def render(*values: str, namespace: str = "system", show: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [
        str(gomodules.ensure(helm.BUILD, settings.cache_directory()) / "helm"),
        *("template", "tunefleet", str(CHART), f"--namespace={namespace}", *(f"--set={value}" for value in values)),
        *([f"--show-only=templates/{show}"] if show else []),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def objects(*values: str) -> list[dict[str, Any]]:
    return [found for found in yaml.safe_load_all(render(*values).stdout) if found]


def arguments(*values: str) -> list[str]:
    (gateway,) = (
        o for o in objects(*values) if o["kind"] == "Deployment" and o["metadata"]["name"].endswith("gateway")
    )
    found: list[str] = gateway["spec"]["template"]["spec"]["containers"][0]["args"]
    return found


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((), "gateway.auth must be set: `keys`"),
        (("gateway.auth=none",), "or `open` (everybody"),
        (("gateway.auth=keys", "gateway.keys.namespace=system"), "must be a namespace of its own"),
        (("gateway.auth=keys", "gateway.keys.namespace="), "gateway.keys.namespace must be set"),
    ],
)
def test_what_would_be_unsafe_is_refused(values: tuple[str, ...], said: str) -> None:
    done = render(*values)
    assert (done.returncode, said in done.stderr) == (1, True)


def test_an_open_gateway_reads_no_secret() -> None:
    found = objects("gateway.auth=open")
    assert not [o for o in found if o["metadata"]["name"] == "tunefleet-gateway-keys"]
    assert not [o for o in found if o["kind"] == "Namespace"]
    assert "--auth=open" in arguments("gateway.auth=open")


def test_gateways_are_told_where_keys_and_other_gateways_are() -> None:
    told = arguments("gateway.auth=keys", "gateway.keys.namespace=our-keys")
    assert {"--auth=keys", "--keys-namespace=our-keys", "--peers-namespace=system"} <= set(told)
    (policy,) = (o for o in objects("gateway.auth=keys") if o["kind"] == "NetworkPolicy")
    admin = policy["spec"]["ingress"][1]["from"]
    components = [peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for peer in admin]
    assert components == ["operator", "gateway"]


def test_the_namespace_stays_when_the_release_goes() -> None:
    (namespace,) = (o for o in objects("gateway.auth=keys") if o["kind"] == "Namespace")
    assert namespace["metadata"]["name"] == "tunefleet-keys"
    assert namespace["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    found = objects("gateway.auth=keys", "gateway.keys.createNamespace=false")
    assert [o["kind"] for o in found if o["metadata"]["name"] == "tunefleet-gateway-keys"] == ["Role", "RoleBinding"]
    assert not [o for o in found if o["kind"] == "Namespace"]


@dataclass(frozen=True)
class Account:
    """The gateway's service account."""

    kubectl: Shell
    namespace: str

    def may(self, verb: str, namespace: str) -> bool:
        account = f"--as=system:serviceaccount:{self.namespace}:tunefleet-gateway"
        try:
            return self.kubectl.kubectl("auth", "can-i", verb, "secrets", "-n", namespace, account).strip() == "yes"
        except CommandFailedError:  # how `no` ends
            return False


@pytest.fixture
def account(kubectl: Shell, namespace: str) -> Iterator[Account]:
    """As the chart makes it; keys lie in a namespace of the test's."""
    keys = f"keys-{uuid.uuid4().hex[:10]}"
    values = ("gateway.auth=keys", f"gateway.keys.namespace={keys}")
    manifests = [render(*values, namespace=namespace, show=file).stdout for file in ("keys.yaml", "rbac.yaml")]
    for manifest in manifests:
        kubectl.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifest)
    yield Account(kubectl, namespace)
    for manifest in reversed(manifests):
        kubectl.kubectl("delete", "-f", "-", "--ignore-not-found", "--wait=false", stdin=manifest)


def test_it_may_read_secrets_there_and_nowhere_else(account: Account) -> None:
    role = yaml.safe_load(
        account.kubectl.kubectl(
            "get", "clusterrolebinding,rolebinding", "-A", "-o", "yaml", "-l", "app.kubernetes.io/component=gateway"
        )
    )
    (keys,) = {i["metadata"]["namespace"] for i in role["items"] if i["metadata"]["name"] == "tunefleet-gateway-keys"}
    assert [account.may(verb, keys) for verb in ("list", "watch")] == [True, True]
    assert [account.may(verb, keys) for verb in ("get", "create", "update", "delete")] == [False] * 4
    assert not any(account.may(verb, other) for verb in ("get", "list") for other in ("default", account.namespace))
