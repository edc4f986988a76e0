"""Coverage-guided fuzzing (atheris, which is libFuzzer) of the parsers that read text from outside.

    python -m tests.attacks.fuzz json --runs 20000

A target is a function of tests/attacks/targets.py. Inputs start from tests/attacks/seeds/TARGET and grow in
.fuzz/TARGET, which the next run starts from; an input that fails a check is kept as .fuzz/TARGET-crash-* and its
traceback printed. `make fuzz` runs every target. Linux and macOS only, as atheris is.
"""

import argparse
import sys
from pathlib import Path

import atheris

SEEDS = Path(__file__).with_name("seeds")
INSTRUMENTED = ["corpus", "annotators.payload", "annotators.providers"]

if __name__ == "__main__":
    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.attacks.targets import TARGETS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--runs", type=int, default=20_000, help="inputs to try")
    parser.add_argument("--out", type=Path, default=Path(".fuzz"), help="where inputs are kept")
    options = parser.parse_args()
    kept = options.out / options.target
    kept.mkdir(parents=True, exist_ok=True)
    # -timeout=0: it would take the alarm signal with which the math verifier bounds an expression.
    limits = [f"-runs={options.runs}", "-max_len=4096", "-timeout=0", "-rss_limit_mb=2048", "-print_final_stats=1"]
    where = [f"-artifact_prefix={kept}-", str(kept), str(SEEDS / options.target)]
    TARGETS[options.target](b"")  # what it imports late is imported before libFuzzer watches the process
    atheris.Setup([sys.argv[0], *limits, *where], TARGETS[options.target])
    atheris.Fuzz()
