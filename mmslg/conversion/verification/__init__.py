"""Is a downloaded dataset complete, undamaged and fit to train on?"""
