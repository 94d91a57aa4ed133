"""Keys on a real API server: made once, never shown again, rotated and revoked."""

import json
import subprocess
from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from tests.cli.session import BIN, Ended, Session
from tunefleet.plan.keys import KeyHash, KeyHolder, holder_of, looks_right

pytestmark = pytest.mark.apiserver


@dataclass(frozen=True)
class Keys:
    """`tunefleet keys`, with the session's namespace for the keys."""

    session: Session

    def run(self, *arguments: str, namespace: str | None = None) -> Ended:
        done = subprocess.run(
            [str(BIN / "tunefleet"), "keys", *arguments, "--keys-namespace", namespace or self.session.namespace],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            env=self.session.environment(),
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def make(self, *arguments: str) -> str:
        """The key that `create` or `rotate` prints."""
        ended = self.run(*arguments)
        assert ended.code == 0, ended.err
        assert looks_right(ended.out.strip())
        return ended.out.strip()

    def holder(self, name: str) -> KeyHolder:
        return holder_of(self.session.get(f"secret/{name}"))

    def digests(self, name: str) -> list[str]:
        return [key.digest for key in self.holder(name).hashes]

    def put(self, name: str, **data: str) -> None:
        self.session.create(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "type": "tunefleet.io/api-key",
                "metadata": {"name": name},
                "data": {entry: b64encode(text.encode()).decode() for entry, text in data.items()},
            }
        )


@pytest.fixture
def keys(session: Session) -> Keys:
    return Keys(session)


def test_a_key_is_printed_once_and_only_its_hash_is_stored(keys: Keys) -> None:
    ended = keys.run(
        "create", "bot", "--models", "support-*,german", "--models", "pirate", "--model-namespace", "team-a",
        "--selector", "tier=gold,team=a", "--requests-per-minute", "60", "--tokens-per-minute", "9000",
        "--max-concurrent", "4", "--expires", "90d",
    )  # fmt: skip
    key = ended.out.strip()
    assert (ended.code, looks_right(key)) == (0, True)
    assert ended.err == "bot: this key is shown once and stored nowhere; keep it now.\n"
    secret = keys.session.get("secret/bot")
    assert secret["type"] == "tunefleet.io/api-key"
    assert key not in json.dumps(secret) + "".join(b64decode(text).decode() for text in secret["data"].values())
    holder = holder_of(secret)
    assert holder.hashes == (KeyHash.of(key),)
    expires = holder.policy.expires
    assert expires is not None
    assert timedelta(days=89) < expires - datetime.now(UTC) < timedelta(days=91)
    assert holder.policy.dump() == {
        "models": [
            {
                "names": ["support-*", "german", "pirate"],
                "namespaces": ["team-a"],
                "selector": {"matchLabels": {"tier": "gold", "team": "a"}},
            }
        ],
        "requestsPerMinute": 60,
        "tokensPerMinute": 9000,
        "maxConcurrentRequests": 4,
        "expires": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    for command in (("list",), ("list", "-o", "json"), ("show", "bot"), ("show", "bot", "-o", "yaml")):
        shown = keys.run(*command)
        assert shown.code == 0
        assert key not in shown.out + shown.err


def test_programs_get_the_key_in_a_document(keys: Keys) -> None:
    ended = keys.run("create", "bot", "-o", "json")
    (made,) = json.loads(ended.out)
    assert made == {"name": "bot", "key": made["key"], "sha256": KeyHash.of(made["key"]).digest, "expires": None}


def test_a_holder_is_made_once(keys: Keys) -> None:
    keys.make("create", "bot")
    before = keys.session.get("secret/bot")
    again = keys.run("create", "bot", "--requests-per-minute", "5")
    assert (again.code, again.out) == (1, "")
    assert "there is a Secret bot" in again.err
    assert "`tunefleet keys rotate bot`" in again.err
    assert keys.session.get("secret/bot") == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "bot", "--models", "a*b"), "Error: policy.models.0.names.0: String should match pattern"),
        (("create", "bot", "--selector", "tier"), "'tier' is no list of LABEL=VALUE"),
        (("create", "bot", "--expires", "soon"), "'soon' is no duration: write it as 90s, 10m, 2h or 30d"),
        (("create", "bot", "--expires", "99999999d"), "that is too far away: write never"),
        (("create", "bot", "--requests-per-minute", "-1"), "-1 is not in the range x>=0"),
        (("create", "bot", "--models", "a", "--all-models"), "--all-models leaves nothing to select"),
        (("set", "bot"), "say what to change, such as --requests-per-minute 600"),
        (("rotate", "bot", "--keep", "99999d"), "keep former keys for ten years at most"),
    ],
)
def test_wrong_usage_stores_nothing(keys: Keys, arguments: tuple[str, ...], said: str) -> None:
    ended = keys.run(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert keys.run("list").out == ""


def test_a_name_that_kubernetes_refuses(keys: Keys) -> None:
    ended = keys.run("create", "Support_Bot")
    assert (ended.code, ended.out) == (1, "")
    assert "metadata.name: Invalid value" in ended.err


def test_a_namespace_that_does_not_exist(keys: Keys) -> None:
    ended = keys.run("create", "bot", namespace="nowhere")
    assert (ended.code, ended.out) == (1, "")
    assert "there is no namespace nowhere: the chart makes it with gateway.auth=keys" in ended.err


def test_the_list_says_who_may_what(keys: Keys) -> None:
    assert "nobody has a key" in keys.run("list").err
    keys.make("create", "all")
    keys.make("create", "bot", "--models", "support-*", "--requests-per-minute", "60")
    keys.put("bad", hashes="tf_slip")
    keys.put("old", hashes="a" * 64 + " 2020-01-01T00:00:00Z")
    keys.session.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "other"}})
    lines = keys.run("list").out.splitlines()
    assert lines[0].split() == [
        "NAME", "KEYS", "MODELS", "REQUESTS/MIN", "TOKENS/MIN", "CONCURRENT", "EXPIRES", "CREATED", "STATUS",
    ]  # fmt: skip
    rows = {line.split()[0]: line.split()[1:] for line in lines[1:]}
    assert list(rows) == ["all", "bad", "bot", "old"]
    assert rows["all"][:6] == ["1", "all", "-", "-", "-", "-"]
    assert rows["bot"][:3] == ["1", "support-*", "60"]
    assert (rows["bot"][-1], rows["old"][-1]) == ("Valid", "Expired")
    assert "Unreadable: hashes, line 1: write 64 lowercase hexadecimal digits" in lines[2]
    by_name = {row["name"]: row for row in json.loads(keys.run("list", "-o", "json").out)}
    assert {name: row["status"] for name, row in by_name.items()} == {
        "all": "Valid", "bad": "Unreadable", "bot": "Valid", "old": "Expired",
    }  # fmt: skip


