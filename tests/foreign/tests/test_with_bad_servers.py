import requests
import pytest


@pytest.mark.parametrize("fault", ["expired", "wrong-host", "http", "tls-v1-0"])
def test_what_is_not_trusted(bad_tls_server, fault):
    server = bad_tls_server(fault)
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(server.url, verify=server.ca_path, timeout=30)


def test_half_a_body(bad_tls_server):
    server = bad_tls_server("truncated-body")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        requests.get(server.url, verify=server.ca_path, timeout=30)


def test_the_twin(bad_tls_server):
    server = bad_tls_server("truncated-body", honest=True)
    assert requests.get(server.url, verify=server.ca_path, timeout=30).ok
