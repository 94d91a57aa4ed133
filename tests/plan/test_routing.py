"""Where a request may go: right weights or an error."""

import random
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunefleet.api.base_model import BaseModel
from tunefleet.api.inference_endpoint import Fallback, InferenceEndpoint
from tunefleet.api.lora_adapter import LoRAAdapter
from tunefleet.api.names import engine_name
from tunefleet.engine.adapters_api import AdaptersReport
from tunefleet.plan.facts import Key
from tunefleet.plan.route_table import EnginePod, Holdings, RouteTable, TrialTerms, split_engine_name
from tunefleet.plan.routed import routed_adapter, routed_base
from tunefleet.plan.routing import build_table, holdings_of

URI = "pvc://claim/path"


def build(
    adapters: Iterable[LoRAAdapter],
    bases: Iterable[BaseModel],
    endpoints: Iterable[InferenceEndpoint],
    pods: Iterable[EnginePod],
    reports: Mapping[Key, Holdings],
) -> RouteTable:
    return build_table(map(routed_adapter, adapters), map(routed_base, bases), endpoints, pods, reports)


def digest(version: int, of: str = "a") -> str:
    return "sha256:" + of + f"{version:063x}"


def base(name: str = "tiny", created: str = "2026-01-01T00:00:00Z", namespace: str = "ns", **spec: Any) -> BaseModel:
    versions = [{"version": 1, "source": {"uri": URI}}]
    status = {"versions": [{"version": n, "digest": digest(n, "b"), "accepted": True} for n in (1, 2)]}
    meta = {"name": name, "namespace": namespace, "creationTimestamp": created}
    return BaseModel.read({"metadata": meta, "spec": {"versions": versions, **spec}, "status": status})


def adapter(
    name: str = "support",
    serving: int | None = 1,
    created: str = "2026-01-02T00:00:00Z",
    namespace: str = "ns",
    traffic: list[dict[str, Any]] | None = None,
    refused: tuple[int, ...] = (),
    **spec: Any,
) -> LoRAAdapter:
    served = spec.get("servedModelName", name)
    if traffic is None:
        traffic = [share(serving, served)] if serving else []
    versions = [{"version": n, "digest": digest(n), "accepted": n not in refused} for n in (1, 2, 3)]
    return LoRAAdapter.read(
        {
            "metadata": {"name": name, "namespace": namespace, "creationTimestamp": created},
            "spec": {
                "baseModelRef": {"name": "tiny"},
                "activeVersion": 1,
                "versions": [{"version": 1, "baseModelVersion": 1, "source": {"uri": URI}}],
                **spec,
            },
            "status": {"traffic": traffic, "versions": versions},
        }
    )


def share(version: int, served: str = "support", weight: int = 100) -> dict[str, Any]:
    return {"version": version, "engineName": engine_name(served, version, digest(version)), "weight": weight}


def endpoint(
    states: dict[str, str], name: str = "endpoint", version: int = 1, namespace: str = "ns"
) -> InferenceEndpoint:
    """Revisions by name with their states; all of one base version."""
    revisions = [
        {
            "name": revision,
            "baseModelVersion": version,
            "engineName": engine_name("tiny", version, digest(version, "b")),
            "state": state,
            "since": "2026-01-03T00:00:00Z",
        }
        for revision, state in states.items()
    ]
    return InferenceEndpoint.read(
        {
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"model": {"name": "tiny", "version": version}},
            "status": {"revisions": revisions},
        }
    )


def pod(name: str, revision: str = "r1", **more: Any) -> EnginePod:
    key = Key(more.pop("namespace", "ns"), name)
    return EnginePod(
        **{"key": key, "ip": "10.0.0.1", "endpoint": "endpoint", "revision": revision, "base_model": "tiny", **more}
    )


def holds(*versions: int, served: str = "support", base_version: int = 1, ready: bool = True) -> Holdings:
    loaded = {engine_name(served, n, digest(n)): digest(n) for n in versions}
    return Holdings(engine_name("tiny", base_version, digest(base_version, "b")), ready, loaded)


def pods_of(table: RouteTable, name: str) -> list[tuple[str, list[str]]] | None:
    """Engine names with the pods that hold them; None for a name that is not in the table."""
    route = table.routes.get(name)
    return None if route is None else [(t.engine_name, [b.pod.name for b in t.backends]) for t in route.targets]


