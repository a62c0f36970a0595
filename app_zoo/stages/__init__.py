"""What each mode does, for every application."""
