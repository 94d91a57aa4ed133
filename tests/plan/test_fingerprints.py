"""First figures are recorded, once for each kind of engine, and reach every agent that has to compare."""

from dataclasses import dataclass, field

from tests.plan.fleet import (
    NAMESPACE,
    SETTINGS,
    START,
    adapter_files,
    adapter_version,
    base_files,
    base_model,
    endpoint,
    lora_adapter,
)
from tests.plan.simulation import Cluster
from tunefleet.api.lora_adapter import MAX_FINGERPRINTS, Fingerprint, LoRAAdapter
from tunefleet.engine.adapters_api import AdapterReport, AdaptersReport, AdapterState, EngineReport
from tunefleet.plan.facts import Facts, Key
from tunefleet.plan.fingerprints import uncompared, with_fingerprints
from tunefleet.plan.holdings import holdings


@dataclass
class MeasuredCluster(Cluster):
    """Engines that say what they measured, and agents that compare it."""

    kinds: dict[str, str] = field(default_factory=dict)
    """By pod, where it is not `h200`."""

    def report(self, key: Key) -> AdaptersReport | None:
        told = super().report(key)
        if told is None:
            return None
        kind = self.kinds.get(key.name, "h200")
        known = {d.engine_name: d.fingerprints for d in self.processes[key].desired or ()}
        adapters = [
            a.model_copy(
                update={
                    "fingerprint": Fingerprint(engine=kind, logprobs=(-float(len(key.name)), -0.5)),
                    "compared": any(f.engine == kind for f in known[a.engine_name]),
                }
            )
            if a.state is AdapterState.LOADED
            else a
            for a in told.adapters
        ]
        engine = told.engine.model_copy(update={"kind": kind if told.engine.ready else ""})
        return told.model_copy(update={"engine": engine, "adapters": tuple(adapters)})

    def recorded(self, name: str = "german", version: int = 1) -> tuple[Fingerprint, ...]:
        return next(v for v in self.adapter(name).status.versions if v.version == version).fingerprints


def fleet(replicas: int = 2, **kinds: str) -> MeasuredCluster:
    files = {"s3://models/tiny/1": base_files("base"), "s3://adapters/german/1": adapter_files("one")}
    cluster = MeasuredCluster(files=files, kinds=kinds)
    cluster.add(base_model(), lora_adapter("german"), endpoint(replicas=replicas))
    cluster.settle()
    return cluster


def test_the_first_figures_are_recorded_once_and_every_agent_compares() -> None:
    cluster = fleet()
    (first,) = cluster.recorded()
    assert first.engine == "h200"
    pods = cluster.engine_pods()
    assert len(pods) == 2
    for pod in pods:
        report = cluster.report(pod)
        assert report is not None
        assert all(adapter.compared for adapter in report.adapters)


def test_a_steady_state_writes_nothing() -> None:
    cluster = fleet()
    writes = cluster.writes
    assert cluster.reconcile() == 0
    assert cluster.writes == writes


def test_another_kind_of_engine_is_recorded_beside_the_first() -> None:
    cluster = fleet(replicas=1)
    (first,) = cluster.recorded()
    (pod,) = cluster.engine_pods()
    cluster.kinds[pod.name] = "l4"
    cluster.settle()
    assert [f.engine for f in cluster.recorded()] == ["h200", "l4"]
    assert cluster.recorded()[0] == first


def test_figures_of_a_later_load_replace_nothing() -> None:
    cluster = fleet(replicas=1)
    (first,) = cluster.recorded()
    cluster.kill_pod(cluster.engine_pods()[0])
    cluster.settle()
    assert cluster.recorded() == (first,)


def test_a_version_that_left_the_spec_keeps_its_number_and_loses_its_figures() -> None:
    cluster = fleet(replicas=1)
    cluster.files["s3://adapters/german/2"] = adapter_files("two")
    versions = [adapter_version("german", 1), adapter_version("german", 2)]
    cluster.add(lora_adapter("german", versions, active=2, keepWarm=0))
    cluster.settle_for(60)
    assert cluster.recorded(version=2)
    cluster.add(lora_adapter("german", versions[1:], active=2, keepWarm=0))
    cluster.settle()
    assert cluster.recorded(version=1) == ()


