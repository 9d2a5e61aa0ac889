"""Errors an operator can act upon."""


class OperatorError(Exception):
    """Its message says what is wrong and what to do; the command line shows that and nothing else."""

    exit_code = 1
