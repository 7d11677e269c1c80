import socket


def test_with_ssl(tls_server):
    tls_server.responses["/"] = "hello"
    address = (tls_server.host, tls_server.port)
    with (
        socket.create_connection(address) as sock,
        tls_server.client_context().wrap_socket(sock, server_hostname=tls_server.host) as tls,
    ):
        tls.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        with tls.makefile("rb") as answer:
            assert answer.read().endswith(b"hello")
