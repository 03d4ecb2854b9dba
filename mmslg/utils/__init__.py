"""Small helpers that every part may use: command line, files."""
