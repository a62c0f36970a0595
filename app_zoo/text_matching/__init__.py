"""Classify pairs of texts."""
