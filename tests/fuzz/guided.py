"""One target under atheris: NAME, and what libFuzzer is to keep to."""

import importlib
import os
import sys
import traceback
from pathlib import Path
from typing import Any

atheris: Any = importlib.import_module("atheris")

with atheris.instrument_imports(include=["app", "consumers", "domain", "liquid", "dateutil", "multipart"]):
    targets = importlib.import_module("tests.support.fuzz_targets")


def main(name: str) -> None:
    """Ends with exit code 1 at the first input that fails, which is kept."""

    def tried(raw: bytes) -> None:
        try:
            targets.TARGETS[name](raw)
        except Exception:  # noqa: BLE001 - whatever it is, it is the finding
            traceback.print_exc()
            Path(f".fuzz/{name}-failed").write_bytes(raw)
            os._exit(1)  # at once: the interpreter takes so long to end that libFuzzer's alarm ends it

    atheris.Setup(sys.argv, tried)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv.pop(1))
