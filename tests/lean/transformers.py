"""In the place of transformers for processes of their own, as where it is not installed.

MMEngine imports it at every start for the sake of one optimizer, which takes a second or more.
"""

raise ImportError('transformers is left out here')
