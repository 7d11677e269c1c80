"""The event-driven loop: accepts, waits, hands on and closes.

See docs/explanation/connection.md.
"""
