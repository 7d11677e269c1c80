"""The styles that every test of WebSockets runs in."""

from __future__ import annotations

import pytest

from tests.websocket.support import STYLES, Style


@pytest.fixture(params=STYLES, ids=lambda style: style.name)
def style(request: pytest.FixtureRequest) -> Style:
    """Return one of them."""
    chosen: Style = request.param
    return chosen