def test_one_holder_with_its_keys(keys: Keys) -> None:
    keys.make("create", "bot")
    keys.make("rotate", "bot", "--keep", "1h")
    first, second = keys.digests("bot")
    blocks = keys.run("show", "bot").out.split("\n\n")
    assert [line.split()[0] for line in blocks[1].splitlines()] == ["HASH", first[:8], second[:8]]
    (shown,) = yaml.safe_load(keys.run("show", "bot", "-o", "yaml").out)
    assert [key["sha256"] for key in shown["keys"]] == [first, second]
    assert shown["keys"][0]["expires"] is None


def test_a_policy_is_changed_where_something_is_said(keys: Keys) -> None:
    key = keys.make("create", "bot", "--models", "support-*", "--requests-per-minute", "5", "--expires", "1d")

    def policy(*arguments: str) -> dict[str, Any]:
        ended = keys.run("set", "bot", *arguments)
        assert (ended.code, ended.out.splitlines()[0].split()[0]) == (0, "NAME"), ended.err
        holder = keys.holder("bot")
        assert holder.hashes == (KeyHash.of(key),)
        return holder.policy.dump()

    changed = policy("--tokens-per-minute", "900", "--expires", "never")
    models = [{"names": ["support-*"], "namespaces": [], "selector": {"matchLabels": {}}}]
    assert changed == {"models": models, "requestsPerMinute": 5, "tokensPerMinute": 900}
    assert policy("--requests-per-minute", "0", "--all-models") == {"tokensPerMinute": 900}
    assert policy("--selector", "tier=gold")["models"][0]["selector"] == {"matchLabels": {"tier": "gold"}}
    keys.put("none", hashes="a" * 64, policy="models: []")
    assert keys.run("set", "none", "--max-concurrent", "2").code == 0
    assert keys.holder("none").policy.dump() == {"models": [], "maxConcurrentRequests": 2}


