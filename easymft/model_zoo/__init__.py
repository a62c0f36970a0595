"""From names, folders and checkpoints to weights."""
