"""Derived keys: the same for the same endpoint, different for everything else."""

import hmac

import pytest

from tunefleet.plan.credentials import derive, endpoint_credentials


def test_the_derivation_is_pinned() -> None:
    """Operator and gateway of different versions must agree, so this may never change."""
    message = b"\x00\x00\x00\x06engine\x00\x00\x00\x02ml\x00\x00\x00\x04chat"
    assert derive(b"key", "engine", "ml", "chat") == hmac.new(b"key", message, "sha256").hexdigest()


def test_parts_cannot_be_shifted_into_each_other() -> None:
    assert derive(b"k", "engine", "ml", "chat") != derive(b"k", "engine", "mlc", "hat")
    assert derive(b"k", "engine", "ml", "chat") != derive(b"k", "enginem", "l", "chat")


def test_the_three_differ_and_only_the_operators_key_gives_the_write_token() -> None:
    both = endpoint_credentials(b"operator", b"gateway", "ml", "chat")
    other = endpoint_credentials(b"another", b"gateway", "ml", "chat")
    assert len({both.engine_key, both.agent_read_token, both.agent_write_token}) == 3
    assert (both.engine_key, both.agent_read_token) == (other.engine_key, other.agent_read_token)
    assert both.agent_write_token != other.agent_write_token


def test_an_empty_key_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        derive(b"", "engine", "ml", "chat")
