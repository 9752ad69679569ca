"""The power goes at a call that the seed chooses; everything synced is left, and of what was not, each sector for itself."""
import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CUTS = int(os.environ.get("SELVEDGE_POWER_CUTS", "1000"))


def test_nothing_wrong_nothing_buried_no_purge_lost_and_all_that_was_synced_is_found():
    program = Path(os.environ.get("SELVEDGE_BIN_DIR", ROOT / "build")) / "tests/fault/powercut"
    ended = subprocess.run([program, "--cuts", str(CUTS)], capture_output=True, text=True, timeout=110, check=False)
    assert ended.returncode == 0, ended.stderr
    print(ended.stdout)
    journal, volume = ended.stdout.splitlines()
    cuts, acknowledged, hits, refused = (int(word) for word in re.findall(r"\d+", journal)[:4])
    assert hits > cuts and refused > cuts  # it is not empty of what could be wrong
    assert acknowledged > cuts
    cuts_of_volume, _, kills, _, demanded = (int(word) for word in re.findall(r"\d+", volume)[:5])
    assert cuts + cuts_of_volume >= CUTS
    assert demanded > cuts_of_volume + kills
