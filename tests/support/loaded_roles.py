"""All that the command line and the roles load when they start: where this is imported, a fork has it."""

import tests.support.forked_cli  # noqa: F401
