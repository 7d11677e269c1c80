import os
import shutil
import subprocess

import pytest


@pytest.mark.skipif(shutil.which("curl") is None, reason="this machine has no curl")
def test_with_curl(tls_server):
    tls_server.responses["/"] = "hello"
    command = ["curl", "-sS", "--cacert", str(tls_server.ca_path), tls_server.url]
    assert subprocess.check_output(command) == b"hello"


@pytest.mark.skipif(shutil.which("node") is None, reason="this machine has no Node.js")
def test_with_node(tls_server, tls_trust):
    tls_server.responses["/"] = "hello"
    script = "fetch(process.argv[1]).then(r => r.text()).then(t => process.stdout.write(t))"
    command = ["node", "-e", script, tls_server.url]
    assert subprocess.check_output(command, env=os.environ) == b"hello"
