import requests


def test_with_requests(tls_server):
    tls_server.responses["/"] = "hello"
    assert requests.get(tls_server.url, verify=tls_server.ca_path, timeout=30).text == "hello"


def test_with_requests_and_a_client_certificate(tls_server):
    tls_server.responses["/"] = "hello"
    alice = tls_server.client_certificate("alice")
    answer = requests.get(
        tls_server.url,
        verify=tls_server.ca_path,
        cert=(str(alice.certfile), str(alice.keyfile)),
        timeout=30,
    )
    assert answer.text == "hello"
