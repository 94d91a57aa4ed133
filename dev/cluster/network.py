"""The link between this machine and the cluster's network namespace, and the bridge of the pods within it.

The namespace has no default route: no packet of a pod can leave this machine.
"""

from __future__ import annotations

from pathlib import Path

from dev import commands
from dev.cluster import machine
from dev.settings import Settings

BRIDGE = "cni0"
NODE_LINK = "machine0"


def connect(settings: Settings) -> None:
    """Lay the link and the bridge; what is there already stays."""
    found = machine.holder(settings)
    assert found is not None
    if not Path("/sys/class/net", settings.host_link).exists():
        peer = ["peer", "name", NODE_LINK, "netns", str(found.number)]
        commands.run(["ip", "link", "add", settings.host_link, "type", "veth", *peer])
    host = [
        f"address replace {settings.host_address}/30 dev {settings.host_link}",
        f"link set {settings.host_link} up",
    ]
    node = [
        f"address replace {settings.node_address}/30 dev {NODE_LINK}",
        f"link set {NODE_LINK} up",
        f"link set {BRIDGE} up",
        f"address replace {_gateway(settings)} dev {BRIDGE}",
        # kube-proxy translates a Service's address only in packets that have a route; this one leads nowhere else.
        f"route replace {settings.services} dev {BRIDGE}",
    ]
    commands.run(["ip", "-batch", "-"], stdin="\n".join(host))
    inside = machine.enter(settings)
    commands.attempt([*inside, "ip", "link", "add", BRIDGE, "type", "bridge"])
    commands.run([*inside, "ip", "-batch", "-"], stdin="\n".join(node))
    commands.run(["ip", "route", "replace", settings.network, "via", settings.node_address, "dev", settings.host_link])


def disconnect(settings: Settings) -> None:
    """Remove this machine's end of the link, and the route; the kernel does it with the namespace, but later."""
    commands.attempt(["ip", "link", "delete", settings.host_link])


def cni_configuration(settings: Settings) -> dict[str, object]:
    """How containerd connects a pod: the bridge, an address of the pods' range, and ports of the host."""
    return {
        "cniVersion": "0.4.0",
        "name": settings.name,
        "plugins": [
            {
                "type": "bridge",
                "bridge": BRIDGE,
                "isGateway": True,
                "ipMasq": False,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "dataDir": "/var/lib/cni/networks",
                    "ranges": [[{"subnet": settings.pods}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _gateway(settings: Settings) -> str:
    address, _, length = settings.pods.partition("/")
    return f"{address.removesuffix('.0')}.1/{length}"
