"""What `up` prints."""

import io

from app.local.output import Output


def test_lines_name_their_process() -> None:
    stream = io.StringIO()
    Output(stream, prefix=True).line("api", "ready")
    assert stream.getvalue() == "api       | ready\n"


def test_json_lines_stay_whole() -> None:
    stream = io.StringIO()
    Output(stream, prefix=False).line("api", '{"role":"api"}')
    assert stream.getvalue() == '{"role":"api"}\n'


def test_colours_differ_on_a_terminal() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    output = Output(stream, prefix=True)
    for name in ("api", "relay", "api"):
        output.line(name, "x")
    first, second, third = stream.getvalue().splitlines()
    assert first.startswith("\x1b[36m")
    assert first == third
    assert second.startswith("\x1b[33m")


def test_a_reader_gone_does_not_end_us() -> None:
    class Gone(io.StringIO):
        def write(self, _text: str, /) -> int:
            raise BrokenPipeError

    output = Output(Gone(), prefix=True)
    output.line("api", "lost")
    output.line("api", "lost too")
