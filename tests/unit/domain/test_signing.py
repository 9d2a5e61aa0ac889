"""Signatures against what their inventors publish, and against another implementation."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from domain.connection.kinds import setup_of
from domain.connection.signing import AwsSignature, NoSigner, Signable, WebhookSignature, signature

AT = datetime(2013, 5, 24, tzinfo=UTC)
KEY = setup_of("basic", {"username": "AKIAIOSFODNN7EXAMPLE"}, {"password": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"})
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SIGNER = setup_of("bearer", {}, {"token": SECRET})


@pytest.mark.parametrize(
    ("query", "signed"),
    [
        ("lifecycle", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
        ("prefix=J&max-keys=2", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ],
)
def test_the_examples_of_aws(query: str, signed: str) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html"""
    request = Signable(method="GET", url=f"https://examplebucket.s3.amazonaws.com/?{query}", body=b"")
    headers = dict(signature(AwsSignature("us-east-1", "s3"), KEY, request, AT))
    assert headers["authorization"].endswith(f"SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signed}")


def test_the_example_of_standard_webhooks() -> None:
    request = Signable(method="POST", url="https://x", body=b'{"test": 2432232314}')
    at = datetime.fromtimestamp(1614265330, UTC)
    headers = dict(signature(WebhookSignature("msg_p5jXN8AQM9LWM0D4loKWxJek"), SIGNER, request, at))
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(st.dictionaries(st.text(max_size=9), st.integers()), st.text(st.characters(codec="ascii"), min_size=1))
def test_receivers_verify_it(data: dict[str, int], message_id: str) -> None:
    import json

    body = json.dumps(data).encode()
    now = datetime.now(UTC)
    headers = dict(signature(WebhookSignature(message_id), SIGNER, Signable(method="POST", url="", body=body), now))
    assert Webhook(SECRET).verify(body.decode(), headers) == data


def test_a_connection_of_another_kind_signs_nothing() -> None:
    request = Signable(method="GET", url="https://x", body=b"")
    for signing, setup in ((AwsSignature("r", "s3"), SIGNER), (WebhookSignature("i"), KEY)):
        with pytest.raises(NoSigner):
            signature(signing, setup, request, AT)
    with pytest.raises(NoSigner, match="whsec_ and base64"):
        signature(WebhookSignature("i"), setup_of("bearer", {}, {"token": "no base64!"}), request, AT)
