"""Which adapters an endpoint carries, and which endpoints carry an adapter."""

from collections.abc import Mapping

from tunefleet.api.inference_endpoint import InferenceEndpoint
from tunefleet.api.lora_adapter import LoRAAdapter

from .facts import Facts, Key
from .served_names import seniority


def selects(endpoint: InferenceEndpoint, adapter: LoRAAdapter) -> bool:
    """By namespace, base and labels."""
    meta = adapter.metadata
    return carries(endpoint, Key(meta.namespace, adapter.spec.base_model_ref.name), meta.labels)


def carries(endpoint: InferenceEndpoint, base: Key, labels: Mapping[str, str]) -> bool:
    """The same for an adapter of this base, of the base's namespace, with these labels."""
    wanted = endpoint.spec.adapters.selector.match_labels.items()
    return Key(endpoint.metadata.namespace, endpoint.spec.model.name) == base and wanted <= labels.items()


def selected_adapters(facts: Facts, endpoint: InferenceEndpoint) -> tuple[LoRAAdapter, ...]:
    """Adapters that the endpoint carries, oldest first; none that is going, none whose name is another's."""
    found = (
        adapter
        for adapter in facts.adapters.values()
        if selects(endpoint, adapter)
        and not adapter.metadata.deletion_timestamp
        and facts.name_owners[adapter.served_name] is adapter
    )
    return tuple(sorted(found, key=seniority))


def carrying_endpoints(facts: Facts, adapter: LoRAAdapter) -> tuple[InferenceEndpoint, ...]:
    """Endpoints that carry the adapter, by name."""
    found = (e for e in facts.endpoints.values() if selects(e, adapter) and not e.metadata.deletion_timestamp)
    return tuple(sorted(found, key=lambda e: e.metadata.name))
