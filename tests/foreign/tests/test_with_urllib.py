import urllib.request


def test_with_urllib(tls_server):
    tls_server.responses["/"] = "hello"
    context = tls_server.client_context()
    with urllib.request.urlopen(tls_server.url, context=context) as response:
        assert response.read() == b"hello"
