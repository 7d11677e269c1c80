"""Every bad server that has a name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from tlshttp.errors import ConfigurationError
from tlshttp.testing._bad.behaviour_faults import BEHAVIOUR_FAULTS
from tlshttp.testing._bad.certificate_faults import CERTIFICATE_FAULTS
from tlshttp.testing._bad.fault import Fault
from tlshttp.testing._bad.tls_faults import TLS_FAULTS

__all__ = ["FAULTS", "find_fault"]

FAULTS: Mapping[str, Fault] = MappingProxyType(
    {fault.name: fault for fault in (*CERTIFICATE_FAULTS, *TLS_FAULTS, *BEHAVIOUR_FAULTS)}
)
"""Every fault by its name, in the order of the documentation."""


def find_fault(name: str) -> Fault:
    """Return the fault of that name.

    Raises:
        ConfigurationError: There is none; the message names those that are spelt alike.
    """
    if name not in FAULTS:
        alike = difflib.get_close_matches(name, FAULTS) or ["expired", "wrong-host", "silent"]
        raise ConfigurationError(
            f"there is no fault called {name!r}; perhaps {' or '.join(map(repr, alike))}?"
            " python -m tlshttp bad lists them all"
        )
    return FAULTS[name]