def test_rotation_gives_another_key_and_keeps_the_former_for_a_while(keys: Keys) -> None:
    first = keys.make("create", "bot", "--requests-per-minute", "5")
    ended = keys.run("rotate", "bot", "--keep", "2h")
    second = ended.out.strip()
    assert f"bot: key {KeyHash.of(first).digest[:8]} works until 20" in ended.err
    holder = keys.holder("bot")
    new, former = holder.hashes
    assert (new, former.digest) == (KeyHash.of(second), KeyHash.of(first).digest)
    assert former.expires is not None
    assert timedelta(hours=1.9) < former.expires - datetime.now(UTC) <= timedelta(hours=2)
    assert holder.policy.requests_per_minute == 5
    third = keys.make("rotate", "bot", "--keep", "0")
    assert keys.holder("bot").hashes == (KeyHash.of(third),)


def test_rotation_stops_where_gateways_would_read_no_more(keys: Keys) -> None:
    keys.put("bot", hashes="\n".join(digit * 64 for digit in "abcdef01"))
    ended = keys.run("rotate", "bot")
    assert (ended.code, ended.out) == (1, "")
    assert "8 keys of bot work, which is the most: revoke one by its --hash first" in ended.err


def test_keys_that_ended_by_policy_are_not_rotated(keys: Keys) -> None:
    keys.put("bot", hashes="a" * 64, policy="expires: 2020-01-01T00:00:00Z")
    ended = keys.run("rotate", "bot")
    assert (ended.code, ended.out) == (1, "")
    assert "the keys of bot ended at 2020-01-01T00:00:00Z by its policy" in ended.err


def test_one_key_is_revoked_by_its_hash(keys: Keys) -> None:
    keys.put("bot", hashes="ab" * 32 + "\n" + "ac" * 32, policy="requestsPerMinute: 5 # as agreed")
    for prefix, said in (
        ("a", "'a' is the begin of several hashes of bot: abababab, acacacac"),
        ("f", "'f' is the begin of no hash of bot: abababab, acacacac"),
    ):
        ended = keys.run("revoke", "bot", "--hash", prefix)
        assert (ended.code, said in ended.err) == (1, True)
    assert keys.run("revoke", "bot", "--hash", "ab").out == "bot: key abababab revoked, 1 left\n"
    assert keys.digests("bot") == ["ac" * 32]
    policy = keys.session.get("secret/bot")["data"]["policy"]
    assert b64decode(policy) == b"requestsPerMinute: 5 # as agreed"


def test_a_holder_is_revoked_whole_readable_or_not(keys: Keys) -> None:
    keys.make("create", "bot")
    keys.put("bad", hashes="tf_slip")
    for name in ("bot", "bad"):
        assert keys.run("revoke", name).out == f"{name} revoked\n"
    assert keys.run("list").out == ""


def test_whoever_is_not_there_is_not_revoked(keys: Keys) -> None:
    keys.make("create", "support-bot")
    ended = keys.run("revoke", "suport-bot")
    assert (ended.code, ended.out) == (1, "")
    assert "did you mean support-bot?" in ended.err
    keys.session.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "other"}})
    for command in ("show", "rotate", "revoke"):
        ended = keys.run(command, "other")
        assert (ended.code, "its type is not tunefleet.io/api-key" in ended.err) == (1, True)
    assert keys.session.get("secret/other")


def test_what_cannot_be_read_is_not_changed(keys: Keys) -> None:
    keys.put("bad", hashes="a" * 64, policy="limit: 5")
    before: dict[str, Any] = keys.session.get("secret/bad")
    for command in ("show", "rotate"):
        ended = keys.run(command, "bad")
        assert (ended.code, "policy.limit: Extra inputs are not permitted" in ended.err) == (1, True)
    assert keys.session.get("secret/bad") == before
