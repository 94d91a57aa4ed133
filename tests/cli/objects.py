"""Objects and statuses as users and the operator write them."""

import json
from typing import Any

from tests.cli.session import Session

Json = dict[str, Any]
TIME = "2026-11-21T12:00:00Z"


def digest(number: int) -> str:
    return f"sha256:{number:02x}" + "0" * 62


def adapter(name: str = "german", active: int = 1, bases: dict[int, int] | None = None, **spec: Any) -> Json:
    """Versions 1 to 3 unless `bases` (version to base version) says otherwise."""
    versions = [
        {"version": n, "baseModelVersion": base, "source": {"uri": f"s3://adapters/{name}/{n}"}}
        for n, base in (bases or {1: 1, 2: 1, 3: 1}).items()
    ]
    return _object(
        "LoRAAdapter", name, {"baseModelRef": {"name": "tiny"}, "activeVersion": active, "versions": versions, **spec}
    )


def endpoint(name: str = "chat", **spec: Any) -> Json:
    return _object("InferenceEndpoint", name, {"model": {"name": "tiny", "version": 1}, **spec})


def adapter_status(serving: int = 1, generation: int = 1, **status: Any) -> Json:
    """It answers with a version, has read three, and has served this one after version 1."""
    history = [{"time": TIME, "to": 1, "cause": "Promoted"}]
    if serving != 1:
        history.append({"time": TIME, "from": 1, "to": serving, "cause": "Promoted"})
    versions = [
        {"version": n, "digest": digest(n), "rank": 8 * n, "accepted": True, "sizeBytes": 100 * n} for n in (1, 2, 3)
    ]
    return {
        "observedGeneration": generation,
        "servingVersion": serving,
        "loaded": {"ready": 2, "desired": 2},
        "traffic": [{"version": serving, "engineName": f"german@v{serving}", "weight": 100}],
        "history": history,
        "versions": versions,
        "conditions": [
            condition("Ready", "True", "Serving", f"german@v{serving} answers on 2 engine pods", generation)
        ],
        **status,
    }


def served(session: Session, serving: int = 1, generation: int = 1, **spec: Any) -> None:
    """An adapter that answers with a version, which is also the active one."""
    session.create(adapter(active=serving, **spec))
    session.report("lora/german", adapter_status(serving, generation))


def endpoint_status(*specs: Json, generation: int = 1) -> Json:
    """These specs served one after the other."""
    records = [
        {
            "name": f"chat-{n:08x}",
            "time": TIME,
            "cause": "Changed" if n else "Created",
            "changes": ["model.version: 1 -> 2"] if n else [],
            "spec": json.dumps(spec),
        }
        | ({"from": f"chat-{n - 1:08x}"} if n else {})
        for n, spec in enumerate(specs)
    ]
    return {
        "observedGeneration": generation,
        "history": records,
        "conditions": [condition("Ready", "True", "Serving", "1 of 1 replicas ready, tiny@v1-1f3a9c2e", generation)],
    }


def condition(type_: str, status: str, reason: str, message: str, generation: int = 1) -> Json:
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": TIME,
        "observedGeneration": generation,
    }


def _object(kind: str, name: str, spec: Json) -> Json:
    return {"apiVersion": "tunefleet.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
