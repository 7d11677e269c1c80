"""What a peer may send, damaged in every way, to connections by OpenSSL's own functions.

``python -m tests.pyopenssl.crash_hunt SECONDS [SEED]``, best under ``PYTHONMALLOC=debug`` and
``-X faulthandler``: a mistake in those functions' use is a crash, not an exception. It prints how
much it did; an exception other than those of `ssl` ends it with a traceback.
"""

from __future__ import annotations

import contextlib
import gc
import random
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from tlshttp import certs, pyopenssl
from tlshttp.context import ClientAuth
from tlshttp.errors import HandshakeError

THREADS: Final = 4

STATES: Final = ("done", "NO_APPLICATION_PROTOCOL", "RECORD_LAYER_FAILURE", "SSLEOFError")
"""What every hunt comes to: talks to the end, hellos that are none, damaged records, early ends."""

_MOST_SECONDS: Final = 90.0
"""That a busy machine has for coming to all of these."""

_REQUEST: Final = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
_SIZES: Final = (0, 1, 5, 100, 16_384, 16_385, 70_000)


class Hunter:
    """One thread's share: connections of all kinds, each damaged somewhere.

    Args:
        seed: What its choices follow from.
        server_contexts: What connections are made of; other threads use them, too.
        client_contexts: Clients of every kind.
    """

    def __init__(
        self, seed: int, server_contexts: list[Any], client_contexts: list[ssl.SSLContext]
    ) -> None:
        self._random = random.Random(seed)
        self._server_contexts, self._client_contexts = server_contexts, client_contexts
        self.seen: Counter[str] = Counter()

    def hunt_until(self, is_over: Callable[[], bool]) -> None:
        """Go on until it is over."""
        while not is_over():
            self.connect_once()

    def connect_once(self) -> None:
        """Shake hands and talk, with damage somewhere or nowhere, and let go in any state."""
        choose = self._random
        incoming, outgoing, server = choose.choice(self._server_contexts).begin()
        to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = choose.choice(self._client_contexts).wrap_bio(
            to_client, to_server, server_hostname=choose.choice(("localhost", "other", None))
        )
        damaged_round = choose.choice((0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 11))
        steps: list[Callable[[], object]] = [
            lambda: server.read(choose.choice(_SIZES[1:])),
            lambda: server.write(bytes(choose.choice(_SIZES[1:]))),
            server.unwrap,
        ]
        for number in range(10):
            for function in (client.do_handshake, lambda: client.write(_REQUEST)):
                with contextlib.suppress(OSError, ValueError):
                    function()
            sent = to_server.read()
            if number == damaged_round:
                sent = self._damage(sent)
            if not self._feed(incoming, server, sent):
                break
            if number > 2:
                self._attempt(choose.choice(steps))
            self._ask(server)
            with contextlib.suppress(OSError, ValueError):
                to_client.write(outgoing.read())
                client.read(1 << 16)
        if choose.random() < 0.5:
            incoming.write_eof()
            self._attempt(choose.choice(steps))
        outgoing.read()

    def _feed(self, incoming: Any, server: Any, data: bytes) -> bool:
        """Have the server read in pieces; tell whether it goes on."""
        while data:
            size = len(data) if self._random.random() < 0.7 else self._random.randint(1, len(data))
            incoming.write(data[:size])
            data = data[size:]
            if not self._attempt(server.do_handshake):
                return self._random.random() < 0.1  # now and then it is used all the same
        return True

    def _attempt(self, function: Callable[[], object]) -> bool:
        """Call; whatever peers can do is one of `ssl`'s exceptions, or one of ours."""
        try:
            function()
        except ssl.SSLWantReadError:
            return True
        except (ssl.SSLError, HandshakeError) as error:
            self.seen[getattr(error, "reason", None) or type(error).__name__] += 1
            return False
        self.seen["done"] += 1
        return True

    def _ask(self, server: Any) -> None:
        for question in self._random.sample(
            [
                server.version, server.cipher, server.group_name, server.peer_certificate,
                server.pending, server.get_unverified_chain, server.selected_alpn_protocol,
                lambda: server.getpeercert(True), lambda: server.incoming.pending,
                lambda: server.outgoing.pending,
            ],
            2,
        ):  # fmt: skip
            question()

    def _damage(self, data: bytes) -> bytes:
        """Return bytes that differ: in some places, by their end, by another order, or entirely."""
        choose = self._random
        other = bytearray(data)
        for _ in range(choose.choice((1, 1, 2, 10))):
            if not other:
                break
            at = choose.randrange(len(other))
            match choose.randrange(7):
                case 0:
                    other[at] ^= 1 << choose.randrange(8)
                case 1:
                    other[at] = choose.choice((0, 1, 0x7F, 0xFF))
                case 2:
                    del other[at:]
                case 3:
                    del other[at : at + choose.randint(1, 64)]
                case 4:
                    other[at:at] = choose.randbytes(choose.choice((1, 5, 300, 20_000)))
                case 5:
                    other += other[at:]
                case _:
                    other = other[at:] + other[:at]
        return bytes(other)


