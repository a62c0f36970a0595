"""SavedModels and their checks."""
