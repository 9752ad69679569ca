"""What the build promises: presets, what is installed where, and a missing library told by its package."""
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.node import BIN_DIR, ROOT, SANITIZED, SELVEDGE, SELVEDGECTL, run

pytestmark = pytest.mark.skipif(not shutil.which("cmake"), reason="not installed: cmake")


def command(*line, **environment):
    return subprocess.run(line, capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=ROOT,
                          env={**os.environ, **environment})


def test_both_programs_are_in_the_build_directory():
    assert run("--version").returncode == 0
    assert run("--version", binary=SELVEDGECTL).returncode == 0


def test_presets_and_jemalloc_in_release_only():
    presets = {preset["name"]: preset for preset in json.loads((ROOT / "CMakePresets.json").read_text())["configurePresets"]}
    assert {name: Path(preset["binaryDir"]).name for name, preset in presets.items()} == {
        "release": "build", "debug": "build-debug", "tsan": "build-tsan", "fuzz": "build-fuzz"}
    variables = {name: preset["cacheVariables"] for name, preset in presets.items()}
    assert [name for name in variables if variables[name].get("SELVEDGE_JEMALLOC") == "ON"] == ["release"]
    assert variables["debug"]["SELVEDGE_SANITIZE"] == "address,undefined"
    assert variables["tsan"]["SELVEDGE_SANITIZE"] == "thread"
    assert variables["fuzz"]["SELVEDGE_SANITIZE"] == variables["debug"]["SELVEDGE_SANITIZE"]
    assert all(preset["SELVEDGE_WERROR"] == "ON" for preset in variables.values())
    listed = command("cmake", "--list-presets").stdout
    assert all(f'"{name}"' in listed for name in presets)


def test_a_sanitized_program_has_its_own_allocator():
    assert not SANITIZED or "jemalloc" not in command("ldd", str(SELVEDGE)).stdout


@pytest.mark.skipif("jemalloc" not in command("ldd", str(SELVEDGE)).stdout, reason="built without jemalloc")
def test_a_thread_keeps_as_many_freed_blocks_as_connections_give_back_at_once():
    """jemalloc has found the setting that the program has for it."""
    said = command(str(SELVEDGE), "--version", MALLOC_CONF="stats_print:true")
    assert "opt.tcache_nslots_small_min: 200" in said.stdout + said.stderr


def test_suppressions_are_of_libraries_and_each_has_its_reason():
    """Of reports by sanitizers: nothing that is ours is looked over."""
    named = []
    for path in (path for room in ("conf", "edge", "origin_pull", "purge") for path in (ROOT / room).rglob("*.c")):
        function = re.search(r"_default_suppressions\(void\)\n{(.*?)\n}", path.read_text(), re.S)
        for line in function[1].splitlines() if function else []:
            rule = re.fullmatch(r'\s*(?:return )?"called_from_lib:(lib[\w-]+)\.so\\n";? /\* .{20,} \*/', line)
            named += [rule[1]] if rule else [] if not line.strip() else [line]
    assert sorted(named) == ["liburcu-cds", "liburcu-memb"]
    assert not any("suppressions=" in path.read_text() for path in (ROOT / "tests/run", ROOT / "tests/scenario/harness/node.py"))


@pytest.mark.skipif(not (BIN_DIR / "cmake_install.cmake").exists(), reason=f"{BIN_DIR} is no build directory")
def test_install_puts_everything_in_its_place(tmp_path):
    done = command("cmake", "--install", str(BIN_DIR), "--prefix", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} >= {
        "bin/selvedge", "bin/selvedgectl", "share/doc/selvedge/README.md", "share/doc/selvedge/LICENSE",
        "lib/systemd/system/selvedge.service", "lib/sysusers.d/selvedge.conf"}
    assert (tmp_path / "etc/selvedge").is_dir()
    assert run("--version", binary=tmp_path / "bin/selvedge").stdout == run("--version").stdout


@pytest.mark.parametrize("module, package", [("jansson", "libjansson-dev"), ("liburcu-cds", "liburcu-dev"),
                                             ("libh2o-evloop", "libh2o-evloop-dev")])
def test_a_missing_library_is_told_by_its_package(tmp_path, module, package):
    there = tmp_path / "pkgconfig"
    there.mkdir()
    for directory in command("pkg-config", "--variable", "pc_path", "pkg-config").stdout.strip().split(":"):
        for file in Path(directory).glob("*.pc"):
            if file.stem != module and not (there / file.name).exists():
                (there / file.name).symlink_to(file)
    done = command("cmake", "-S", str(ROOT), "-B", str(tmp_path / "build"), "-DSELVEDGE_TESTS=OFF",
                   PKG_CONFIG_PATH="", PKG_CONFIG_LIBDIR=str(there))
    assert done.returncode != 0
    assert f"apt-get install {package}\n" in done.stderr, done.stderr
