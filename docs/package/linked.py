"""What is linked into the release binary: `linked.py sbom VERSION` prints it as CycloneDX 1.6, `linked.py
licenses` the texts of its licenses. The same Cargo.lock and compiler give the same octets: there is no time
and no random number in it.

Crates that only build or test the program are not in it (build scripts, macros, dev-dependencies). cargo
tells which these are, by the features that are on for this target.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
CARGO = os.environ.get("CARGO", "cargo")


def output(*command):
    return subprocess.run(command, cwd=TOP, check=True, stdout=subprocess.PIPE, text=True).stdout


def linked(target):
    """Each package as (name, version) with those that it uses, the program first."""
    tree = output(CARGO, "tree", "--locked", "--target", target, "--edges", "normal,no-proc-macro",
                  "--prefix", "depth", "--format", " {p}")
    uses, path = {}, []
    for line in tree.splitlines():
        depth, name, version = line.split()[:3]
        package = (name, version.removeprefix("v"))
        del path[int(depth):]
        if path:
            uses[path[-1]].add(package)
        path.append(package)
        uses.setdefault(package, set())
    return uses


def described(target):
    """What the manifests say of each package, and the hashes of Cargo.lock."""
    told = output(CARGO, "metadata", "--locked", "--format-version", "1", "--filter-platform", target)
    packages = {(package["name"], package["version"]): package for package in json.loads(told)["packages"]}
    lock = tomllib.loads((TOP / "Cargo.lock").read_text())
    hashes = {(package["name"], package["version"]): package.get("checksum") for package in lock["package"]}
    return packages, hashes


def expression(package):
    # Old manifests have a slash for OR.
    return re.sub(r"\s*/\s*", " OR ", package["license"])


def compiler():
    lines = output(os.environ.get("RUSTC", "rustc"), "-vV").splitlines()[1:]
    return dict(line.split(": ", 1) for line in lines)


def sbom(version):
    rustc = compiler()
    uses = linked(rustc["host"])
    packages, hashes = described(rustc["host"])
    program = next(iter(uses))
    # The name is another's on the public registry, perhaps: this program is not there.
    main = f"pkg:generic/{program[0]}@{version}"
    std = f"pkg:generic/rust-std@{rustc['release']}"
    reference = {package: f"pkg:cargo/{package[0]}@{package[1]}" for package in uses} | {program: main}

    components = [{
        "type": "library",
        "bom-ref": std,
        "name": "rust-std",
        "version": rustc["release"],
        "description": f"The standard library of rustc {rustc['release']}, commit {rustc['commit-hash']}",
        "licenses": [{"expression": "MIT OR Apache-2.0"}],
        "purl": std,
    }]
    for package in sorted(set(uses) - {program}):
        told = packages[package]
        if not (told["source"] or "").startswith("registry+"):
            sys.exit(f"{package[0]} {package[1]} is not from the registry, which an SBOM would say of it")
        components.append({
            "type": "library",
            "bom-ref": reference[package],
            "name": package[0],
            "version": package[1],
            "hashes": [{"alg": "SHA-256", "content": hashes[package]}],
            "licenses": [{"expression": expression(told)}],
            "purl": reference[package],
        })
    dependencies = [{"ref": std, "dependsOn": []}]
    for package in sorted(uses):
        depends = sorted(reference[used] for used in uses[package])
        dependencies.append({"ref": reference[package], "dependsOn": depends + [std] * (package == program)})
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": main,
                "name": program[0],
                "version": version,
                "licenses": [{"expression": expression(packages[program])}],
                "purl": main,
            }
        },
        "components": components,
        "dependencies": dependencies,
    }


def licenses():
    target = compiler()["host"]
    packages, _ = described(target)
    program, *others = linked(target)
    # Many have the same text, which stands once behind the names of all of them.
    crates = {}
    for package in sorted(others):
        told = packages[package]
        said = f"{package[0]} {package[1]}: {expression(told)}"
        files = [file for file in Path(told["manifest_path"]).parent.iterdir() if file.is_file() and
                 re.match(r"(un)?licen[cs]e|copying|copyright|notice", file.name, re.IGNORECASE)]
        texts = tuple(sorted({file.read_text(errors="replace").strip() for file in files}))
        if not texts:
            said += f" (its archive has no text of it), by {', '.join(told['authors']) or 'its authors'}"
        crates.setdefault(texts, []).append(said)
    for texts, said in sorted(crates.items(), key=lambda item: item[1]):
        yield "\n\n".join(["\n".join(said), *texts, "-" * 72 + "\n"])


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["sbom", version]:
            print(json.dumps(sbom(version), indent=2))
        case ["licenses"]:
            print("\n".join(licenses()))
        case _:
            sys.exit(__doc__)
