"""What goes wrong is one sentence that says what to do, with an exit code that scripts can tell apart."""

from pathlib import Path

import pytest
import yaml

from tests.cli.objects import adapter, adapter_status, endpoint, endpoint_status, served
from tests.cli.session import Session
from tunefleet.cli.access import Access
from tunefleet.cli.cluster import connected
from tunefleet.cli.errors import CommandError
from tunefleet.cli.subject import Subject
from tunefleet.kube.resources import RESOURCES, Resource

pytestmark = pytest.mark.apiserver

FIRST = {"model": {"name": "tiny", "version": 1}}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("history", "pod", "x"),
         "Error: 'pod' is no type that this command knows: write lora (loraadapter) or iep (inferenceendpoint)"),
        (("promote", "lora", "german"), "Error: arguments after the name: too few"),
        (("promote", "lora", "german", "four"), "Error: 'four' is no version: write its number, such as 4"),
        (("promote", "iep", "chat", "2"), "Error: 'iep' is no type that this command knows: write lora (loraadapter)"),
        (("history", "lora"), "Error: name the LoRAAdapter: lora NAME or lora/NAME"),
        (("diff", "lora", "german", "1", "2", "3"), "Error: arguments after the name: too many, from '3' on"),
        (("rollback", "lora", "german", "--with-adapters"), "Error: --with-adapters is for an endpoint"),
        (("promote", "lora", "german", "2", "--timeout", "soon"),
         "Error: Invalid value for '--timeout': 'soon' is no duration: write it as 90s, 10m, 2h or 30d"),
    ],
)  # fmt: skip
def test_wrong_usage(session: Session, arguments: tuple[str, ...], said: str) -> None:
    ended = session.run(*arguments)
    assert ended.code == 2
    assert ended.err.splitlines()[-1] == said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("history", "lora", "germn"), "there is no LoRAAdapter germn in namespace {}; did you mean german?"),
        (("history", "lora", "zzz"), "there is no LoRAAdapter zzz in namespace {}; there are german"),
        (("history", "iep", "chat"),
         "there is no InferenceEndpoint chat in namespace {}; it has none: name another namespace by -n"),
        (("promote", "lora", "german", "9"),
         "lora/german lists no version 9; it has 1, 2, 3: add it to spec.versions first"),
        (("rollback", "lora", "german"), "no version of lora/german served before: name one by --to"),
        (("diff", "lora", "german", "1", "9"), "lora/german has no version 9; it has 1, 2, 3"),
    ],
)  # fmt: skip
def test_what_is_not_there(session: Session, arguments: tuple[str, ...], said: str) -> None:
    served(session)
    ended = session.run(*arguments)
    assert (ended.code, ended.err) == (1, f"Error: {said.format(session.namespace)}\n")


def test_a_refused_version_is_not_promoted(session: Session) -> None:
    session.create(adapter())
    bad = {"version": 2, "accepted": False, "reason": "NotFinite", "message": "a tensor holds NaN"}
    session.report("lora/german", adapter_status(versions=[bad]))
    ended = session.run("promote", "lora", "german", "2")
    assert (ended.code, ended.err) == (1, "Error: version 2 of lora/german is refused: a tensor holds NaN\n")


def test_an_endpoint_without_a_past(session: Session) -> None:
    session.create(endpoint())
    session.report("iep/chat", endpoint_status(FIRST))
    ended = session.run("rollback", "iep", "chat")
    assert ended.err == "Error: status.history of iep/chat has no revision before the present one\n"
    ended = session.run("rollback", "iep", "chat", "--to", "nope")
    assert ended.err == "Error: status.history of iep/chat has no revision nope; it has chat-00000000\n"


def test_who_may_not_is_told(session: Session, tmp_path: Path) -> None:
    """A service account that may read and not write."""
    served(session)
    session.kubectl("create", "serviceaccount", "reader")
    session.kubectl("create", "role", "reader", "--verb=get,list", "--resource=loraadapters.tunefleet.io")
    session.kubectl("create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={session.namespace}:reader")
    config = yaml.safe_load(session.shell.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": session.kubectl("create", "token", "reader").strip()}
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    ended = session.run("promote", "lora", "german", "2", "--kubeconfig", str(path))
    assert ended.code == 1
    assert ended.err.startswith('Error: you may not do this: loraadapters.tunefleet.io "german" is forbidden: User ')
    assert session.get("lora/german")["spec"]["activeVersion"] == 1
    config["users"][0]["user"] = {"token": "stale"}
    path.write_text(yaml.safe_dump(config))
    assert session.run("history", "lora", "german", "--kubeconfig", str(path)).err == (
        "Error: the API server refuses your credentials: log in anew, or name another context by --context\n"
    )


def test_no_cluster_is_told(session: Session, tmp_path: Path) -> None:
    config = yaml.safe_load(session.shell.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    ended = session.run("history", "lora", "german", "--kubeconfig", str(path))
    assert ended.code == 1
    assert ended.err.startswith("Error: the API server https://127.0.0.1:9 does not answer: ")
    ended = session.run("history", "lora", "german", "--context", "nowhere")
    assert ended.code == 1
    assert ended.err.startswith("Error: No way to an API server: ")
    ended = session.run("history", "lora", "german", KUBECONFIG=str(tmp_path / "none"))
    assert ended.err.startswith("Error: No way to an API server: ")


async def test_a_cluster_without_the_kinds_is_told(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = Resource("unknown.tunefleet.io/v1", "loraadapters")
    monkeypatch.setitem(RESOURCES, "LoRAAdapter", unknown)
    async with connected(Access(str(kubeconfig), None, "default")) as cluster:
        with pytest.raises(CommandError, match="this cluster does not know Tunefleet's kinds: install the CRDs"):
            await cluster.read(Subject("LoRAAdapter", "german"))
