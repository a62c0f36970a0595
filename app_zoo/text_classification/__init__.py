"""Classify single texts."""
