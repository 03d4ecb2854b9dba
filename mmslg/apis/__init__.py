"""What the command-line tools are made of."""

import os

# OpenMP's idle threads spin by default, and two programs on the same cores then slow each other down by a
# factor of ten and more. It is read when torch is loaded, hence here, before any tool loads it.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

# Checkpoints are data: MMEngine's fallback to unrestricted pickles stays shut.
os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = '1'
