"""Small tries of problems that users of comparable tools have reported."""