S1 = engine_name("support", 1, digest(1))
S2 = engine_name("support", 2, digest(2))
BASE1 = engine_name("tiny", 1, digest(1, "b"))
BASE2 = engine_name("tiny", 2, digest(2, "b"))
SERVING = endpoint({"r1": "Serving"})


def test_an_adapter_goes_to_the_pods_that_hold_its_version() -> None:
    pods = [pod("a"), pod("b"), pod("c")]
    reports = {Key("ns", "a"): holds(1, 2), Key("ns", "b"): holds(2), Key("ns", "c"): holds()}
    table = build([adapter()], [base()], [SERVING], pods, reports)
    assert pods_of(table, "support") == [(S1, ["a"])]
    assert pods_of(table, "support@v1") == pods_of(table, S1) == [(S1, ["a"])]
    assert pods_of(table, "support@v2") == pods_of(table, S2) == [(S2, ["a", "b"])]
    assert pods_of(table, "support@v3") is None
    assert pods_of(table, "tiny") == pods_of(table, "tiny@v1") == pods_of(table, BASE1) == [(BASE1, ["a", "b", "c"])]
    backend = table.routes["support"].targets[0].backends[0]
    assert (backend.ip, backend.port, backend.pod, backend.endpoint) == ("10.0.0.1", 8000, ("ns", "a"), "endpoint")
    assert backend.base_engine_name == BASE1


@pytest.mark.parametrize(
    ("pods", "reports"),
    [
        ([pod("a", ip="")], {Key("ns", "a"): holds(1)}),
        ([pod("a", terminating=True)], {Key("ns", "a"): holds(1)}),
        ([pod("a", revision="gone")], {Key("ns", "a"): holds(1)}),
        ([pod("a", endpoint="other")], {Key("ns", "a"): holds(1)}),
        ([pod("a", namespace="other")], {Key("other", "a"): holds(1)}),
        ([pod("a")], {}),
        ([pod("a")], {Key("ns", "a"): holds(1, ready=False)}),
        ([pod("a")], {Key("ns", "a"): holds(1, base_version=2)}),
        ([], {Key("ns", "a"): holds(1)}),
    ],
)
def test_pods_that_cannot_be_trusted_to_answer(pods: list[EnginePod], reports: dict[Key, Holdings]) -> None:
    table = build([adapter()], [base()], [SERVING], pods, reports)
    assert pods_of(table, "support") == [(S1, [])]
    assert pods_of(table, "tiny") == []
    assert pods_of(table, "support@v1") == [(S1, [])]
    assert not table.routes["support"].available
    assert table.models == ()


def test_other_bytes_under_the_right_name_are_not_served() -> None:
    forged = Holdings(BASE1, True, {S1: digest(9)})
    table = build([adapter()], [base()], [SERVING], [pod("a")], {Key("ns", "a"): forged})
    assert pods_of(table, "support") == pods_of(table, S1) == [(S1, [])]


def test_a_version_that_was_refused_is_not_served() -> None:
    table = build([adapter(refused=(1, 2))], [base()], [SERVING], [pod("a")], {Key("ns", "a"): holds(1, 2)})
    assert pods_of(table, "support") == []
    assert [pods_of(table, name) for name in (S1, S2, "support@v1", "support@v2")] == [None] * 4


@pytest.mark.parametrize(
    ("states", "expected", "base_pods"),
    [
        ({"r1": "Serving", "r2": "Progressing"}, ["a"], ["a"]),
        ({"r1": "Warm", "r2": "Serving"}, ["b"], ["b"]),
        ({"r1": "Draining", "r2": "Serving"}, ["b"], ["b"]),
        ({"r1": "Warm", "r2": "Progressing"}, ["a"], None),
        ({"r1": "Draining", "r2": "Progressing"}, ["b"], None),
        ({"r1": "Draining", "r2": "Draining"}, [], None),
    ],
)
def test_revisions_by_state(states: dict[str, str], expected: list[str], base_pods: list[str] | None) -> None:
    pods = [pod("a", "r1"), pod("b", "r2")]
    reports = {Key("ns", "a"): holds(1), Key("ns", "b"): holds(1)}
    table = build([adapter()], [base()], [endpoint(states)], pods, reports)
    assert pods_of(table, "support") == [(S1, expected)]
    assert pods_of(table, "tiny") == ([(BASE1, base_pods)] if base_pods else [])


