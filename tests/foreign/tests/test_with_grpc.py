from concurrent.futures import ThreadPoolExecutor

import grpc


class Echo(grpc.GenericRpcHandler):
    def service(self, call):
        return grpc.unary_unary_rpc_method_handler(lambda request, context: request)


def test_with_grpc(tls_ca):
    server = grpc.server(ThreadPoolExecutor(1), handlers=[Echo()])
    own = tls_ca.issue_server("localhost")
    port = server.add_secure_port(
        "localhost:0", grpc.ssl_server_credentials([(own.key_to_pem(), own.to_pem())])
    )
    server.start()
    trust = grpc.ssl_channel_credentials(tls_ca.ca_path.read_bytes())
    with grpc.secure_channel(f"localhost:{port}", trust) as channel:
        assert channel.unary_unary("/weather.Weather/Echo")(b"hello", timeout=30) == b"hello"
    server.stop(None).wait()
