"""Writes the digests of the images that the files of deployments name, so that a tag that moves changes nothing.

    make pin-images

It asks the registries through Docker (`docker buildx imagetools inspect`), and so has to run where both are. An image
that has a digest gets the one that its tag has now. Own images, which are built and not pulled, are left alone.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = ("compose.yaml", "Dockerfile")
# `image: name:tag` of Compose and `FROM name:tag` of a Dockerfile, perhaps with a digest; none with a variable in it.
NAMED = re.compile(r"^(?P<before>\s*image: |FROM )(?P<image>[\w./-]+:[\w.-]+)(?:@sha256:\w+)?(?=\s|$)", re.MULTILINE)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docker", default="docker", help="the program to ask with")
    parser.add_argument("--folder", type=Path, default=ROOT, help="where the files are")
    given = parser.parse_args()
    known: dict[str, str] = {}

    def digest_of(image: str) -> str:
        if image not in known:
            known[image] = asked(given.docker, image)
            print(f"{image}@{known[image]}")
        return known[image]

    try:
        pinned = {name: pin((given.folder / name).read_text(), digest_of) for name in FILES}
    except (OSError, LookupError) as problem:
        print(f"Nothing was changed: {problem}", file=sys.stderr)
        return 1
    for name, text in pinned.items():
        (given.folder / name).write_text(text)
    return 0


def pin(text: str, digest_of: Callable[[str], str]) -> str:
    """The text of a file with the digest behind each image that is pulled."""
    return NAMED.sub(lambda found: f"{found['before']}{found['image']}@{digest_of(found['image'])}", text)


def asked(docker: str, image: str) -> str:
    """The digest of an image, for all platforms together; LookupError if it cannot be learnt."""
    inspect = [docker, "buildx", "imagetools", "inspect", image, "--format", "{{.Manifest.Digest}}"]
    answer = subprocess.run(inspect, capture_output=True, text=True, check=False)
    if answer.returncode or not DIGEST.fullmatch(answer.stdout.strip()):
        raise LookupError(f"{image}: {answer.stderr.strip() or answer.stdout.strip() or 'no answer'}")
    return answer.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