def test_an_adapter_of_the_former_base_is_answered_by_the_warm_revision() -> None:
    old = endpoint({"r1": "Warm"}, "endpoint", 1)
    new = endpoint({"r2": "Serving"}, "endpoint", 2)
    both = InferenceEndpoint.read(
        {**new.dump(), "status": {"revisions": [r.dump() for r in (*old.status.revisions, *new.status.revisions)]}}
    )
    reports = {Key("ns", "a"): holds(1), Key("ns", "b"): holds(base_version=2)}
    table = build([adapter()], [base()], [both], [pod("a", "r1"), pod("b", "r2")], reports)
    assert pods_of(table, "support") == [(S1, ["a"])]
    assert pods_of(table, "tiny") == [(BASE2, ["b"])]
    assert pods_of(table, "tiny@v1") == [(BASE1, ["a"])]


def test_traffic_is_split_by_the_status() -> None:
    canary = adapter(traffic=[share(1, weight=95), share(2, weight=5), share(3, weight=0)])
    table = build([canary], [base()], [SERVING], [pod("a")], {Key("ns", "a"): holds(1, 2, 3)})
    assert [(t.engine_name, t.weight) for t in table.routes["support"].targets] == [(S1, 95), (S2, 5)]
    assert table.models[1].name == "tiny"
    assert table.models[0].engine_names == (S1, S2)


def test_a_name_belongs_to_the_oldest_object() -> None:
    first = adapter("first", created="2026-01-01T00:00:01Z", servedModelName="support")
    second = adapter("second", serving=2, created="2026-01-01T00:00:02Z", namespace="other", servedModelName="support")
    elsewhere = endpoint({"r1": "Serving"}, namespace="other")
    pods = [pod("a"), pod("a", namespace="other")]
    reports = {Key("ns", "a"): holds(1), Key("other", "a"): holds(2)}
    table = build([second, first], [base()], [SERVING, elsewhere], pods, reports)
    assert pods_of(table, "support") == [(S1, ["a"])]
    assert pods_of(table, "support@v2") is None
    later = build([second], [base()], [SERVING, elsewhere], pods, reports)
    assert pods_of(later, "support") == [(S2, ["a"])]
    assert later.routes["support"].targets[0].backends[0].pod.namespace == "other"


def test_a_base_wins_over_a_younger_adapter_of_its_name() -> None:
    table = build([adapter("tiny")], [base()], [SERVING], [pod("a")], {Key("ns", "a"): holds(1, served="tiny")})
    assert pods_of(table, "tiny") == [(BASE1, ["a"])]
    assert pods_of(table, engine_name("tiny", 1, digest(1))) is None


def test_known_names_without_an_engine_are_not_listed() -> None:
    table = build([adapter(serving=None)], [base()], [], [], {})
    assert (pods_of(table, "support"), pods_of(table, "tiny"), table.models) == ([], [], ())


def test_models_know_their_base() -> None:
    table = build([adapter()], [base(servedModelName="Tiny.Chat")], [SERVING], [pod("a")], {Key("ns", "a"): holds(1)})
    assert [(model.name, model.parent) for model in table.models] == [("Tiny.Chat", None), ("support", "Tiny.Chat")]


def test_endpoints_of_one_base_share_by_their_pods() -> None:
    other = endpoint({"x": "Serving"}, "other", 2)
    pods = [pod("a"), pod("b"), pod("c", "x", endpoint="other")]
    reports = {Key("ns", "a"): holds(), Key("ns", "b"): holds(), Key("ns", "c"): holds(base_version=2)}
    table = build([], [base()], [SERVING, other], pods, reports)
    targets = {t.engine_name: (t.weight, [b.pod.name for b in t.backends]) for t in table.routes["tiny"].targets}
    assert targets == {BASE1: (2, ["a", "b"]), BASE2: (1, ["c"])}


