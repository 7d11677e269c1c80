"""The environment variables by which clients are told whom to trust."""

from __future__ import annotations

from tlshttp.testing._authority import Authority

__all__ = ["trust_variables"]

_NAMES = (
    "SSL_CERT_FILE",  # OpenSSL, so ssl, http.client, urllib, urllib3 and websockets; httpx; Go
    "REQUESTS_CA_BUNDLE",  # requests
    "CURL_CA_BUNDLE",  # curl; requests, after its own
    "NODE_EXTRA_CA_CERTS",  # Node.js
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",  # grpc
    "AWS_CA_BUNDLE",  # boto3
    "GIT_SSL_CAINFO",  # git
    "PIP_CERT",  # pip
)


def trust_variables(ca: Authority) -> dict[str, str]:
    """Return the variables that make clients trust an authority, and mostly nobody else."""
    return dict.fromkeys(_NAMES, str(ca.ca_path))
