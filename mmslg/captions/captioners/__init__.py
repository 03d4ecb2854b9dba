"""Captioners: what writes the structured caption of a pair. Each is one module, found by its name."""
