"""A user who applies manifests and reads what kubectl says."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from dev.shell import CommandFailedError, Shell

from .manifests import Json


@dataclass(frozen=True)
class User:
    """kubectl in one namespace."""

    shell: Shell
    namespace: str

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """`kubectl -n NAMESPACE …`. Raises CommandFailedError."""
        return self.shell.kubectl("-n", self.namespace, *arguments, stdin=stdin)

    def create(self, manifest: Json) -> Json:
        """The object as the API server stored it."""
        created: Json = json.loads(self.kubectl("create", "-f", "-", "-o", "json", stdin=json.dumps(manifest)))
        return created

    def dry_run(self, manifest: Json) -> Json:
        """The object as the API server would store it."""
        answer: Json = json.loads(
            self.kubectl("create", "-f", "-", "--dry-run=server", "-o", "json", stdin=json.dumps(manifest))
        )
        return answer

    def patch(self, target: str, spec: Json) -> None:
        """`kubectl patch TARGET --type merge`, of the spec."""
        self.kubectl("patch", target, "--type=merge", f"--patch={json.dumps({'spec': spec})}")

    def report(self, target: str, status: Json) -> None:
        """Write a status, as the operator would."""
        patch = json.dumps({"status": status})
        self.kubectl("patch", target, "--subresource=status", "--type=merge", f"--patch={patch}")

    def get(self, target: str, path: str) -> str:
        """One field, by JSONPath."""
        return self.kubectl("get", target, "-o", f"jsonpath={{{path}}}")


def refusal(action: Callable[[], Any]) -> str:
    """What kubectl says when the API server refuses. Fails when it does not."""
    with pytest.raises(CommandFailedError) as caught:
        action()
    return str(caught.value).partition("\n")[2]


def complaints(said: str) -> tuple[str, ...]:
    """What is wrong, one sentence each, without the API server's remark that it may not have looked at everything."""
    listed = said.partition(" is invalid: ")[2].removeprefix("\n* ").split("\n* ")
    return tuple(each for each in listed if not each.startswith("<nil>: Invalid value: null: some validation rules"))
