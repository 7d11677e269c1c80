"""The documentation in a real browser: pictures, and whether pages fit and can be read aloud.

``nox -s screenshots`` runs it.
"""
