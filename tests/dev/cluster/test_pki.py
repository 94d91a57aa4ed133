"""Certificates say who is who, are kept, and the administrator's access names the API server."""

from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import NameOID

from dev import settings
from dev.cluster import pki


@pytest.fixture
def instance(tmp_path: Path) -> settings.Settings:
    return settings.Settings("test", 3, tmp_path)


@pytest.fixture
def authority(tmp_path: Path) -> pki.Authority:
    return pki.Authority(tmp_path / "pki")


def names(path: Path, oid: x509.ObjectIdentifier) -> list[str | bytes]:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    return [attribute.value for attribute in certificate.subject.get_attributes_for_oid(oid)]


def test_a_client_is_known_by_user_and_groups(authority: pki.Authority, instance: settings.Settings) -> None:
    pair = authority.client(pki.kubelet(instance))

    assert names(pair.certificate, NameOID.COMMON_NAME) == ["system:node:test-node"]
    assert names(pair.certificate, NameOID.ORGANIZATION_NAME) == ["system:nodes"]


def test_certificates_are_kept(tmp_path: Path) -> None:
    first = pki.Authority(tmp_path).client(pki.ADMIN).certificate.read_bytes()

    assert pki.Authority(tmp_path).client(pki.ADMIN).certificate.read_bytes() == first


def test_keys_are_for_their_owner_alone(authority: pki.Authority, instance: settings.Settings, tmp_path: Path) -> None:
    kubeconfig = pki.write_kubeconfig(tmp_path / "kubeconfig", instance, authority, pki.ADMIN)

    for file in (authority.pair.key, authority.client(pki.ADMIN).key, authority.signing_key("tokens").key, kubeconfig):
        assert file.stat().st_mode & 0o077 == 0, file


def test_a_kubeconfig_names_the_api_server(
    authority: pki.Authority, instance: settings.Settings, tmp_path: Path
) -> None:
    config = yaml.safe_load(pki.write_kubeconfig(tmp_path / "kubeconfig", instance, authority, pki.ADMIN).read_text())

    assert config["clusters"][0]["cluster"]["server"] == "https://10.203.128.2:6443"
    assert config["current-context"] == "test"
