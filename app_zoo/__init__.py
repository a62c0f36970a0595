"""Applications: what a user runs."""
