"""Pairs as MMDetection's datasets; modules are imported when a config names what they hold."""
