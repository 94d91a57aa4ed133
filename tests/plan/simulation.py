"""A cluster that obeys plans: writes happen one by one, and controllers, kubelets, agents and Jobs advance by rules.

Everything is deterministic; what varies is which step is taken next, and that is for the test to choose. Times move
only when the test says so.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from tests.plan.fleet import SETTINGS, START
from tests.plan.gateways import Gateway
from tunefleet.api.base_model import BaseModel, BaseModelStatus
from tunefleet.api.canary import AdapterRollout
from tunefleet.api.conditions import Reason
from tunefleet.api.inference_endpoint import InferenceEndpoint, InferenceEndpointStatus
from tunefleet.api.inspection import InspectionResult
from tunefleet.api.lora_adapter import LoRAAdapter, LoRAAdapterStatus
from tunefleet.api.names import ANNOTATION_ENGINE_NAME
from tunefleet.build.decide import decide
from tunefleet.engine.adapters_api import AdapterReport, AdaptersReport, AdapterState, DesiredAdapter, EngineReport
from tunefleet.plan.facts import Facts, Inspection, InspectionRequest, Key, Manifest, Node, ObjectRef
from tunefleet.plan.inspection import JOB_NAME_LABEL
from tunefleet.plan.plan import Event, Plan, StatusPatch
from tunefleet.plan.times import rfc3339

User = BaseModel | LoRAAdapter | InferenceEndpoint
MISSING = InspectionResult(kind="adapter", reason=Reason.SOURCE_NOT_FOUND, message="nothing is there")


@dataclass
class EngineProcess:
    """A pod's agent and engine."""

    age: int = 0
    """Steps since it was scheduled: 1 the agent answers, 2 the engine does."""
    desired: tuple[DesiredAdapter, ...] | None = None
    """None until the operator has told."""
    states: dict[str, AdapterState] = field(default_factory=dict)


