"""Source URIs: one grammar, for the API server and for everyone who reads one."""

import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tunefleet.api.common import SourceUriText
from tunefleet.api.sources import URI_PATTERN, Scheme, SourceUri, parse_source

DIGEST = "sha256:" + "0123456789abcdef" * 4
COMMIT = "0123456789" * 4
PARSED = {
    "pvc://models/german/v1": SourceUri(Scheme.PVC, "models", "german/v1"),
    "pvc://models": SourceUri(Scheme.PVC, "models", ""),
    "s3://bucket/prefix/": SourceUri(Scheme.S3, "bucket", "prefix"),
    "hf://org/name": SourceUri(Scheme.HF, "org", "name"),
    "hf://org/name@main": SourceUri(Scheme.HF, "org", "name", "main"),
    "hf://org/name/adapters/de@refs/pr/1": SourceUri(Scheme.HF, "org", "name/adapters/de", "refs/pr/1"),
    "gs://bucket/prefix": SourceUri(Scheme.GS, "bucket", "prefix"),
    "az://container/prefix/": SourceUri(Scheme.AZ, "container", "prefix"),
    "https://models.example.com:8443/german/v1/": SourceUri(Scheme.HTTPS, "models.example.com:8443", "german/v1"),
    "oci://localhost:5000/team/german:v1": SourceUri(Scheme.OCI, "localhost:5000", "team/german", "v1"),
    f"oci://ghcr.io/german@{DIGEST}": SourceUri(Scheme.OCI, "ghcr.io", "german", DIGEST),
    "mlflow://german/3": SourceUri(Scheme.MLFLOW, "german", "3"),
    "mlflow://german/3/peft": SourceUri(Scheme.MLFLOW, "german", "3/peft"),
    "mlflow://german@champion": SourceUri(Scheme.MLFLOW, "german", "", "champion"),
    "mlflow://german/peft@champion": SourceUri(Scheme.MLFLOW, "german", "peft", "champion"),
}
REFUSED = {
    "models/german": "has no scheme: write pvc://CLAIM/PATH",
    "ftp://host/path": "ftp:// is not supported; use one of pvc://, s3://, gs://, az://, hf://, oci://, https://, mlflow://",
    "http://host/path": "http:// is not supported",
    "https://user:password@host/path": "is not of the form https://HOST/PATH",
    "https://host/path?signature=x": "is not of the form https://HOST/PATH",
    "https://host/../path": "is not of the form https://HOST/PATH",
    "az://Container/path": "is not of the form az://CONTAINER/PREFIX",
    "oci://ghcr.io/german": "is not of the form oci://REGISTRY/REPOSITORY:TAG",
    "oci://ghcr.io/German:v1": "is not of the form oci://REGISTRY/REPOSITORY:TAG",
    "oci://ghcr.io/german@sha256:0": "is not of the form oci://REGISTRY/REPOSITORY:TAG",
    "oci://ghcr.io:v1": "is not of the form oci://REGISTRY/REPOSITORY:TAG",
    "mlflow://german": "is not of the form mlflow://NAME/VERSION",
    "mlflow://german/latest": "is not of the form mlflow://NAME/VERSION",
    "mlflow://german@": "is not of the form mlflow://NAME/VERSION",
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
    st.from_regex(r"(pvc|s3|hf|gs|az|oci|https?|mlflow)://[a-zA-Z0-9.:@/_]*", fullmatch=True),
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


@pytest.mark.parametrize(
    ("asked", "resolved"),
    [
        ("hf://org/name", f"hf://org/name@{COMMIT}"),
        ("hf://org/name/de@main", f"hf://org/name/de@{COMMIT}"),
        ("oci://ghcr.io/german:v1", f"oci://ghcr.io/german@{DIGEST}"),
        ("mlflow://german@champion", "mlflow://german/3"),
        ("mlflow://german/peft@champion", "mlflow://german/3/peft"),
        ("s3://bucket/a", "s3://bucket/a"),
        ("mlflow://german/3", "mlflow://german/3"),
    ],
)
def test_what_a_reference_may_be_resolved_to(asked: str, resolved: str) -> None:
    assert parse_source(asked).may_be(parse_source(resolved))


@pytest.mark.parametrize(
    ("asked", "resolved"),
    [
        (f"hf://org/name@{COMMIT}", f"hf://org/name@{COMMIT[::-1]}"),
        ("hf://org/name", f"hf://org/other@{COMMIT}"),
        ("oci://ghcr.io/german:v1", f"oci://ghcr.io/other@{DIGEST}"),
        (f"oci://ghcr.io/german@{DIGEST}", f"oci://ghcr.io/german@{DIGEST[:-1]}e"),
        ("mlflow://german/3", "mlflow://german/4"),
        ("mlflow://german/peft@champion", "mlflow://german/3"),
        ("mlflow://german@champion", "mlflow://german/3/peft"),
        ("s3://bucket/a", "s3://bucket/b"),
    ],
)
def test_what_a_reference_cannot_be_resolved_to(asked: str, resolved: str) -> None:
    assert not parse_source(asked).may_be(parse_source(resolved))


def test_a_moving_reference_at_what_it_was_resolved_to() -> None:
    assert str(parse_source("hf://org/name/de@main").at(COMMIT)) == f"hf://org/name/de@{COMMIT}"
    assert str(parse_source("oci://ghcr.io/german:v1").at(DIGEST)) == f"oci://ghcr.io/german@{DIGEST}"
    assert str(parse_source("mlflow://german/peft@champion").at("3")) == "mlflow://german/3/peft"


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
