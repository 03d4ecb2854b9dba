"""Text encoders: what turns the texts of captions into vectors. Each is one module, found by its name."""
