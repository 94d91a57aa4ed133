"""The fleet that the benchmarked gateway serves, as Kubernetes objects: thousands of adapters on a few engines."""

import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tunefleet.api.api_key import HASHES, POLICY, SECRET_TYPE
from tunefleet.api.names import COMPONENT, LABEL_BASE_MODEL, LABEL_ENDPOINT, LABEL_REVISION, MANAGED_BY, MANAGER
from tunefleet.api.names import engine_name as name_for_engines
from tunefleet.plan.keys import RANDOM_BYTES, KeyHash, make_key

Json = dict[str, Any]

NAMESPACE = "fleet"
SYSTEM_NAMESPACE = "tunefleet-system"
ENDPOINT = "endpoint"
REVISION = "endpoint-1"
BASE = "tiny-chat"
BASE_DIGEST = f"sha256:{'0' * 64}"
CREATED = "2026-01-01T00:00:00Z"
PLENTY = 1_000_000_000
"""A limit that is counted for each request and never reached."""


@dataclass(frozen=True)
class Tenant:
    """A holder of one key."""

    name: str
    key: str


def tenants(number: int) -> tuple[Tenant, ...]:
    """The same keys in each run: they open nothing but this benchmark."""
    return tuple(Tenant(f"tenant-{n}", make_key(n.to_bytes(RANDOM_BYTES, "big"))) for n in range(number))


def served_name(number: int) -> str:
    """Of the adapter with this number."""
    return f"adapter-{number:04d}"


def digest(number: int, version: int = 1) -> str:
    """Of a version of an adapter."""
    return f"sha256:{number:08x}{version:056x}"


def engine_name(number: int, version: int = 1) -> str:
    """What engines call this version of an adapter."""
    return name_for_engines(served_name(number), version, digest(number, version))


def base_engine_name() -> str:
    """What engines call the base."""
    return name_for_engines(BASE, 1, BASE_DIGEST)


def base_model() -> Json:
    """The BaseModel of all."""
    return {
        "metadata": _meta(BASE),
        "spec": {"versions": [{"version": 1, "source": {"uri": "pvc://models/base"}}]},
        "status": {"versions": [{"version": 1, "digest": BASE_DIGEST, "accepted": True}]},
    }


def endpoint() -> Json:
    """The one InferenceEndpoint."""
    revision = {
        "name": REVISION,
        "baseModelVersion": 1,
        "engineName": base_engine_name(),
        "state": "Serving",
        "since": CREATED,
    }
    return {
        "metadata": _meta(ENDPOINT),
        "spec": {"model": {"name": BASE, "version": 1}},
        "status": {"revisions": [revision]},
    }


def adapter(number: int, serving: int = 1, versions: Sequence[int] = (1,)) -> Json:
    """A LoRAAdapter with these versions, one of which has all traffic."""
    return {
        "metadata": _meta(served_name(number)),
        "spec": {
            "baseModelRef": {"name": BASE},
            "activeVersion": serving,
            "versions": [
                {"version": n, "baseModelVersion": 1, "source": {"uri": f"pvc://models/{number}"}} for n in versions
            ],
        },
        "status": {
            "servingVersion": serving,
            "traffic": [{"version": serving, "engineName": engine_name(number, serving), "weight": 100}],
            "versions": [{"version": n, "digest": digest(number, n), "accepted": True} for n in versions],
        },
    }


def pod(name: str, ip: str) -> Json:
    """An engine pod of the endpoint."""
    labels = {
        COMPONENT: "engine",
        MANAGED_BY: MANAGER,
        LABEL_ENDPOINT: ENDPOINT,
        LABEL_REVISION: REVISION,
        LABEL_BASE_MODEL: BASE,
    }
    return {"metadata": {**_meta(name), "labels": labels}, "status": {"phase": "Running", "podIP": ip}}


def key_secret(tenant: Tenant, limits: Json) -> Json:
    """The Secret of a tenant, with the hash of its key and a policy of these limits."""
    policy = {"models": [{"names": ["adapter-*"]}], **limits}
    data = {HASHES: KeyHash.of(tenant.key).line(), POLICY: json.dumps(policy)}
    return {
        "metadata": {**_meta(tenant.name), "namespace": SYSTEM_NAMESPACE},
        "type": SECRET_TYPE,
        "data": {name: b64encode(text.encode()).decode() for name, text in data.items()},
    }


def wide_limits() -> Json:
    """Every limit there is, and none that is reached."""
    return {"requestsPerMinute": PLENTY, "tokensPerMinute": PLENTY, "maxConcurrentRequests": PLENTY}


def report(held: Sequence[tuple[int, int]], etag: str, *, ready: bool = True) -> Json:
    """What an agent says of an engine that holds these versions of adapters, each a number and a version."""
    adapters = [
        {"engineName": engine_name(*one), "uri": f"pvc://models/{one[0]}", "digest": digest(*one), "state": "Loaded"}
        for one in held
    ]
    engine = {"name": base_engine_name(), "ready": ready, "slots": len(held), "maxRank": 16}
    return {"etag": etag, "engine": engine, "adapters": adapters}


def fleet(models: int, keys: Sequence[Tenant], addresses: Sequence[str]) -> Iterator[tuple[str, Json]]:
    """Every object with its kind."""
    yield "BaseModel", base_model()
    yield "InferenceEndpoint", endpoint()
    yield from (("LoRAAdapter", adapter(number)) for number in range(models))
    yield from (("Pod", pod(f"engine-{n}", ip)) for n, ip in enumerate(addresses))
    yield from (("Secret", key_secret(tenant, wide_limits())) for tenant in keys)


def _meta(name: str) -> Json:
    return {"name": name, "namespace": NAMESPACE, "uid": name, "creationTimestamp": CREATED}