@given(st.randoms())
def test_the_order_of_the_input_does_not_matter(rng: random.Random) -> None:
    adapters = [
        adapter(f"a{n}", created=f"2026-01-0{1 + n % 3}T00:00:00Z", servedModelName=f"m{n % 4}") for n in range(6)
    ]
    pods = [pod(name) for name in "abcd"]
    reports = {p.key: holds(1, 2, served=f"m{n}") for n, p in enumerate(pods)}
    expected = build(adapters, [base()], [SERVING], pods, reports)
    rng.shuffle(adapters)
    rng.shuffle(pods)
    assert build(adapters, [base()], [SERVING], pods, reports) == expected


def test_what_a_report_says() -> None:
    entry = {"uri": URI, "digest": digest(1)}
    report = AdaptersReport.read(
        {
            "etag": "x-1",
            "engine": {"name": BASE1, "ready": True, "slots": 8, "maxRank": 16},
            "adapters": [
                {**entry, "engineName": S1, "state": "Loaded"},
                {**entry, "engineName": "b@v1-00000000", "state": "Loading"},
                {**entry, "engineName": "c@v1-00000000", "state": "Draining"},
                {**entry, "engineName": "d@v1-00000000", "state": "Failed"},
            ],
        }
    )
    assert holdings_of(report) == Holdings(BASE1, True, {S1: digest(1)})


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("support-de@v4-1f3a9c2e", ("support-de", 4)),
        ("a@b@v12-00000000", ("a@b", 12)),
        ("support-de@v4", None),
        ("support-de", None),
        ("@v4-1f3a9c2e", None),
        ("x@v4-1F3A9C2E", None),
    ],
)
def test_engine_names_in_parts(name: str, parts: tuple[str, int] | None) -> None:
    assert split_engine_name(name) == parts


def test_a_version_that_failed_somewhere_is_routed_only_where_it_is_loaded() -> None:
    """Failed says that it changes nothing, has another's weights, or was never proven."""

    def report(state: str) -> AdaptersReport:
        held = {"engineName": S1, "uri": URI, "digest": digest(1), "state": state}
        engine = {"name": BASE1, "ready": True, "slots": 4, "maxRank": 16}
        return AdaptersReport.read({"etag": "b-1", "engine": engine, "adapters": [held]})

    states = {"a": "Failed", "b": "Loaded", "c": "Loading", "d": "Draining"}
    reports = {Key("ns", name): holdings_of(report(state)) for name, state in states.items()}
    table = build([adapter()], [base()], [SERVING], [pod(name) for name in states], reports)
    assert pods_of(table, "support") == pods_of(table, S1) == [(S1, ["b"])]


def test_a_pod_of_another_namespace_with_the_same_labels_gets_nothing() -> None:
    """Not even when its agent reports the right digests, and even when that namespace has such an endpoint too."""
    pods = [pod("a"), pod("a", namespace="other", ip="10.9.9.9")]
    reports = {Key("ns", "a"): holds(1), Key("other", "a"): holds(1, 2)}
    endpoints = [SERVING, endpoint({"r1": "Serving"}, namespace="other")]
    table = build([adapter()], [base()], endpoints, pods, reports)
    found = {b.ip for route in table.routes.values() for target in route.targets for b in target.backends}
    assert found == {"10.0.0.1"}
    assert pods_of(table, "support@v2") is None


def with_canary(state: str = "Progressing", traffic: tuple[tuple[int, int], ...] = ((1, 90), (2, 10))) -> LoRAAdapter:
    analysis = {"steps": [{"weight": 10}], "analysis": {"minRequests": 70}}
    made = adapter(traffic=[share(version, weight=weight) for version, weight in traffic], rollout=analysis)
    canary = {"version": 2, "state": state, "step": 0, "weight": 10, "since": "2026-02-01T00:00:00Z", "rollout": "x"}
    status = made.status.dump() | {"canary": canary}
    return LoRAAdapter.read(made.dump() | {"status": status})


def test_a_canary_has_its_share_and_a_trial() -> None:
    pods, reports = [pod("a"), pod("b")], {Key("ns", "a"): holds(1, 2), Key("ns", "b"): holds(1)}
    table = build([with_canary(traffic=((2, 10), (1, 90)))], [base()], [SERVING], pods, reports)
    route = table.routes["support"]
    assert [(t.engine_name, t.weight, len(t.backends)) for t in route.targets] == [(S1, 90, 2), (S2, 10, 1)]
    assert route.trial == TrialTerms("2026-02-01T00:00:00Z", S2, 70)
    assert table.trials == (route,)
    assert table.routes["support@v2"].trial is None


