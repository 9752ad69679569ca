"""The power goes at a call that the seed chooses; everything synced is left, and of what was not, each sector for itself."""
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CUTS = int(os.environ.get("SELVEDGE_POWER_CUTS", "1000"))


def test_nothing_wrong_nothing_buried_and_all_that_was_synced_is_found():
    program = Path(os.environ.get("SELVEDGE_BIN_DIR", ROOT / "build")) / "tests/fault/powercut"
    ended = subprocess.run([program, "--cuts", str(CUTS)], capture_output=True, text=True, timeout=110, check=False)
    assert ended.returncode == 0, ended.stderr
    print(ended.stdout)
    cuts = int(ended.stdout.split()[0])
    demanded = int(ended.stdout.split(" hits, ")[1].split()[0])
    assert cuts >= CUTS
    assert demanded > CUTS  # it is not empty of what has to be found
