"""What the commands of ``python -m tlshttp`` share: how they end, and what people type."""