def test_a_canary_that_was_taken_back_has_none() -> None:
    table = build([with_canary("RolledBack", ((1, 100),))], [base()], [SERVING], [], {})
    assert pods_of(table, "support") == [(S1, [])]
    assert table.trials == ()


def awaited(table: RouteTable, name: str) -> bool:
    return table.routes[name].awaited


def test_who_may_wait_for_an_engine() -> None:
    new, refused = adapter("new", None), adapter("refused", None, refused=(1,))
    both = adapter("both", 2, refused=(1,))
    table = build([new, refused, both], [base()], [SERVING], [], {})
    assert [awaited(table, name) for name in ("new", "refused", "both", "tiny")] == [True, False, True, True]
    assert awaited(table, "both@v2")
    assert awaited(table, "tiny@v1")
    nowhere = build([new], [base()], [], [], {})
    assert [awaited(nowhere, name) for name in ("new", "tiny")] == [False, False]


def test_names_say_whose_they_are() -> None:
    table = build([adapter()], [base()], [SERVING], [pod("a")], {Key("ns", "a"): holds(1, 2)})
    owned = {name for name, route in table.routes.items() if route.adapter == Key("ns", "support")}
    assert owned == {"support", "support@v1", S1, "support@v2", S2}
    assert {name for name, route in table.routes.items() if route.adapter is None} == {"tiny", "tiny@v1", BASE1}


def test_only_the_name_itself_has_a_fallback() -> None:
    """Whoever asks for NAME@vN or an exact version wants those weights and no others."""
    spec = {"external": {"url": "https://models.example.com/v1", "model": "m"}, "adapters": {}}
    lending = SERVING.model_copy(update={"spec": SERVING.spec.model_copy(update={"fallback": Fallback.read(spec)})})
    table = build([adapter()], [base()], [lending], [pod("a")], {Key("ns", "a"): holds(1)})
    assert {name for name, route in table.routes.items() if route.fallback} == {"support", "tiny"}
    assert {"support@v1", S1, "tiny@v1", BASE1} <= table.routes.keys()


@pytest.mark.parametrize(
    ("regions", "ok", "said"),
    [
        (("eu-1",), True, "eu-1"),
        (("eu-2",), True, "eu-2"),
        (("us-1",), False, ""),
        (("eu-1", "eu-2"), True, ""),
        (("eu-1", "us-1"), False, ""),
        ((), False, ""),
    ],
)
def test_only_pods_that_are_surely_in_an_allowed_region(regions: tuple[str, ...], ok: bool, said: str) -> None:
    body = SERVING.dump()
    european = InferenceEndpoint.read({**body, "spec": {**body["spec"], "placement": {"regions": ["eu-1", "eu-2"]}}})
    table = build([adapter()], [base()], [european], [pod("a", regions=regions)], {Key("ns", "a"): holds(1)})
    assert pods_of(table, "support") == [(S1, ["a"] if ok else [])]
    assert [backend.region for backend in table.backends] == ([said] if ok else [])


def test_without_regions_any_pod_will_do() -> None:
    table = build([], [base()], [SERVING], [pod("a"), pod("b", regions=("x",))], {Key("ns", n): holds() for n in "ab"})
    assert {(backend.pod.name, backend.region) for backend in table.backends} == {("a", ""), ("b", "x")}


def test_names_have_the_labels_of_their_object() -> None:
    body = adapter().dump()
    body["metadata"]["labels"] = {"team": "blue"}
    table = build([LoRAAdapter.read(body)], [base()], [SERVING], [pod("a")], {Key("ns", "a"): holds(1)})
    found = {name: (route.namespace, route.labels) for name, route in table.routes.items()}
    assert found["support"] == found["support@v1"] == found[S1] == ("ns", {"team": "blue"})
    assert found["tiny"] == ("ns", {})


def test_the_name_and_its_only_version_are_one_target() -> None:
    """So that they have one lane."""
    table = build([adapter()], [base()], [SERVING], [pod("a")], {Key("ns", "a"): holds(1)})
    assert table.routes["support"].targets[0] is table.routes[S1].targets[0]
