#!/usr/bin/env python3
"""Shows where a server spends its CPU time while one request is asked over and over: by package and by function.

    python benchmarks/cpu_profile.py get
    python benchmarks/cpu_profile.py create --target fastapi --seconds 30

py-spy (`pip install py-spy`; it needs the right to trace processes) samples the server from outside, frames of C code
included, so nothing is added to the code that is measured. Prints Markdown.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from servers import Target
from services import postgres, unwind_when_told_to_end
from side_by_side import PHASES, Fleet, Wrk

FRAME = re.compile(r"^(?P<function>.*) \((?P<file>.*?)(?::\d+)?\)$")
OURS = ("domain", "application", "adapters", "entrypoints", "app")  # the last is the FastAPI service's
# Compiled code carries the name of its source file, which is not the name of its package.
COMPILED = {
    "httptools": ("parser.c", "llhttp.c", "api.c", "http.c"),
    "asyncpg": ("protocol.c", "pgproto.c", "recordobj.c"),
    "msgspec": ("_core.c",),
    "hiredis": ("reader.c", "hiredis.c", "pack.c"),
    "uvloop": (
        "loop.c", "core.c", "stream.c", "linux.c", "loop-watcher.c", "queue.h", "uv-common.c", "tcp.c", "timer.c",
        "heap-inl.h",
    ),
    "asyncio": ("_asynciomodule.c", "_asynciomodule.c.h"),
}  # fmt: skip
PACKAGE_OF = {file: package for package, files in COMPILED.items() for file in files}
SOCKET_CALLS = {"read", "write", "writev", "send", "sendto", "sendmsg", "recv", "recvfrom", "recvmsg", "epoll_ctl"}
# A thread that waits for work is asleep, though a sampler that sees native frames takes it for busy.
WAITING = {"queue.py", "threading.py", "concurrent/futures/thread.py"}
REST = "interpreter, C library"


@dataclass
class Profile:
    """Samples by who ran: `packages` by innermost known package; `functions` of our own code by innermost one."""

    samples: int = 0
    packages: Counter[str] = field(default_factory=Counter)
    functions: Counter[tuple[str, str]] = field(default_factory=Counter)  # (file, function): itself and libraries
    below: Counter[tuple[str, str]] = field(default_factory=Counter)  # anywhere on the stack


def is_python(file: str) -> bool:
    return file.endswith(".py") or file.startswith("<")


def package_of(function: str, file: str) -> str | None:
    """None for frames that say nothing about who asked for the work."""
    first = file.split("/")[0]
    if file in PACKAGE_OF:
        return PACKAGE_OF[file]
    if first in OURS:
        return "/".join(Path(file).parts[:2]).removesuffix(".py")
    if file.endswith(".py") and "/" in file:
        return "asyncio" if first == "asyncio" else "standard library" if first in sys.stdlib_module_names else first
    if is_python(file):
        return "standard library"
    if "libcrypto" in file or file.startswith("_hashopenssl"):
        return "OpenSSL"
    if file.endswith(".so") and "/" in file:
        return first
    return None


def read_samples(raw: str) -> Profile:
    """py-spy's raw format: a line is the frames of one stack, outermost first, and how often it was seen."""
    profile = Profile()
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        matches = [FRAME.match(frame) for frame in stack.split(";")]
        frames = [(match["function"], match["file"]) for match in matches if match]
        python_files = [file for _, file in frames if is_python(file)]
        if not frames or (python_files and python_files[-1] in WAITING):
            continue
        seen = int(count)
        profile.samples += seen
        innermost = frames[-1]
        if innermost[0].strip("_") in SOCKET_CALLS and "libc" in innermost[1]:
            owner = "sockets (system calls)"
        else:
            owner = next((name for name in (package_of(*frame) for frame in reversed(frames)) if name), REST)
        profile.packages[owner] += seen
        own = [(file, function) for function, file in frames if file.split("/")[0] in OURS and is_python(file)]
        profile.functions[own[-1] if own else ("outside", owner)] += seen
        profile.below.update(dict.fromkeys(own, seen))
    return profile


def markdown(profile: Profile, functions: int) -> str:
    lines = ["| package | share of CPU |", "|---|---:|"]
    lines += [f"| {name} | {count / profile.samples:.1%} |" for name, count in profile.packages.most_common(25)]
    lines += ["", "| function | itself and libraries | with our functions below it |", "|---|---:|---:|"]
    for (file, function), count in profile.functions.most_common(functions):
        total = profile.below[file, function]
        shown = f"{total / profile.samples:.1%}" if total else ""
        name = f"outside our code: {function}" if file == "outside" else f"`{file}` {function}"
        lines.append(f"| {name} | {count / profile.samples:.1%} | {shown} |")
    return "\n".join([*lines, "", f"{profile.samples:,} samples."])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("phase", choices=list(PHASES))
    parser.add_argument("--target", default="signalbox")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rate", type=int, default=400, help="samples per second; each stops the server for a moment")
    parser.add_argument("--functions", type=int, default=30, help="how many to show")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--server-cpu", default="0")
    parser.add_argument("--load-cpu", default="1")
    parser.add_argument("--raw", type=Path, help="keep py-spy's stacks here, to draw a flame graph of them")
    options = parser.parse_args()
    unwind_when_told_to_end()
    sampler = shutil.which("py-spy")
    if not sampler:
        raise SystemExit("py-spy is not installed: pip install py-spy")
    target = Target.load(options.target)
    if variable := target.missing():
        raise SystemExit(f"{target.name} needs {variable} in the environment; see benchmarks/README.md")

    with ExitStack() as stack:
        database = stack.enter_context(postgres())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        target.prepare(database)
        server = Fleet(stack, database, options.server_cpu).server(target, options.phase)
        ids = server.reset()
        server.check(options.phase, ids)
        wrk = Wrk(options.load_cpu, options.connections, folder)
        wrk.load_requests(server, options.phase, ids)
        wrk.run(server, 5)
        figures = wrk.run(server, 5).figures()  # before the sampler slows the server down
        raw = options.raw or folder / "stacks"
        load = threading.Thread(target=wrk.run, args=(server, options.seconds + 4))
        load.start()
        command = ["taskset", "-c", options.load_cpu, sampler, "record", "--native", "--format", "raw"]
        command += ["--pid", str(server.pid), "--rate", str(options.rate), "--duration", str(options.seconds)]
        done = subprocess.run([*command, "--output", str(raw)], capture_output=True, text=True)
        load.join()
        if done.returncode:
            raise SystemExit(done.stderr)
        busy = f"{figures['server_us']:.0f} µs of server CPU a request, {figures['requests_per_s']:,.0f} requests/s"
        print(f"### {target.title}, {PHASES[options.phase]}: {busy}, without the sampler\n")
        print(markdown(read_samples(raw.read_text()), options.functions))


if __name__ == "__main__":
    main()
