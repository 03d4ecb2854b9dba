"""The parts of the sample scenes; the entry is :mod:`mmslg.testing.sample_scenes`."""
