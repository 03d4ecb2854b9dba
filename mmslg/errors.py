"""Errors that tools end with in one line, or in none."""


class InputError(ValueError):
    """A file, an option or a combination of them that cannot be used.

    The message is one line that says what was wanted, what came (naming the file) and what to do.
    Tools print it without a traceback and exit with code 1, see :func:`mmslg.utils.cli.run`.
    """


class SaidElsewhereError(Exception):
    """This process of a run ends because another has failed, which says why; it has nothing to add."""
