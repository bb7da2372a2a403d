"""Writes what is installed as a bill of materials, and asks whether any of it has a known vulnerability.

    make audit                  asks the database of PyPI
    make audit DATABASE=osv     asks that of OSV

Ends with 0 if every package was looked up and none is known to be vulnerable, with 1 if one is, and with 2 if not every
package could be looked up: then nothing is proven, whatever was found of the others.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
# What goes into the image, and everything that builds and tests it.
RUNTIME, EVERYTHING = ROOT / "requirements.lock", ROOT / "requirements-dev.lock"
BILL = ROOT / "build" / "sbom.cdx.json"
CLEAN, VULNERABLE, UNPROVEN = range(3)


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=("pypi", "osv"), default="pypi", help="whom to ask")
    parser.add_argument("--bill", type=Path, default=BILL, help="where the bill of materials goes")
    parser.add_argument("--only-bill", action="store_true", help="ask nobody")
    given = parser.parse_args()
    write_bill(given.bill)
    print(f"{given.bill}: what is in {RUNTIME.name}, as CycloneDX")
    if given.only_bill:
        return CLEAN
    status, lines = verdict(*asked(given.database))
    print(*lines, sep="\n", file=sys.stderr if status else sys.stdout)
    return status


def write_bill(target: Path) -> None:
    """What goes into the image, with the hash of every file that may be installed. Needs no network."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # -W: that the lock tells what needs what in comments only is no news.
    makes = f"{sys.executable} -W ignore -m cyclonedx_py requirements --output-reproducible --mc-type application"
    subprocess.run(
        [*makes.split(), "--pyproject", str(ROOT / "pyproject.toml"), "--output-file", str(target), str(RUNTIME)],
        check=True,
    )


def asked(database: str) -> tuple[str, str]:
    """What pip-audit says of every package of the lock, and what it complains of."""
    asks = f"{sys.executable} -m pip_audit --require-hashes --disable-pip --format json --progress-spinner off"
    audit = subprocess.run(
        [*asks.split(), "--timeout", "15", "--vulnerability-service", database, "--requirement", str(EVERYTHING)],
        capture_output=True,
        text=True,
        check=False,
    )
    return audit.stdout, audit.stderr


def verdict(report: str, complaints: str) -> tuple[int, Sequence[str]]:
    """How the audit ends, and what it says, by the report of pip-audit."""
    try:
        packages = json.loads(report)["dependencies"]
    except (ValueError, KeyError):
        reason = complaints.strip().splitlines()[-1:] or ["it said nothing"]
        return UNPROVEN, [f"The database of vulnerabilities cannot be asked from here: {reason[0]}", _NOTHING_PROVEN]
    lines = [
        f"{package['name']} {package['version']}: {flaw['id']}, mended in {', '.join(flaw['fix_versions']) or 'none'}"
        for package in packages
        for flaw in package.get("vulns", ())
    ]
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    if skipped:
        some = ", ".join(skipped[:5]) + (", …" if len(skipped) > 5 else "")
        lines.append(f"The database knows nothing of {len(skipped)} of {len(packages)} packages: {some}")
    if skipped or not packages:
        return UNPROVEN, [*lines, _NOTHING_PROVEN]
    return (VULNERABLE, lines) if lines else (CLEAN, [f"None of {len(packages)} packages is known to be vulnerable."])


_NOTHING_PROVEN = "So nothing is proven. The audit needs a way to the database: run it where there is one."


if __name__ == "__main__":
    sys.exit(main())
