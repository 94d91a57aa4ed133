"""What a policy may say, and that a slip in it never gives more."""

import json

import pytest

from tunefleet.api.api_key import MAX_POLICY_BYTES, ApiKeyPolicy, ModelRule, read_policy


def test_nothing_said_allows_everything() -> None:
    assert read_policy("") == ApiKeyPolicy()
    assert ApiKeyPolicy().models is None


def test_yaml_and_json_say_the_same() -> None:
    yaml = """
        models:
        - names: [support-*, german]
          namespaces: [team-a]
          selector: {matchLabels: {tier: gold}}
        requestsPerMinute: 60
        tokensPerMinute: 9000
        maxConcurrentRequests: 4
        expires: 2027-01-31T00:00:00Z
    """
    policy = read_policy(yaml)
    assert read_policy(json.dumps(policy.dump())) == policy
    assert (policy.requests_per_minute, policy.tokens_per_minute, policy.max_concurrent_requests) == (60, 9000, 4)
    assert policy.models == (
        ModelRule.read(
            {"names": ["support-*", "german"], "namespaces": ["team-a"], "selector": {"matchLabels": {"tier": "gold"}}}
        ),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("requestPerMinute: 5", "policy.requestPerMinute: Extra inputs are not permitted"),
        ("models: [{selector: {matchLables: {a: b}}}]", "policy.models.0.selector.matchLables: Extra"),
        ("models: [{name: german}]", "policy.models.0.name: Extra"),
        ("models: [{names: ['a*b']}]", "policy.models.0.names.0: String should match"),
        ("requestsPerMinute: 0", "policy.requestsPerMinute: Input should be greater than or equal to 1"),
        ("expires: 2027-01-31T00:00:00", "policy.expires: Input should have timezone info"),
        ("[]", "policy: Input should be a valid dictionary"),
        ("{", "policy is neither YAML nor JSON"),
        ("a: " + "x" * MAX_POLICY_BYTES, "policy is larger than 65536 bytes"),
    ],
)
def test_a_slip_is_an_error_that_says_where(text: str, words: str) -> None:
    with pytest.raises(ValueError, match="policy") as refused:
        read_policy(text)
    assert words in str(refused.value)
