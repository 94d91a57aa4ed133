"""Every write that Tunefleet makes to objects, each guarded by the fence.

Server-side apply with two field managers: `tunefleet` for children, `tunefleet-status` for statuses. We say what we
want of an object and own just these fields; a field that an earlier manifest had and this one lacks is taken away.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tunefleet.api.names import FIELD_MANAGER, MANAGED_BY, MANAGER, STATUS_FIELD_MANAGER

from .client import METADATA_ONLY, ApiError, Client, Json
from .fence import Fence, write_allowed
from .resources import RESOURCES

Manifest = Mapping[str, Any]
NOT_FOUND = 404
CONFLICT = 409


class NotOursError(Exception):
    """An object of that name exists and belongs to somebody else; it is left alone."""


class Target(NamedTuple):
    """An object by kind and name."""

    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, manifest: Manifest) -> "Target":
        """What a manifest is about."""
        metadata = manifest["metadata"]
        return cls(manifest["kind"], metadata.get("namespace", ""), metadata["name"])


class Writer:
    """Applies, statuses and deletions, as long as the fence allows them.

    Every call raises ApiError, LeadershipLostError, and TimeoutError or aiohttp.ClientError when there is no answer.
    """

    def __init__(
        self, client: Client, fence: Fence, on_write: Callable[[str, str], None] = lambda _verb, _kind: None
    ) -> None:
        """`on_write` is told verb and kind of each write that is sent."""
        self.client = client
        self._fence = fence
        self._on_write = on_write

    async def apply(self, manifest: Manifest, *, resource_version: str | None) -> Json:
        """Apply a whole manifest; the object as it is now, a Secret without its data.

        With a `resource_version` the object must exist in just that version (else ApiError 409). Without one it must
        not exist, or be ours already: fields are taken over by force, and that must never happen to an object of
        somebody else. Raises NotOursError then.
        """
        target = Target.of(manifest)
        if resource_version is None:
            await self._check_free(target, manifest)
        version = {"resourceVersion": resource_version} if resource_version is not None else {}
        body = {**manifest, "metadata": {**manifest["metadata"], **version}}
        return without_data(await self._apply(target, body, FIELD_MANAGER))

    async def apply_status(self, target: Target, status: Mapping[str, Any], *, uid: str, resource_version: str) -> Json:
        """Make this the whole status; a field left out is taken away. The object as it is now.

        ApiError 409 when the object is another one by now or was changed after `resource_version`: what was decided
        on an older state is to be decided again.
        """
        metadata = {"name": target.name, "namespace": target.namespace, "uid": uid, "resourceVersion": resource_version}
        api_version = RESOURCES[target.kind].api_version
        body = {"apiVersion": api_version, "kind": target.kind, "metadata": metadata, "status": status}
        return await self._apply(target, body, STATUS_FIELD_MANAGER, subresource="status")

    async def delete(self, target: Target, *, uid: str) -> Json | None:
        """Delete the object while it still has this uid; its own children go in the background.

        Returns the object when it stays for a while with a deletionTimestamp, None when it is gone.
        ApiError 409 when another object has the name by now.
        """
        async with write_allowed(self._fence, lambda: self._on_write("delete", target.kind)):
            try:
                answer = await self.client.delete(RESOURCES[target.kind], target.namespace, target.name, uid=uid)
            except ApiError as error:
                if error.status == NOT_FOUND:
                    return None
                raise
        return answer if answer["metadata"].get("deletionTimestamp") else None

    async def create(self, manifest: Manifest) -> Json:
        """Create an object. ApiError 409 when the name is taken."""
        target = Target.of(manifest)
        async with write_allowed(self._fence, lambda: self._on_write("create", target.kind)):
            return await self.client.create(RESOURCES[target.kind], target.namespace, manifest)

    async def read_metadata(self, target: Target) -> Json | None:
        """Kind and metadata of an object, None when it does not exist."""
        resource = RESOURCES[target.kind]
        try:
            found = await self.client.get(resource, target.namespace, target.name, accept=METADATA_ONLY)
        except ApiError as error:
            if error.status == NOT_FOUND:
                return None
            raise
        return {"apiVersion": resource.api_version, "kind": target.kind, "metadata": found["metadata"]}

    async def _apply(self, target: Target, body: Manifest, manager: str, subresource: str | None = None) -> Json:
        resource = RESOURCES[target.kind]
        kind = f"{target.kind}/{subresource}" if subresource else target.kind
        async with write_allowed(self._fence, lambda: self._on_write("apply", kind)):
            return await self.client.apply(
                resource, target.namespace, target.name, body, field_manager=manager, subresource=subresource
            )

    async def _check_free(self, target: Target, manifest: Manifest) -> None:
        found = await self.read_metadata(target)
        if found is not None and not is_ours(found, manifest):
            raise NotOursError(
                f"{target.kind} {target.namespace}/{target.name} exists and was not made by Tunefleet;"
                " rename or delete it, or rename the object that needs it"
            )


def is_ours(found: Manifest, manifest: Manifest) -> bool:
    """Labelled as ours, or owned by the object that the manifest belongs to."""
    labels = found["metadata"].get("labels") or {}
    return labels.get(MANAGED_BY) == MANAGER or bool(_owners(found) & _owners(manifest))


def without_data(obj: Json) -> Json:
    """The object; of a Secret everything but its contents."""
    return {
        key: value for key, value in obj.items() if obj.get("kind") != "Secret" or key not in {"data", "stringData"}
    }


def _owners(obj: Manifest) -> set[str]:
    return {owner["uid"] for owner in obj["metadata"].get("ownerReferences") or ()}
