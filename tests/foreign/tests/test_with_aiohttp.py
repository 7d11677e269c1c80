import asyncio

import aiohttp


def test_with_aiohttp(tls_server):
    tls_server.responses["/"] = "hello"

    async def fetch():
        connector = aiohttp.TCPConnector(ssl=tls_server.client_context())
        async with aiohttp.ClientSession(connector=connector) as session:
            async with session.get(tls_server.url) as response:
                return await response.text()

    assert asyncio.run(fetch()) == "hello"
