"""What clients report of bad servers; ``nox -s reports`` writes it into the documentation."""
