"""Authorities' certificates with a smaller path length constraint.

Only that is changed, in the bytes that there are, and the signature stays, though it is none for
them: OpenSSL takes a certificate for a root only if its own key could have made the signature, by
its kind. So this is nothing for a certificate whose signature is verified.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tlshttp.certs import _der
from tlshttp.certs._inspect import find_extension
from tlshttp.certs._serials import read_der

__all__ = ["limited"]

_EXTENSIONS = 0xA3
_BASIC_CONSTRAINTS = _der.oid(x509.BasicConstraints.oid.dotted_string)


def limited(anchor: x509.Certificate, depth: int) -> x509.Certificate:
    """Return a copy of an authority's certificate below which no chain is longer.

    Args:
        anchor: The original.
        depth: The largest number of intermediate certificates below it, unless its own is smaller.
    """
    extension = find_extension(anchor, x509.BasicConstraints)
    own = None if extension is None else extension.value.path_length
    if own is not None and own <= depth:
        return anchor
    constraints = x509.BasicConstraints(ca=True, path_length=depth).public_bytes()
    signed, *signature = _der.children(_der.read(anchor.public_bytes(Encoding.DER)))
    fields = [
        _with_constraints(field, constraints) if field.tag == _EXTENSIONS else field.encoded
        for field in _der.children(signed)
    ]
    return read_der(
        _der.encode(
            _der.SEQUENCE,
            _der.encode(_der.SEQUENCE, *fields),
            *(one.encoded for one in signature),
        )
    )


def _with_constraints(field: _der.Element, constraints: bytes) -> bytes:
    (extensions,) = _der.children(field)
    replaced = []
    for extension in _der.children(extensions):
        identifier, *critical, _value = _der.children(extension)
        if identifier.content != _BASIC_CONSTRAINTS:
            replaced.append(extension.encoded)
            continue
        replaced.append(
            _der.encode(
                _der.SEQUENCE,
                identifier.encoded,
                *(one.encoded for one in critical),
                _der.encode(_der.OCTET_STRING, constraints),
            )
        )
    return _der.encode(_EXTENSIONS, _der.encode(_der.SEQUENCE, *replaced))
