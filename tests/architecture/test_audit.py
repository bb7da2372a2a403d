"""The bill of materials names what is installed, and an audit that could not ask does not pass."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from deploy.audit import CLEAN, EVERYTHING, RUNTIME, UNPROVEN, VULNERABLE, asked, verdict

ROOT = Path(__file__).parents[2]


def test_the_bill_of_materials_names_every_package_of_the_lock_with_its_hashes(tmp_path: Path) -> None:
    target = tmp_path / "made" / "sbom.json"
    subprocess.run([sys.executable, ROOT / "deploy" / "audit.py", "--only-bill", "--bill", target], check=True)
    bill = json.loads(target.read_text())
    assert bill["bomFormat"] == "CycloneDX"
    whole = bill["metadata"]["component"]
    assert (whole["name"], whole["type"]) == ("signalbox", "application")
    said = {
        (part["name"], part["version"]): {
            hash["content"] for reference in part["externalReferences"] for hash in reference["hashes"]
        }
        for part in bill["components"]
    }
    locked = {
        (name, version): set(re.findall(r"--hash=sha256:(\w+)", hashes))
        for name, version, hashes in re.findall(
            r"^([\w.-]+)==(\S+) \\\n((?: +--hash=\S+(?: \\)?\n)+)", RUNTIME.read_text(), flags=re.MULTILINE
        )
    }
    assert len(locked) > 20
    assert said == locked


def report(*packages: object) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


FINE = {"name": "fine", "version": "1.0", "vulns": []}
BAD = {"name": "bad", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1", "2.0"]}]}
HOPELESS = {"name": "hopeless", "version": "1.0", "vulns": [{"id": "PYSEC-2", "fix_versions": []}]}
UNKNOWN = {"name": "unknown", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("said", "complaints", "status", "told"),
    [
        (report(FINE, FINE), "", CLEAN, "None of 2 packages"),
        (report(FINE, BAD), "", VULNERABLE, "bad 1.0: PYSEC-1, mended in 1.1, 2.0"),
        (report(HOPELESS), "", VULNERABLE, "mended in none"),
        (report(FINE, UNKNOWN), "", UNPROVEN, "nothing of 1 of 2 packages: unknown"),
        (report(BAD, UNKNOWN), "", UNPROVEN, "PYSEC-1"),
        (report(), "", UNPROVEN, "nothing is proven"),
        ("", "Traceback …\nConnectionError: no such host", UNPROVEN, "from here: ConnectionError: no such host"),
        ("", "", UNPROVEN, "it said nothing"),
    ],
)
def test_only_an_audit_that_looked_up_every_package_finds_nothing(
    said: str, complaints: str, status: int, told: str
) -> None:
    found, lines = verdict(said, complaints)
    assert found == status
    assert told in "\n".join(lines)
    assert ("nothing is proven" in "\n".join(lines)) == (status == UNPROVEN)


@contextmanager
def osv(questions: set[tuple[str, str]], flawed: str = "", silent: str = "") -> Iterator[str]:
    """The address of a database that speaks as OSV does: of one package it knows a flaw, of another it says nothing."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = query["package"]["name"]
            questions.add((name, query["version"]))
            range_ = {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99"}]}
            affected = [{"package": query["package"], "ranges": [range_]}]
            body = json.dumps({"vulns": [{"id": "PYSEC-1", "affected": affected}]} if name == flawed else {}).encode()
            self.send_response(503 if name == silent else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        serving = Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/query"
        finally:
            server.shutdown()
            serving.join()


def test_an_audit_asks_for_every_package_of_both_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    questions: set[tuple[str, str]] = set()
    with osv(questions, flawed="redis") as address:
        monkeypatch.setenv("PIP_AUDIT_OSV_URL", address)
        status, lines = verdict(*asked("osv"))
    (line,) = lines
    assert re.fullmatch(r"redis \S+: PYSEC-1, mended in 99", line)
    assert status == VULNERABLE
    locks = RUNTIME.read_text() + EVERYTHING.read_text()
    assert questions == set(re.findall(r"^([\w.-]+)==(\S+)", locks, flags=re.MULTILINE))


def test_an_audit_that_is_refused_an_answer_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with osv(set(), silent="redis") as address:
        monkeypatch.setenv("PIP_AUDIT_OSV_URL", address)
        status, _ = verdict(*asked("osv"))
    assert status == UNPROVEN


def test_the_checks_that_need_no_network_do_not_wait_for_the_one_that_does() -> None:
    rules = dict(re.findall(r"^([a-z-]+): ?(.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert "audit" in rules
    assert not [name for name, needs in rules.items() if "audit" in needs.partition("##")[0].split()]
