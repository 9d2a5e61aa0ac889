"""One target under atheris: NAME, and what libFuzzer is to keep to."""

import importlib
import sys
from typing import Any

atheris: Any = importlib.import_module("atheris")

with atheris.instrument_imports(include=["app", "consumers", "domain", "liquid", "dateutil", "multipart"]):
    targets = importlib.import_module("tests.support.fuzz_targets")

if __name__ == "__main__":
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, targets.TARGETS[name])
    atheris.Fuzz()
