import asyncio

import httpx


def test_with_httpx(tls_server):
    tls_server.responses["/"] = "hello"
    assert httpx.get(tls_server.url, verify=tls_server.client_context()).text == "hello"


def test_with_httpx_and_asyncio(tls_server):
    tls_server.responses["/"] = "hello"

    async def fetch():
        async with httpx.AsyncClient(verify=tls_server.client_context()) as client:
            return (await client.get(tls_server.url)).text

    assert asyncio.run(fetch()) == "hello"
