"""Settings: schema, presets, loading."""
