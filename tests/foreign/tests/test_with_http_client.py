import http.client


def test_with_http_client(tls_server):
    tls_server.responses["/"] = "hello"
    connection = http.client.HTTPSConnection(
        tls_server.host, tls_server.port, context=tls_server.client_context()
    )
    connection.request("GET", "/")
    assert connection.getresponse().read() == b"hello"
    connection.close()
