"""The one exception for a user's mistake."""


class InputError(ValueError):
    """Bad input, told in one sentence: what is wrong, where, and what would be right.

    Commands print its message and exit with status 2; nobody sees a traceback.
    """
