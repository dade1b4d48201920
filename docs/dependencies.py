#!/usr/bin/env python3
"""Refuses dependencies that nothing uses, in every Cargo.toml of this repository.

What is in [dependencies] is used by the crate itself, what is in [dev-dependencies] by its tests, examples, documentation or
chapters, what is in [workspace.dependencies] by a member. A use is the crate's name with `::` behind it.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path


def files(folder, *patterns):
    return [path for pattern in patterns for path in folder.rglob(pattern) if "target" not in path.parts]


def product(folder, tables):
    """The code of a crate, without its comments and tests."""
    folders = {folder / "src", *((folder / program.get("path", "src")).parent for program in tables.get("bin", []))}
    sources = [path for folder in folders for path in files(folder, "*.rs") if path.stem != "tests"]
    texts = [path.read_text().split("\n#[cfg(test)]\nmod ")[0] for path in sources]
    return re.sub(r"^\s*//.*$", "", "\n".join(texts), flags=re.MULTILINE)


def everything(folder, tables):
    """All that is written in a crate's folder, and the modules that it takes from another one."""
    texts = [path.read_text() for path in files(folder, "*.rs", "*.md")]
    for path in files(folder, "*.rs"):
        for other in re.findall(r'#\[path = "(.*)"\]', path.read_text()):
            texts += [path.read_text() for path in files((path.parent / other).resolve().parent, "*.rs")]
    return "\n".join(texts)


def unused(manifest):
    tables = tomllib.loads(manifest.read_text())
    for table, read in {"dependencies": product, "dev-dependencies": everything}.items():
        code = read(manifest.parent, tables) if table in tables else ""
        for name in tables.get(table, {}):
            if not re.search(rf"\b{name.replace('-', '_')}::", code):
                yield f"{manifest}: nothing uses what [{table}] says of {name}"


def unwanted(workspace, members):
    """What [workspace.dependencies] offers and no member takes."""
    tables = [tomllib.loads(member.read_text()) for member in members]
    taken = {name for member in tables for kind in ("dependencies", "dev-dependencies") for name in member.get(kind, {})}
    offered = tomllib.loads(workspace.read_text())["workspace"]["dependencies"]
    return [f"{workspace}: no member takes what [workspace.dependencies] says of {name}" for name in offered if name not in taken]


def main():
    listed = subprocess.run(["git", "ls-files", "*Cargo.toml"], check=True, capture_output=True, text=True).stdout.split()
    workspace, *others = sorted(map(Path, listed), key=lambda path: len(path.parts))
    refused = [line for manifest in others for line in unused(manifest)] + unwanted(workspace, others)
    print(f"{len(others)} crates, {len(refused)} dependencies that nothing uses")
    sys.exit("\n".join(refused) or None)


if __name__ == "__main__":
    main()
