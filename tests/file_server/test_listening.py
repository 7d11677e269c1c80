"""One port for all addresses of a run, where the system chooses it."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest

from tlshttp import TLSFileRequestHandler, certs, context
from tlshttp._file_server.listening import FileServer, listen
from tlshttp._file_server.places import Place
from tlshttp.errors import ConfigurationError

PLACES = [Place("127.7.7.1", 0), Place("127.7.7.2", 0)]


class Taken:
    """Makes servers, where the port is taken at the second address for so many times.

    Args:
        times: How many.
    """

    def __init__(self, times: int) -> None:
        self.made: list[FileServer] = []
        self._times = times
        self._context = context.create_server_context(certs.self_signed("localhost"))

    def __call__(self, address: tuple[str, int]) -> FileServer:
        if address[0] == PLACES[1].host and self._times:
            self._times -= 1
            raise OSError(errno.EADDRINUSE, "Address already in use")
        server = FileServer(address, TLSFileRequestHandler, ssl_context=self._context)
        self.made.append(server)
        return server


@pytest.fixture
def taken() -> Iterator[Taken]:
    """Return one that is taken twice, and close what has been made."""
    make = Taken(2)
    yield make
    for server in make.made:
        server.server_close()


def test_a_port_that_is_taken_at_another_address_is_given_up(taken: Taken) -> None:
    """Whoever asks for any port gets one that all addresses have, and no sentence on another's."""
    servers = listen(PLACES, taken)
    assert servers == taken.made[-2:]
    assert len({server.server_port for server in servers}) == 1
    assert all(server.socket.fileno() < 0 for server in taken.made[:-2])
    assert len(taken.made) == 4


def test_it_ends_somewhere() -> None:
    """With the sentence that there is for a port that was asked for, and nothing left open."""
    taken = Taken(1000)
    with pytest.raises(ConfigurationError, match=r"of 127\.7\.7\.2 is taken by another program"):
        listen(PLACES, taken)
    assert 1 < len(taken.made) < 100
    assert all(server.socket.fileno() < 0 for server in taken.made)


def test_a_port_that_was_asked_for_is_tried_once() -> None:
    """Another one would not be the user's."""
    taken = Taken(1)
    places = [PLACES[0], Place(PLACES[1].host, 1)]
    with pytest.raises(ConfigurationError, match=r"port 1 of 127\.7\.7\.2 is taken by another"):
        listen(places, taken)
    assert len(taken.made) == 1
