import threading

from websockets.sync.client import connect
from websockets.sync.server import serve


def echo(connection):
    for message in connection:
        connection.send(message)


def test_with_websockets(tls_ca):
    with serve(echo, "localhost", 0, ssl=tls_ca.server_context()) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.socket.getsockname()[1]
        with connect(f"wss://localhost:{port}", ssl=tls_ca.client_context()) as client:
            client.send("hello")
            assert client.recv() == "hello"
        server.shutdown()
        thread.join()
