"""Certificates as pure cryptography: what we sign, and what we refuse to sign."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store

from roadstead.core.provisioning import authority
from roadstead.core.provisioning.authority import KeyPair, Revocation
from roadstead.kernel import time
from roadstead.kernel.errors import Invalid
from roadstead.kernel.ids import new_id

NOW = time.now()


@pytest.fixture(scope="module")
def root() -> KeyPair:
    return authority.make_root(new_id(), NOW)


@pytest.fixture(scope="module")
def intermediate(root: KeyPair) -> KeyPair:
    return authority.make_intermediate(root, new_id(), NOW)


def request_for(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, **names: str) -> str:
    """A signing request in PEM form."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names.get("common_name", "whoever I want"))])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("evil.test")]), critical=False)
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()


def test_a_device_certificate_says_who_the_device_is_whatever_it_asked_for(intermediate: KeyPair) -> None:
    key = authority.read_signing_request(request_for(ec.generate_private_key(ec.SECP256R1())))
    organization, device = new_id(), new_id()
    certificate = authority.issue_device_certificate(
        intermediate, key, organization=organization, device=device, now=NOW, revocation_url="https://iot.test/crl"
    )

    assert certificate.subject.rfc4514_string() == f"CN={device},O={organization}"
    assert list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.CLIENT_AUTH
    ]
    with pytest.raises(x509.ExtensionNotFound):
        certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert certificate.not_valid_after_utc == (NOW + timedelta(days=365)).replace(microsecond=0)
    assert certificate.serial_number.bit_length() > 120
    (point,) = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert [name.value for name in point.full_name or ()] == ["https://iot.test/crl"]


def test_without_a_public_address_a_certificate_names_no_revocation_list(intermediate: KeyPair) -> None:
    certificate = authority.issue_device_certificate(
        intermediate,
        ec.generate_private_key(ec.SECP256R1()).public_key(),
        organization=new_id(),
        device=new_id(),
        now=NOW,
        revocation_url="",
    )
    with pytest.raises(x509.ExtensionNotFound):
        certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints)


def test_a_server_certificate_is_good_for_its_names_under_our_root(root: KeyPair, intermediate: KeyPair) -> None:
    server = authority.issue_server_certificate(intermediate, ["iot.test", "127.0.0.1", "iot.test"], NOW)
    policy = PolicyBuilder().store(Store([root.certificate])).time(NOW)

    policy.build_server_verifier(x509.DNSName("iot.test")).verify(server.certificate, [intermediate.certificate])
    names = server.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert len(list(names)) == 2
    with pytest.raises(x509.verification.VerificationError):
        policy.build_server_verifier(x509.DNSName("other.test")).verify(server.certificate, [intermediate.certificate])


def test_an_extended_intermediate_still_vouches_for_what_it_signed_before(root: KeyPair, intermediate: KeyPair) -> None:
    server = authority.issue_server_certificate(intermediate, ["iot.test"], NOW)
    later = authority.extend_intermediate(root, intermediate, NOW + timedelta(days=10))

    verifier = PolicyBuilder().store(Store([root.certificate])).time(NOW + timedelta(days=11))
    verifier.build_server_verifier(x509.DNSName("iot.test")).verify(server.certificate, [later.certificate])
    assert later.certificate.not_valid_after_utc > intermediate.certificate.not_valid_after_utc


@pytest.mark.parametrize("bits", [2048, 3072])
def test_rsa_keys_of_2048_bits_and_more_are_signed(bits: int) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    assert authority.read_signing_request(request_for(key)).key_size == bits


def small_rsa() -> str:
    return request_for(rsa.generate_private_key(public_exponent=65537, key_size=1024))


def other_curve() -> str:
    return request_for(ec.generate_private_key(ec.SECP384R1()))


def forged() -> str:
    """A request whose signature was made for another subject."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.load_pem_x509_csr(request_for(key, common_name="aaaaaaaa").encode()).public_bytes(Encoding.DER)
    return x509.load_der_x509_csr(request.replace(b"aaaaaaaa", b"bbbbbbbb")).public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize(
    ("pem", "why"),
    [
        (small_rsa(), "RSA with 2048"),
        (other_curve(), "EC P-256"),
        (forged(), "not signed by the key"),
        ("", "PEM form"),
        ("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----", "PEM form"),
        ("é" * 10, "PEM form"),
        ("x" * 20_000, "longer than"),
    ],
    ids=["small RSA", "other curve", "forged", "empty", "garbage", "not ASCII", "too long"],
)
def test_a_bad_signing_request_is_refused_by_name(pem: str, why: str) -> None:
    with pytest.raises(Invalid, match=why) as caught:
        authority.read_signing_request(pem)
    assert caught.value.code == "csr-invalid"
    assert [field.pointer for field in caught.value.fields] == ["/csr"]


def test_a_revocation_list_names_serials_and_why(intermediate: KeyPair) -> None:
    lines = [Revocation("0A0B", NOW, superseded=False), Revocation("0C0D", NOW, superseded=True)]
    der = authority.sign_revocation_list(intermediate, lines, NOW)
    found = x509.load_der_x509_crl(der)

    assert found.is_signature_valid(intermediate.key.public_key())
    assert {line.serial_number for line in found} == {0x0A0B, 0x0C0D}
    replaced = found.get_revoked_certificate_by_serial_number(0x0C0D)
    assert replaced is not None
    assert replaced.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.superseded
