"""What can an operator type?"""

from app.cli.commands import main

__all__ = ["main"]
