"""Who may talk to engine pods: gateways to the engine, gateways and operators to the agent."""

from tunefleet.api.names import AGENT_PORT, COMPONENT, ENGINE_PORT
from tunefleet.plan.decision import EndpointAccess

from .access import access_metadata, pod_selector
from .metadata import APP_NAME, GATEWAY, OPERATOR, PRODUCT, Json

NAMESPACE_NAME = "kubernetes.io/metadata.name"


def network_policy(access: EndpointAccess) -> Json:
    """vLLM's API key guards only part of its routes; this closes the others, adapter loading among them."""
    namespace = access.operator_namespace
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": access_metadata(access),
        "spec": {
            "podSelector": pod_selector(access),
            "policyTypes": ["Ingress"],
            "ingress": [
                _rule(ENGINE_PORT, [_peer(namespace, GATEWAY)]),
                _rule(AGENT_PORT, [_peer(namespace, GATEWAY), _peer(namespace, OPERATOR)]),
            ],
        },
    }


def _rule(port: int, peers: list[Json]) -> Json:
    return {"from": peers, "ports": [{"port": port, "protocol": "TCP"}]}


def _peer(namespace: str, component: str) -> Json:
    return {
        "namespaceSelector": {"matchLabels": {NAMESPACE_NAME: namespace}},
        "podSelector": {"matchLabels": {APP_NAME: PRODUCT, COMPONENT: component}},
    }
