"""Who may stand in for a name: for an adapter only when its labels say so, and nobody out of its regions."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tunefleet.api.base_model import BaseModel
from tunefleet.api.inference_endpoint import InferenceEndpoint
from tunefleet.api.lora_adapter import LoRAAdapter
from tunefleet.api.names import engine_name
from tunefleet.plan.facts import Key
from tunefleet.plan.fallback import External, Fallback, fallbacks
from tunefleet.plan.route_table import Backend
from tunefleet.plan.routed import routed_adapter, routed_base

URI = "pvc://claim/path"
EXTERNAL = {"url": "https://models.example.com/v1", "model": "org/model", "secretRef": {"name": "provider"}}
OUTSIDE = External("https://models.example.com/v1", "org/model", Key("ns", "provider"), "apiKey", "")
BIG1, BIG2 = engine_name("big", 1, f"sha256:{1:064x}"), engine_name("big", 2, f"sha256:{2:064x}")
ALL: dict[str, Any] = {"adapters": {}}


def base(name: str = "tiny", namespace: str = "ns") -> BaseModel:
    return BaseModel.read(
        {
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"versions": [{"version": 1, "source": {"uri": URI}}]},
        }
    )


def adapter(name: str = "support", **labels: str) -> LoRAAdapter:
    return LoRAAdapter.read(
        {
            "metadata": {"name": name, "namespace": "ns", "labels": labels},
            "spec": {
                "baseModelRef": {"name": "tiny"},
                "activeVersion": 1,
                "versions": [{"version": 1, "baseModelVersion": 1, "source": {"uri": URI}}],
            },
        }
    )


def endpoint(name: str = "chat", model: str = "tiny", regions: tuple[str, ...] = (), **spec: Any) -> InferenceEndpoint:
    body = {"model": {"name": model, "version": 1}, "placement": {"regions": regions}, **spec}
    return InferenceEndpoint.read({"metadata": {"name": name, "namespace": "ns"}, "spec": body})


def backend(pod: str, of: str = "spare", engine: str = BIG1, region: str = "", namespace: str = "ns") -> Backend:
    return Backend("10.0.0.1", 8000, Key(namespace, pod), of, engine, region)


def found(
    *objects: BaseModel | LoRAAdapter | InferenceEndpoint,
    serving: tuple[Backend, ...] = (),
    vouched: tuple[str, ...] = (BIG1, BIG2),
) -> dict[str, Fallback]:
    bases = {o.served_name: routed_base(o) for o in objects if isinstance(o, BaseModel)}
    owned = bases | {o.served_name: routed_adapter(o) for o in objects if isinstance(o, LoRAAdapter)}
    return fallbacks(owned, [o for o in objects if isinstance(o, InferenceEndpoint)], serving, vouched)


def pods(fallback: Fallback) -> list[str]:
    assert fallback.target is not None
    return [b.pod.name for b in fallback.target.backends]


SPARE = endpoint("spare", "big")
TO_SPARE: dict[str, Any] = {"endpointRef": {"name": "spare"}}


def test_an_upstream_outside() -> None:
    lent = found(base(), endpoint(fallback={"external": EXTERNAL}))
    assert lent == {"tiny": Fallback(Key("ns", "chat"), "external/chat", external=OUTSIDE)}


def test_another_endpoints_base() -> None:
    lent = found(base(), endpoint(fallback=TO_SPARE), SPARE, serving=(backend("a"), backend("b", of="third")))
    assert lent["tiny"].mark == "endpoint/spare"
    assert lent["tiny"].target is not None
    assert lent["tiny"].target.engine_name == BIG1
    assert pods(lent["tiny"]) == ["a"]


def test_another_endpoint_without_an_engine_is_no_fallback_now() -> None:
    assert found(base(), endpoint(fallback=TO_SPARE), SPARE) == {}
    assert found(base(), endpoint(fallback=TO_SPARE), SPARE, serving=(backend("a", namespace="other"),)) == {}


def test_a_base_that_nobody_vouches_for_is_not_taken() -> None:
    """Its served name may be another object's, or its version refused."""
    assert found(base(), endpoint(fallback=TO_SPARE), SPARE, serving=(backend("a"),), vouched=()) == {}


