"""The documentation in a real browser: pictures to look at, and whether anything scrolls sideways.

``nox -s screenshots`` runs it.
"""
