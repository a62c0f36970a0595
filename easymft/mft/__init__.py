"""The method: typicality, domain corruption, loss, model."""