def test_while_the_other_endpoint_moves_to_another_version_one_of_them_answers() -> None:
    serving = (backend("a", engine=BIG2), backend("b"), backend("c", engine=BIG2))
    lent = found(base(), endpoint(fallback=TO_SPARE), SPARE, serving=serving)
    assert pods(lent["tiny"]) == ["a", "c"]


def test_an_endpoint_does_not_stand_in_for_itself() -> None:
    own = endpoint(fallback={"endpointRef": {"name": "chat"}})
    assert found(base(), own, serving=(backend("a", of="chat"),)) == {}


def test_two_endpoints_may_stand_in_for_each_other() -> None:
    chat, spare = endpoint(fallback=TO_SPARE), endpoint("spare", "big", fallback={"endpointRef": {"name": "chat"}})
    lent = found(base(), base("big"), chat, spare, serving=(backend("a"), backend("b", of="chat", engine=BIG2)))
    assert (lent["tiny"].mark, pods(lent["tiny"])) == ("endpoint/spare", ["a"])
    assert (lent["big"].mark, pods(lent["big"])) == ("endpoint/chat", ["b"])


def test_adapters_get_other_weights_only_when_their_labels_are_selected() -> None:
    chosen, other = adapter("chosen", tier="any"), adapter("other")
    named = {"adapters": {"matchLabels": {"tier": "any"}}}
    assert set(found(base(), chosen, other, endpoint(fallback={"external": EXTERNAL}))) == {"tiny"}
    assert set(found(base(), chosen, other, endpoint(fallback={"external": EXTERNAL} | named))) == {"tiny", "chosen"}
    assert set(found(base(), chosen, other, endpoint(fallback={"external": EXTERNAL} | ALL))) == {
        "tiny",
        "chosen",
        "other",
    }


def test_adapters_that_the_endpoint_does_not_carry_are_not_its_concern() -> None:
    carrying = endpoint(fallback={"external": EXTERNAL} | ALL, adapters={"selector": {"matchLabels": {"team": "a"}}})
    assert set(found(base(), adapter("mine", team="a"), adapter("theirs", team="b"), carrying)) == {"tiny", "mine"}


def test_of_several_endpoints_the_first_that_can_lends() -> None:
    first, second = endpoint("a", fallback=TO_SPARE), endpoint("b", fallback={"external": EXTERNAL})
    assert found(base(), second, first, SPARE)["tiny"].mark == "external/b"
    assert found(base(), second, first, SPARE, serving=(backend("x"),))["tiny"].mark == "endpoint/spare"


def test_nothing_leaves_the_regions() -> None:
    inside, outside = backend("in", region="eu"), backend("out", region="us")
    unknown = backend("unknown")
    chat = endpoint(regions=("eu",), fallback=TO_SPARE)
    assert pods(found(base(), chat, SPARE, serving=(inside, outside, unknown))["tiny"]) == ["in"]
    assert found(base(), chat, SPARE, serving=(outside, unknown)) == {}
    for region, lent in ((None, {}), ("us", {}), ("eu", {"tiny"})):
        external = EXTERNAL | ({"region": region} if region else {})
        assert set(found(base(), endpoint(regions=("eu",), fallback={"external": external}))) == set(lent)


REGIONS = st.sampled_from(["", "eu", "us", "asia"])


@given(
    allowed=st.lists(REGIONS.filter(bool), max_size=2, unique=True),
    serving=st.lists(st.tuples(st.sampled_from(["spare", "chat", "third"]), REGIONS), max_size=8),
)
def test_every_engine_that_may_stand_in_is_the_named_endpoints_and_in_a_region(
    allowed: list[str], serving: list[tuple[str, str]]
) -> None:
    engines = tuple(backend(f"pod-{n}", of=of, region=region) for n, (of, region) in enumerate(serving))
    lent = found(base(), endpoint(regions=tuple(allowed), fallback=TO_SPARE), SPARE, serving=engines)
    wanted = {b for b in engines if b.endpoint == "spare" and (not allowed or b.region in allowed)}
    got = lent["tiny"].target.backends if lent and lent["tiny"].target else ()
    assert set(got) == wanted
