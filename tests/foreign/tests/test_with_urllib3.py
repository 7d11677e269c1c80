import urllib3


def test_with_urllib3(tls_server):
    tls_server.responses["/"] = "hello"
    with urllib3.PoolManager(ca_certs=str(tls_server.ca_path)) as pool:
        assert pool.request("GET", tls_server.url).data == b"hello"
