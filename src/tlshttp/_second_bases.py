"""Other servers of the standard library as second base beside one of ours, in either order.

They call ``server_bind()`` and ``__init__()`` by the name of their class, past whatever else a
server derives from. What they add is little, and known:

* `wsgiref.simple_server.WSGIServer` calls ``setup_environ()`` when it is bound. Before that it asks
  the DNS for the machine's name (`socket.getfqdn`), which may take half a minute.
* `xmlrpc.server.SimpleXMLRPCServer` has arguments of its own, and a handler class by default. Its
  constructor makes a plain server, so that ours has to come first.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["adopt", "default_handler", "set_up_wsgi"]


def adopt(server: type, ours: Any) -> None:
    """Have a class bind by our method where it would by that of `WSGIServer`.

    Args:
        server: Derived from ours, and perhaps from others.
        ours: `tlshttp.TLSHTTPServer`.

    Raises:
        TypeError: It would not even be made by our constructor.
    """
    wsgi = _class_of("wsgiref.simple_server", "WSGIServer")
    if wsgi is not None and _takes(server, "server_bind", wsgi):
        server.server_bind = ours.server_bind  # type: ignore[attr-defined]
    xmlrpc = _class_of("xmlrpc.server", "SimpleXMLRPCServer")
    if xmlrpc is not None and _takes(server, "__init__", xmlrpc):
        raise TypeError(
            f"the bases of {server.__name__} are in an order in which it would not use TLS: "
            "put the server of tlshttp before SimpleXMLRPCServer"
        )


def set_up_wsgi(server: Any) -> None:
    """Do what `WSGIServer` does once it is bound, where the server is one; and say that it is TLS.

    ``wsgi.url_scheme`` is taken from ``HTTPS`` (`wsgiref.util.guess_scheme`).
    """
    if hasattr(server, "setup_environ"):
        server.setup_environ()
        server.base_environ.setdefault("HTTPS", "on")


def default_handler(constructor: Callable[..., Any]) -> Any:
    """Return the handler class that the next constructor has by default.

    Raises:
        TypeError: It has none.
    """
    parameters = list(inspect.signature(constructor).parameters.values())
    if len(parameters) < 2 or parameters[1].default is inspect.Parameter.empty:
        raise TypeError("missing 1 required positional argument: 'RequestHandlerClass'")
    return parameters[1].default


def _class_of(module: str, name: str) -> type | None:
    """Return a class if its module has been imported; otherwise nobody derives from it."""
    found: type | None = getattr(sys.modules.get(module), name, None)
    return found


def _takes(server: type, method: str, other: type) -> bool:
    """Return whether a class would take a method from another server's class."""
    return getattr(server, method, None) is getattr(other, method)