def hunt(seconds: float, seed: int) -> Counter[str]:
    """Hunt on several threads at once, until all states were seen; return what happened."""
    authority = certs.CertificateAuthority.generate("servers")
    people = certs.CertificateAuthority.generate("people")
    server_contexts = _server_contexts(authority, people)
    clients = _client_contexts(authority, people.issue_client("somebody"))
    hunters = [Hunter(seed + number, server_contexts, clients) for number in range(THREADS)]
    failures: list[BaseException] = []
    began = time.monotonic()

    def is_over() -> bool:
        spent = time.monotonic() - began
        return spent >= seconds and (
            spent >= _MOST_SECONDS or all(any(it.seen[state] for it in hunters) for state in STATES)
        )

    def run(hunter: Hunter) -> None:
        try:
            hunter.hunt_until(is_over)
        except BaseException as error:  # noqa: BLE001  # it is raised when all have ended
            failures.append(error)

    threads = [threading.Thread(target=run, args=(hunter,)) for hunter in hunters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    gc.collect()
    left = [it for context in server_contexts for it in context._way.shaking_hands]
    if left:
        raise AssertionError(f"{len(left)} connections still count as shaking hands")
    return sum((hunter.seen for hunter in hunters), Counter())


def _server_contexts(
    authority: certs.CertificateAuthority, people: certs.CertificateAuthority
) -> list[Any]:
    shown = authority.issue_server("localhost")
    rsa = authority.issue_server("localhost", key_type=certs.KeyType.RSA_2048)
    asking = [people.certificate.leaf]
    return [
        pyopenssl.create_server_context(shown),
        pyopenssl.create_server_context(shown, rsa, ocsp_staple=authority),
        pyopenssl.create_server_context(shown, client_auth=ClientAuth.OPTIONAL, client_cas=asking),
        pyopenssl.create_server_context(
            shown,
            client_auth=ClientAuth.OPTIONAL,
            client_auth_by_name={"localhost": ClientAuth.REQUIRED},
            client_cas=asking,
        ),
    ]


def _client_contexts(
    authority: certs.CertificateAuthority, own: certs.Certificate
) -> list[ssl.SSLContext]:
    found = []
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        for certificate in (None, own):
            for offers in ([], ["http/1.1"], ["h2", "other"]):
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname = False
                authority.configure_trust(context)
                context.minimum_version = context.maximum_version = version
                if offers:
                    context.set_alpn_protocols(offers)
                if certificate is not None:
                    certificate.configure(context)
                found.append(context)
    return found


def main(seconds: str, seed: str = "0") -> None:
    """Hunt, and print what happened."""
    sys.setswitchinterval(1e-5)
    seen = hunt(float(seconds), int(seed))
    print(sum(seen.values()), *(f"{name}: {n}" for name, n in seen.most_common()))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
