"""What `triggerhub up` writes to the terminal: the lines of all its processes, and the banner."""

from typing import TextIO

from app.config.log import printable

_COLOURS = ("36", "33", "32", "35", "34", "31", "96", "93")
_WIDTH = 9


class Output:
    """Lines to one stream. `prefix`: begin each with the name of its process; JSON lines hold it already."""

    def __init__(self, stream: TextIO, *, prefix: bool) -> None:
        self._stream: TextIO | None = stream
        self._prefix = prefix
        self._colours: dict[str, str] = {}
        self._colourful = stream.isatty()

    def line(self, name: str, text: str) -> None:
        self._write(f"{self._label(name)}{printable(text)}" if self._prefix else text)

    def banner(self, title: str, *lines: str) -> None:
        rule = "─" * max(len(line) for line in (title, *lines))
        self._write("\n".join(["", rule, title, *lines, rule, ""]))

    def _label(self, name: str) -> str:
        label = f"{name:<{_WIDTH}} | "
        if not self._colourful:
            return label
        colour = self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])
        return f"\x1b[{colour}m{label}\x1b[0m"

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            print(text, file=self._stream, flush=True)
        except UnicodeEncodeError:
            print(text.encode("ascii", "replace").decode(), file=self._stream, flush=True)
        except BrokenPipeError:
            # The reader has gone (`up | head`). The processes matter more than their lines.
            self._stream = None
