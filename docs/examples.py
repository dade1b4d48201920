#!/usr/bin/env python3
"""Refuses public functions of the named crates that no example shows.

An example is a code block that asserts something; rustdoc compiles and runs it. It is on the function's own page, or it uses the
function and is on the page of its type or trait, or on one that its page points to: "See [`X`] for an example."

The sources are read as text. That is enough: rustfmt lays them out, a file ends with its tests, and rustc's `unreachable_pub`
sees to it that what is written `pub` can be reached.
"""

import re
import sys
from pathlib import Path

# What has no example, and why. "X::*" stands for all that X has.
EXCEPTIONS = {
    "Decorator::around": "the trait's example implements it, with a parameter for its type",
    "NearCache::is_live": "its example waits until it is true",
    "RedisStore::cluster": "needs a cluster; session-redis/tests has one",
    "RedisStore::connect": "needs a server; the examples of `NearCache` begin with it",
    "RedisStore::sentinel": "needs sentinels; session-redis/tests has some",
    "SessionStore::*": "authors write it; the manual's chapter on that has a whole one",
    "adapter::failures": "needs a framework; the module's page has a whole application",
    "adapter::suite": "needs a framework; the module's page has a whole application",
    "store::suite": "it asserts by itself; the module's page runs it",
}

ITEM = re.compile(r"(?:pub )?(?:(?:const|async) )*(fn|struct|enum|trait) (\w+)")
IMPL = re.compile(r"impl(?:<.*?>)? (?:.* for )?(\w+)")
BLOCK = re.compile(r"^ ?```([^\n]*)\n(.*?)^ ?```", re.DOTALL | re.MULTILINE)
POINTER = re.compile(r"See \[`([\w:]+)`\](?:\([\w:]+\))? for an example")


def public_items(path):
    """The kind, name, line and page of each; a function's name has its type, trait or module in front."""
    owner, in_trait, page, hidden = path.stem, False, [], False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        text = line.strip()
        if line == "#[cfg(test)]":
            return
        if text.startswith("///"):
            page.append(text.removeprefix("///"))
        elif text.startswith("#["):
            hidden = hidden or "doc(hidden)" in text
        else:
            found = ITEM.match(text)
            if found and not hidden and (text.startswith("pub ") or in_trait and re.match(r"    \w", line)):
                kind, name = found.groups()
                yield kind, f"{owner}::{name}" if kind == "fn" else name, f"{path}:{number}", "\n".join(page) + "\n"
            if found and found[1] == "trait" or IMPL.match(line):
                owner, in_trait = (found or IMPL.match(line)).groups()[-1], text.startswith("pub ")
            elif line == "}":
                owner, in_trait = path.stem, False
            page, hidden = [], False


def examples(page):
    """The code of those that assert something."""
    return "\n".join(code for flags, code in BLOCK.findall(page) if "assert" in code or "compile_fail" in flags)


def is_shown(name, page, pages):
    owner, function = name.split("::")
    others = [owner, *POINTER.findall(page)]
    return examples(page) or any(re.search(rf"\b{function}\(", examples(pages.get(other, ""))) for other in others)


def main(crates):
    shown, excused, refused = 0, set(), []
    for crate in crates:
        # `fuzzing` is there for the fuzz targets alone.
        files = [path for path in sorted(Path(crate, "src").rglob("*.rs")) if path.stem != "fuzzing"]
        items = [item for path in files for item in public_items(path)]
        pages = {name: page for _, name, _, page in items}
        for name, place, page in [item[1:] for item in items if item[0] == "fn"]:
            exception = name if name in EXCEPTIONS else name.split("::")[0] + "::*"
            if is_shown(name, page, pages):
                shown += 1
            elif exception in EXCEPTIONS:
                excused.add(exception)
            else:
                refused.append(f"{place}: {name} has no example that asserts something")
    refused += [f"{__file__}: {name} needs no exception" for name in EXCEPTIONS.keys() - excused]
    print(f"{shown} public functions are shown by an example; {len(excused)} exceptions")
    sys.exit("\n".join(refused) or None)


if __name__ == "__main__":
    main(sys.argv[1:])
