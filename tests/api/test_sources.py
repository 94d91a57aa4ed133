"""Source URIs: one grammar, for the API server and for everyone who reads one."""

import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tunefleet.api.common import SourceUriText
from tunefleet.api.sources import URI_PATTERN, Scheme, SourceUri, parse_source

PARSED = {
    "pvc://models/german/v1": SourceUri(Scheme.PVC, "models", "german/v1"),
    "pvc://models": SourceUri(Scheme.PVC, "models", ""),
    "s3://bucket/prefix/": SourceUri(Scheme.S3, "bucket", "prefix"),
    "hf://org/name": SourceUri(Scheme.HF, "org", "name"),
    "hf://org/name@main": SourceUri(Scheme.HF, "org", "name", "main"),
    "hf://org/name/adapters/de@refs/pr/1": SourceUri(Scheme.HF, "org", "name/adapters/de", "refs/pr/1"),
}
REFUSED = {
    "models/german": "has no scheme: write pvc://CLAIM/PATH",
    "gs://bucket/prefix": "gs:// is not supported; use one of pvc://, s3://, hf://",
    "s3://": "is not of the form s3://BUCKET/PREFIX",
    "s3://bucket//prefix": "is not of the form s3://BUCKET/PREFIX",
    "s3://bucket/prefix@v1": "is not of the form s3://BUCKET/PREFIX",
    "pvc://models/../other": "is not of the form pvc://CLAIM/PATH",
    "pvc://Models/german": "is not of the form pvc://CLAIM/PATH",
    "pvc://models/.hidden": "is not of the form pvc://CLAIM/PATH",
    "hf://gpt2": "is not of the form hf://ORG/NAME",
    "hf://org/name@": "is not of the form hf://ORG/NAME",
    "hf://org/name@a/../b": "is not of the form hf://ORG/NAME",
}
uris = st.one_of(
    st.from_regex(URI_PATTERN.removeprefix("^").removesuffix("$"), fullmatch=True),
    st.from_regex(r"(pvc|s3|hf|gs)://[a-zA-Z.@/_]*", fullmatch=True),
    st.text(),
)


@pytest.mark.parametrize(("uri", "parsed"), PARSED.items(), ids=PARSED)
def test_parsed(uri: str, parsed: SourceUri) -> None:
    assert parse_source(uri) == parsed


@pytest.mark.parametrize(("uri", "message"), REFUSED.items(), ids=REFUSED)
def test_refused(uri: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_source(uri)


@given(uri=uris)
@example("s3://bucket\n")
def test_the_schema_takes_what_can_be_parsed(uri: str) -> None:
    """Neither more nor less, or an object could be stored that nobody can read."""
    assert _schema_takes(uri) == _can_be_parsed(uri)


@given(uri=uris)
def test_nothing_is_lost(uri: str) -> None:
    assume(_can_be_parsed(uri))
    parsed = parse_source(uri)
    assert parse_source(str(parsed)) == parsed
    assert str(parsed) == uri.removesuffix("/")


def _schema_takes(uri: str) -> bool:
    try:
        TypeAdapter(SourceUriText).validate_python(uri)
    except ValidationError:
        return False
    return True


def _can_be_parsed(uri: str) -> bool:
    try:
        parse_source(uri)
    except ValueError:
        return False
    return len(uri) <= 1024
