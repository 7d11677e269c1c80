"""The clients, each as its documentation has it: its defaults, but for trust and a time limit.

A client is a function that takes a server, makes so many requests in one session of its own, and
returns a line for each.
"""

from __future__ import annotations

import asyncio
import http.client
import ssl
import subprocess
from collections.abc import Callable
from importlib.metadata import version

import aiohttp
import httpx
import requests
import urllib3

from tests.reports.essence import essence, failure, success
from tlshttp import testing

TIMEOUT = 1.5
"""Seconds that a client waits: longer than a server that is only slow needs."""

Client = Callable[[testing.BadServer, int], "list[str]"]


def by_http_client(server: testing.BadServer, number: int) -> list[str]:
    """Use `http.client`, and begin anew after an error."""
    context = ssl.create_default_context(cafile=str(server.ca_path))
    connection = http.client.HTTPSConnection(
        server.host, server.port, timeout=TIMEOUT, context=context
    )

    def get() -> tuple[int, int]:
        try:
            connection.request("GET", "/")
            with connection.getresponse() as response:
                return response.status, len(response.read())
        except BaseException:
            connection.close()
            raise

    try:
        return [_report(get) for _ in range(number)]
    finally:
        connection.close()


def by_urllib3(server: testing.BadServer, number: int) -> list[str]:
    """Use a `urllib3.PoolManager`, which tries again by itself."""

    def get() -> tuple[int, int]:
        response = pool.request("GET", server.url, timeout=TIMEOUT)
        return response.status, len(response.data)

    with urllib3.PoolManager(ca_certs=str(server.ca_path)) as pool:
        return [_report(get) for _ in range(number)]


def by_requests(server: testing.BadServer, number: int) -> list[str]:
    """Use a `requests.Session`."""

    def get() -> tuple[int, int]:
        response = session.get(server.url, timeout=TIMEOUT, verify=str(server.ca_path))
        return response.status_code, len(response.content)

    with requests.Session() as session:
        return [_report(get) for _ in range(number)]


def by_httpx(server: testing.BadServer, number: int) -> list[str]:
    """Use a `httpx.Client`."""

    def get() -> tuple[int, int]:
        response = client.get(server.url)
        return response.status_code, len(response.content)

    context = ssl.create_default_context(cafile=str(server.ca_path))
    with httpx.Client(verify=context, timeout=TIMEOUT) as client:
        return [_report(get) for _ in range(number)]


def by_aiohttp(server: testing.BadServer, number: int) -> list[str]:
    """Use an `aiohttp.ClientSession`."""
    return asyncio.run(_by_aiohttp(server, number))


async def _by_aiohttp(server: testing.BadServer, number: int) -> list[str]:
    reports = []
    context = ssl.create_default_context(cafile=str(server.ca_path))
    connector = aiohttp.TCPConnector(ssl=context)
    limit = aiohttp.ClientTimeout(total=TIMEOUT)
    async with aiohttp.ClientSession(connector=connector, timeout=limit) as session:
        for _ in range(number):
            try:
                async with session.get(server.url) as response:
                    reports.append(success(response.status, len(await response.read())))
            except (OSError, aiohttp.ClientError, ValueError) as error:
                reports.append(failure(error))
    return reports


def by_curl(server: testing.BadServer, number: int) -> list[str]:
    """Use the command line of curl, with all URLs in one run."""
    answer = "%{exitcode}|%{http_code}|%{size_download}|%{errormsg}\n"
    command = ["curl", "--silent", "--cacert", str(server.ca_path), "--write-out", answer]
    command += ["--max-time", str(TIMEOUT)]
    command += ["--output", "/dev/null", f"{server.url}/"] * number
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return [_curl_report(*line.split("|", 3)) for line in done.stdout.splitlines()]


def _curl_report(code: str, status: str, size: str, message: str) -> str:
    if code == "0":
        return success(int(status), int(size))
    return f"({code}) {essence(message)}"


CLIENTS: dict[str, tuple[str, Client]] = {
    "http.client": ("", by_http_client),
    "urllib3": (version("urllib3"), by_urllib3),
    "requests": (version("requests"), by_requests),
    "httpx": (version("httpx"), by_httpx),
    "aiohttp": (version("aiohttp"), by_aiohttp),
    "curl": ("", by_curl),
}
"""Each client by its name, with its version; that of the others is found out by the session."""


def _report(get: Callable[[], tuple[int, int]]) -> str:
    try:
        return success(*get())
    except (
        OSError,
        http.client.HTTPException,
        httpx.HTTPError,
        urllib3.exceptions.HTTPError,
        requests.RequestException,
    ) as error:
        return failure(error)