def known_adapter(*kinds: str) -> LoRAAdapter:
    """Accepted, serving, with figures of these kinds."""
    cluster = fleet(replicas=1)
    adapter = cluster.adapter("german")
    figures = tuple(Fingerprint(engine=kind, logprobs=(-1.0,)) for kind in kinds)
    versions = tuple(v.model_copy(update={"fingerprints": figures}) for v in adapter.status.versions)
    return adapter.model_copy(update={"status": adapter.status.model_copy(update={"versions": versions})})


def report(adapter: LoRAAdapter, kind: str, **changes: object) -> AdaptersReport:
    desired = holdings(adapter, START)[0].desired
    loaded = AdapterReport(
        engine_name=desired.engine_name,
        uri=desired.uri,
        digest=desired.digest,
        state=AdapterState.LOADED,
        fingerprint=Fingerprint(engine=kind, logprobs=(-2.0,)),
    ).model_copy(update=changes)
    engine = EngineReport(name="tiny@v1-00000000", ready=True, slots=8, max_rank=16, kind=kind)
    return AdaptersReport(etag="b-1", engine=engine, adapters=(loaded,))


def recorded_kinds(adapter: LoRAAdapter, *reports: AdaptersReport) -> list[str]:
    keys = [Key(NAMESPACE, f"pod-{number}") for number in range(len(reports))]
    pods = {key: {"metadata": {"namespace": key.namespace, "name": key.name}} for key in keys}
    facts = Facts(settings=SETTINGS, pods=pods, reports=dict(zip(keys, reports, strict=True)))
    (entry,) = with_fingerprints(facts, adapter, START).status.versions
    return [fingerprint.engine for fingerprint in entry.fingerprints]


def test_what_is_not_loaded_or_of_other_bytes_is_not_recorded() -> None:
    adapter = known_adapter()
    assert recorded_kinds(adapter, report(adapter, "l4")) == ["l4"]
    assert recorded_kinds(adapter, report(adapter, "l4", state=AdapterState.FAILED)) == []
    assert recorded_kinds(adapter, report(adapter, "l4", digest=f"sha256:{'0' * 64}")) == []
    assert recorded_kinds(adapter, report(adapter, "l4", fingerprint=None)) == []


def test_past_the_limit_the_oldest_of_engines_that_are_gone_goes() -> None:
    kinds = [f"kind-{number}" for number in range(MAX_FINGERPRINTS)]
    adapter = known_adapter(*kinds)
    reports = [report(adapter, kind) for kind in ("new", kinds[0])]
    assert recorded_kinds(adapter, *reports) == [kinds[0], *kinds[2:], "new"]


def test_where_more_kinds_run_than_can_be_kept_nothing_changes_for_ever() -> None:
    kinds = [f"kind-{number}" for number in range(MAX_FINGERPRINTS)]
    adapter = known_adapter(*kinds)
    assert recorded_kinds(adapter, *(report(adapter, kind) for kind in [*kinds, "new"])) == kinds


def test_an_agent_that_lacks_a_record_of_its_kind_is_told_again_and_no_other() -> None:
    adapter = known_adapter("h200")
    wanted = [holdings(adapter, START)[0].desired]
    assert uncompared(report(adapter, "h200"), wanted)
    assert not uncompared(report(adapter, "h200", compared=True), wanted)
    assert not uncompared(report(adapter, "l4"), wanted), "nothing is recorded of this kind yet"
    assert not uncompared(report(adapter, "h200", state=AdapterState.FAILED), wanted)
    assert not uncompared(report(adapter, "h200", fingerprint=None), wanted), "an agent of a former version"
    assert not uncompared(report(adapter, "h200"), [wanted[0].model_copy(update={"fingerprints": ()})])
