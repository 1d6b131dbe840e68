# The library http-message-signatures of PyPI's signs what the application must take, and verifies what the program signs, whose lines
# come on stdin: python foreign.py PORT ORIGIN.

import base64, datetime, hashlib, http.client, secrets, sys

import requests
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier, HTTPSignatureKeyResolver, algorithms

port, origin = sys.argv[1:]
url, body = f"{origin}/orders?open=%2F", b'{"one":1}'
certificate = x509.load_pem_x509_certificate(open("alice.crt", "rb").read())
der = certificate.public_bytes(serialization.Encoding.DER)
keyid = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
digest = f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
covered = ("@method", "@authority", "@target-uri", "content-digest", "authorization")


class Keys(HTTPSignatureKeyResolver):
    def resolve_private_key(self, key_id):
        return serialization.load_pem_private_key(open("alice.key", "rb").read(), None)

    def resolve_public_key(self, key_id):
        assert key_id == keyid
        return certificate.public_key()


def request(headers):
    return requests.Request("POST", url, headers=headers, data=body).prepare()


own = {"Content-Digest": digest, "Authorization": "Bearer word"}
signed = request({"Authorization": "Bearer word"})
signer = HTTPMessageSigner(signature_algorithm=algorithms.ECDSA_P256_SHA256, key_resolver=Keys())
now = datetime.datetime.now()
signer.sign(
    signed, key_id=keyid, created=now, expires=now + datetime.timedelta(seconds=60), nonce=secrets.token_urlsafe(16), label="pki",
    tag="pki-v1", include_alg=True, covered_component_ids=covered, body=body,
)
connection = http.client.HTTPConnection("localhost", int(port))
connection.request("POST", "/orders?open=%2F", body, dict(signed.headers))
answer = connection.getresponse()
print("signed:", answer.status, answer.read().decode() if answer.status != 200 else "")

ours = dict(line.rstrip("\n").split(": ", 1) for line in sys.stdin)
verifier = HTTPMessageVerifier(signature_algorithm=algorithms.ECDSA_P256_SHA256, key_resolver=Keys())
results = verifier.verify(request({**own, **ours}), expect_tag="pki-v1", max_age=datetime.timedelta(seconds=60), body=body)
print("verified:", len(results), sorted(name.strip('"') for name in results[0].covered_components if "signature-params" not in name))
