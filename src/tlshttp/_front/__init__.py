"""The event-driven front: accepts, waits, hands on and closes.

See docs/explanation/connection.md.
"""