@dataclass
class Cluster:
    """One cluster and the operator's process in it."""

    files: dict[str, InspectionResult] = field(default_factory=dict)
    """By URI, what an inspection finds."""
    unloadable: set[str] = field(default_factory=set)
    """Digests that engines refuse."""
    failing: set[str] = field(default_factory=set)
    """Digests of versions whose every answer is an error."""
    slow: set[str] = field(default_factory=set)
    """Digests of versions that are slow to answer."""
    gateways: dict[Key, Gateway] = field(
        default_factory=lambda: {Key(SETTINGS.namespace, f"gateway-{n}"): Gateway() for n in range(2)}
    )
    nodes_are_full: bool = False
    deaf: bool = False
    """A new leader: no agent has reported to it yet, and it remembers no question."""
    now: datetime = START
    base_models: dict[Key, BaseModel] = field(default_factory=dict)
    adapters: dict[Key, LoRAAdapter] = field(default_factory=dict)
    endpoints: dict[Key, InferenceEndpoint] = field(default_factory=dict)
    children: dict[ObjectRef, dict[str, Any]] = field(default_factory=dict)
    pods: dict[Key, dict[str, Any]] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    processes: dict[Key, EngineProcess] = field(default_factory=dict)
    inspections: dict[InspectionRequest, Inspection] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    writes: int = 0
    _serial: int = 0

    # --- users -----------------------------------------------------------------------------------------------

    def add(self, *objects: User) -> None:
        """Create objects, or change their specs: the status stays, the generation rises."""
        for obj in objects:
            place = self._place(obj)
            key = Key(obj.metadata.namespace, obj.metadata.name)
            former = place.get(key)
            if former is not None:
                meta = obj.metadata.model_copy(update={"generation": former.metadata.generation + 1})
                obj = obj.model_copy(update={"status": former.status, "metadata": meta})
            place[key] = obj

    def adapter(self, name: str) -> LoRAAdapter:
        """By name."""
        return next(a for a in self.adapters.values() if a.metadata.name == name)

    def endpoint(self, name: str = "chat") -> InferenceEndpoint:
        """By name."""
        return next(e for e in self.endpoints.values() if e.metadata.name == name)

    def base(self, name: str = "tiny") -> BaseModel:
        """By name."""
        return next(b for b in self.base_models.values() if b.metadata.name == name)

    def activate(self, name: str, version: int) -> None:
        """The user's patch of activeVersion."""
        adapter = self.adapter(name)
        self.add(adapter.model_copy(update={"spec": adapter.spec.model_copy(update={"active_version": version})}))

    def serve_base(self, version: int, name: str = "chat") -> None:
        """The user's patch of spec.model.version."""
        endpoint = self.endpoint(name)
        model = endpoint.spec.model.model_copy(update={"version": version})
        self.add(endpoint.model_copy(update={"spec": endpoint.spec.model_copy(update={"model": model})}))

    def scale(self, replicas: int, name: str = "chat") -> None:
        """The user's scale."""
        endpoint = self.endpoint(name)
        self.add(endpoint.model_copy(update={"spec": endpoint.spec.model_copy(update={"replicas": replicas})}))

    def set_rollout(self, name: str, **fields: Any) -> None:
        """The user's patch of an adapter's spec.rollout."""
        adapter = self.adapter(name)
        rollout = AdapterRollout.read({**adapter.spec.rollout.dump(), **fields})
        self.add(adapter.model_copy(update={"spec": adapter.spec.model_copy(update={"rollout": rollout})}))

    def ask(self, name: str, requests: int) -> None:
        """So many requests of clients at every gateway."""
        adapter = self.adapter(name)
        held = {d.engine_name: d.digest for p in self.processes.values() for d in p.desired or ()}
        bad, slow = ({n for n, digest in held.items() if digest in some} for some in (self.failing, self.slow))
        for gateway in self.gateways.values():
            gateway.ask(adapter, requests, (n for n in held if self.holders(n)), bad, slow)

    def forget_status(self, ref: ObjectRef) -> None:
        """Somebody wiped an object's status."""
        self._status(StatusPatch(ref, {}))

    # --- the operator ----------------------------------------------------------------------------------------

    def facts(self) -> Facts:
        """What `gather` would see."""
        return Facts(
            settings=SETTINGS,
            base_models=dict(self.base_models),
            adapters=dict(self.adapters),
            endpoints=dict(self.endpoints),
            children=dict(self.children),
            pods=dict(self.pods),
            nodes=dict(self.nodes),
            reports={} if self.deaf else {k: report for k in self.processes if (report := self.report(k)) is not None},
            gateways={key: None if self.deaf else gateway.report() for key, gateway in self.gateways.items()},
            inspections=dict(self.inspections),
        )

    def refs(self) -> list[ObjectRef]:
        """All objects of the three kinds."""
        kinds: list[tuple[str, Mapping[Key, Any]]] = [
            ("BaseModel", self.base_models),
            ("LoRAAdapter", self.adapters),
            ("InferenceEndpoint", self.endpoints),
        ]
        return [ObjectRef(kind, *key) for kind, objects in kinds for key in sorted(objects)]

    def plan(self, ref: ObjectRef) -> Plan:
        """A decision now."""
        return decide(self.facts(), ref, self.now)

    def execute(self, plan: Plan, crash_after: int | None = None) -> bool:
        """Perform a plan write by write; False when the operator was killed after that many writes."""
        for count, write in enumerate(self._writes(plan)):
            if crash_after is not None and count >= crash_after:
                self.inspections.clear()
                return False
            write()
        self.events.extend(plan.events)
        return True

    def reconcile(self) -> int:
        """Decide every object once and perform; the number of plans that were not empty."""
        busy = 0
        for ref in self.refs():
            plan = self.plan(ref)
            busy += not plan.empty
            self.execute(plan)
        return busy

    def settle(self, rounds: int = 60) -> int:
        """Operator and cluster in turn until neither does anything; the rounds it took. Raises when it never ends."""
        for count in range(rounds):
            busy = self.reconcile()
            moved = self.advance()
            if not busy and not moved:
                return count
        raise AssertionError(f"no steady state after {rounds} rounds")

    def settle_for(self, seconds: float, step: float = 10) -> None:
        """Let time pass with everything running."""
        until = self.now + timedelta(seconds=seconds)
        self.settle()
        while self.now < until:
            self.now += timedelta(seconds=min(step, (until - self.now).total_seconds()))
            self.settle()

    # --- the cluster -----------------------------------------------------------------------------------------

    def advance(self) -> int:
        """One step of every controller, kubelet, agent and Job; how many of them did anything."""
        return sum(step() for step in list(self.steps()))

    def steps(self) -> Iterator[Any]:
        """Everything that could move on now, each a function that says whether it did."""
        yield from (lambda r=ref: self._deployment(r) for ref in sorted(self.children) if ref.kind == "Deployment")
        yield from (lambda r=ref: self._job(r) for ref in sorted(self.children) if ref.kind == "Job")
        yield from (lambda k=key: self._engine(k) for key in sorted(self.processes))
        yield from (lambda r=request: self._inspection(r) for request in list(self.inspections))
        yield self._collect_garbage

    def kill_pod(self, key: Key) -> None:
        """The pod is gone, with everything on its disk."""
        self.pods.pop(key, None)
        self.processes.pop(key, None)

    def report(self, key: Key) -> AdaptersReport | None:
        """What the pod's agent says; None while it does not answer."""
        process = self.processes[key]
        if process.age < 1:
            return None
        desired = process.desired or ()
        adapters = [
            AdapterReport(engine_name=d.engine_name, uri=d.uri, digest=d.digest, state=process.states[d.engine_name])
            for d in sorted(desired, key=lambda d: d.engine_name)
        ]
        name = self.pods[key]["metadata"]["annotations"][ANNOTATION_ENGINE_NAME]
        engine = EngineReport(name=name, ready=process.age >= 2, slots=8, max_rank=16)
        return AdaptersReport(etag="any", engine=engine, adapters=tuple(adapters))

    def engine_pods(self) -> list[Key]:
        """All of them."""
        return sorted(self.processes)

    def holders(self, engine_name: str) -> set[Key]:
        """Ready pods that hold a version."""
        return {
            key
            for key, process in self.processes.items()
            if process.states.get(engine_name) is AdapterState.LOADED and _is_ready(self.pods[key])
        }

    def ready_pods(self, revision: str) -> list[Key]:
        """Ready pods of a revision."""
        return [key for key in self.engine_pods() if key.name.startswith(f"{revision}-") and _is_ready(self.pods[key])]

    # --- inside ----------------------------------------------------------------------------------------------

    def _place(self, obj: User) -> dict[Key, Any]:
        if isinstance(obj, BaseModel):
            return self.base_models
        return self.adapters if isinstance(obj, LoRAAdapter) else self.endpoints

    def _writes(self, plan: Plan) -> Iterator[Any]:
        yield from (lambda d=d: self._delete(d.ref, d.uid) for d in plan.delete)
        yield from (lambda m=m: self._apply(m) for m in plan.apply)
        yield from (lambda p=p, a=a: self._assign(p, a) for p, a in plan.assignments.items())
        yield from (lambda r=r, p=p: self._ask(r, p) for r, p in plan.inspections.items())
        yield from (lambda s=s: self._status(s) for s in plan.statuses)

    def _delete(self, ref: ObjectRef, uid: str) -> None:
        self.writes += 1
        if ref in self.children and self.children[ref]["metadata"]["uid"] == uid:
            del self.children[ref]

    def _apply(self, manifest: Manifest) -> None:
        self.writes += 1
        meta = manifest["metadata"]
        ref = ObjectRef(manifest["kind"], meta["namespace"], meta["name"])
        former = self.children.get(ref)
        self._serial += 1
        born = {"uid": f"child-{self._serial}", "creationTimestamp": rfc3339(self.now)}
        kept = {name: former["metadata"][name] for name in born} if former else born
        status = {"status": former["status"]} if former and "status" in former else {}
        self.children[ref] = {**manifest, "metadata": {**meta, **kept}, **status}

    def _assign(self, pod: Key, adapters: tuple[DesiredAdapter, ...]) -> None:
        process = self.processes.get(pod)
        if process is None or process.age < 1:
            return
        process.desired = adapters
        process.states = {a.engine_name: process.states.get(a.engine_name, AdapterState.FETCHING) for a in adapters}

    def _ask(self, request: InspectionRequest, pod: Key) -> None:
        self.inspections[request] = Inspection(pod=pod, started=self.now)

    def _status(self, patch: StatusPatch) -> None:
        self.writes += 1
        key = Key(patch.ref.namespace, patch.ref.name)
        match patch.ref.kind:
            case "BaseModel" if key in self.base_models:
                status = BaseModelStatus.read(patch.status)
                self.base_models[key] = self.base_models[key].model_copy(update={"status": status})
            case "LoRAAdapter" if key in self.adapters:
                adapter = LoRAAdapterStatus.read(patch.status)
                self.adapters[key] = self.adapters[key].model_copy(update={"status": adapter})
            case "InferenceEndpoint" if key in self.endpoints:
                endpoint = InferenceEndpointStatus.read(patch.status)
                self.endpoints[key] = self.endpoints[key].model_copy(update={"status": endpoint})

    def _deployment(self, ref: ObjectRef) -> bool:
        deployment = self.children.get(ref)
        if deployment is None:
            return False
        uid = deployment["metadata"]["uid"]
        mine = [k for k in sorted(self.pods) if self.pods[k]["metadata"]["ownerReferences"][0]["uid"] == uid]
        wanted = int(deployment["spec"]["replicas"])
        if len(mine) > wanted:
            self.kill_pod(mine[-1])
        elif len(mine) < wanted:
            self._create_pod(ref, deployment)
        return len(mine) != wanted

    def _create_pod(self, ref: ObjectRef, deployment: Manifest) -> None:
        self._serial += 1
        key = Key(ref.namespace, f"{ref.name}-{self._serial}")
        template = deployment["spec"]["template"]["metadata"]
        owner = {"kind": "Deployment", "name": ref.name, "uid": deployment["metadata"]["uid"], "controller": True}
        named = {"name": key.name, "namespace": key.namespace, "ownerReferences": [owner]}
        meta = {**template, **named, "creationTimestamp": rfc3339(self.now)}
        self.pods[key] = {"metadata": meta, "spec": {}, "status": {"conditions": []}}
        self.processes[key] = EngineProcess()

    def _engine(self, key: Key) -> bool:
        process = self.processes.get(key)
        if process is None:
            return False
        if self.nodes_are_full and process.age == 0:
            return self._condition(key, "PodScheduled", "False", "Unschedulable", "0/1 nodes are available")
        if process.age < 2:
            process.age += 1
            return self._condition(key, "PodScheduled", "True") or True
        loading = [name for name, state in process.states.items() if state is AdapterState.FETCHING]
        for adapter in process.desired or ():
            if adapter.engine_name in loading:
                bad = adapter.digest in self.unloadable
                process.states[adapter.engine_name] = AdapterState.FAILED if bad else AdapterState.LOADED
        return self._condition(key, "Ready", "True") or bool(loading)

    def _condition(self, pod: Key, type_: str, status: str, reason: str = "", message: str = "") -> bool:
        conditions = self.pods[pod]["status"]["conditions"]
        wanted = {"type": type_, "status": status, "reason": reason, "message": message}
        if wanted in conditions:
            return False
        kept = [c for c in conditions if c["type"] != type_]
        self.pods[pod] = {**self.pods[pod], "status": {"conditions": [*kept, wanted]}}
        return True

    def _job(self, ref: ObjectRef) -> bool:
        job = self.children.get(ref)
        if job is None or "status" in job:
            return False
        key = Key(ref.namespace, f"{ref.name}-pod")
        if key in self.pods and self.pods[key]["metadata"]["ownerReferences"][0]["uid"] != job["metadata"]["uid"]:
            return False
        if key not in self.pods:
            self.pods[key] = self._job_pod(key, ref.name, job)
            return True
        arguments = job["spec"]["template"]["spec"]["containers"][0]["args"]
        found = self.files.get(arguments[arguments.index("--uri") + 1], MISSING)
        ended = {"exitCode": 0, "message": found.termination_message()}
        status = {"phase": "Succeeded", "containerStatuses": [{"name": "inspect", "state": {"terminated": ended}}]}
        self.pods[key] = {**self.pods[key], "status": status}
        complete = {"type": "Complete", "status": "True", "lastTransitionTime": rfc3339(self.now)}
        self.children[ref] = {**job, "status": {"conditions": [complete]}}
        return True

    def _job_pod(self, key: Key, name: str, job: Manifest) -> dict[str, Any]:
        labels = {**job["spec"]["template"]["metadata"]["labels"], JOB_NAME_LABEL: name}
        owner = {"kind": "Job", "name": name, "uid": job["metadata"]["uid"], "controller": True}
        meta = {"name": key.name, "namespace": key.namespace, "labels": labels, "ownerReferences": [owner]}
        return {"metadata": {**meta, "creationTimestamp": rfc3339(self.now)}, "status": {"phase": "Pending"}}

    def _inspection(self, request: InspectionRequest) -> bool:
        asked = self.inspections.get(request)
        if asked is None or asked.finished is not None:
            return False
        if asked.pod in self.processes:
            done = replace(asked, finished=self.now, result=self.files.get(request.uri, MISSING))
        else:
            done = replace(asked, finished=self.now, error="connection refused")
        self.inspections[request] = done
        return True

    def _collect_garbage(self) -> bool:
        """Pods of Deployments and Jobs that are gone."""
        alive = {child["metadata"]["uid"] for child in self.children.values()}
        orphans = [k for k, pod in self.pods.items() if pod["metadata"]["ownerReferences"][0]["uid"] not in alive]
        for key in orphans:
            self.kill_pod(key)
        return bool(orphans)


def _is_ready(pod: Manifest) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"]["conditions"])
