"""How fast tlshttp is, beside what people would pick instead.

``nox -s bench`` runs it; ``docs/explanation/performance.md`` says what is measured and how.
"""
