"""The reference says everything that is told."""

import msgspec

from tunefleet.gateway import telemetry_reference
from tunefleet.gateway.audit_line import AuditLine
from tunefleet.gateway.names import FAMILIES, HEADERS


def test_every_field_of_the_audit_line_is_explained() -> None:
    found = telemetry_reference.audit_fields()
    assert found.keys() == {field.encode_name for field in msgspec.structs.fields(AuditLine)}
    assert all(found.values())


def test_every_metric_and_header_is_named() -> None:
    (text,) = telemetry_reference.files().values()
    assert [family.name for family in FAMILIES if f"`{family.name}`" not in text] == []
    assert [line for line in HEADERS if f"`{line}`" not in text] == []
