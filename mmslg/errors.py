"""The error that means: what the user gave cannot be used."""


class InputError(ValueError):
    """A file, an option or a combination of them that cannot be used.

    The message is one line that says what was wanted, what came (naming the file) and what to do.
    Tools print it without a traceback and exit with code 1, see :func:`mmslg.utils.cli.run`.
    """
