"""What `pki serve` does in a second, beside `openssl ocsp`, and what an operator waits for beside it."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from unittest import mock

from ground import PKI, ROOT, ROOT_SECRET, SECRET, TARGET, WORK, bulk, fleet_home, home, ms, pki, row, run

ENROLL = TARGET / "examples" / "enroll"
ORDER = TARGET / "examples" / "order"
LOAD = TARGET / "examples" / "load"
CONNECTIONS = 64
REVOCATIONS = 100


def free_ports(count):
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


def is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def running(command, log, is_up):
    """A program that runs until the block ends; begun once `is_up` says so of what it has told."""
    with open(WORK / log, "wb") as told:
        process = subprocess.Popen([str(c) for c in command], stdout=told, stderr=told)
    try:
        while not is_up((WORK / log).read_text()):
            if process.poll() is not None:
                sys.exit(f"{command}: {(WORK / log).read_text()}")
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait()


def page_certificate(name):
    """A certificate of the page, by itself, and its key: NAME.crt and NAME.key."""
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
        "-subj", "/CN=api.acme.example", "-addext", "subjectAltName=DNS:api.acme.example",
        "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", f"{name}.key", "-out", f"{name}.crt")


class Service:
    """The service of a home, at ports of its own."""

    def __init__(self, name, process, ports):
        self.name, self.process, self.ports = name, process, ports

    def memory(self):
        """Its memory now, in MB."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(next(line.split()[1] for line in status if line.startswith("VmRSS:"))) / 1024

    def enrolling(self, count, connections):
        """Devices that enroll, from now on: their invites are made, which holds the home for some seconds."""
        loading = subprocess.Popen([str(c) for c in (ENROLL, WORK / self.name, SECRET, count, self.ports["page"],
                                                     WORK / "page.crt", connections)], stdout=subprocess.PIPE)
        loading.stdout.readline()
        return loading

    def enroll(self, count, connections=CONNECTIONS):
        """How that went."""
        return json.loads(self.enrolling(count, connections).communicate()[0])


@contextlib.contextmanager
def serving(name, *more, program=PKI):
    """The service of a home, with the page, what is published, and `more` faces."""
    configuration = WORK / name / "pki.toml"
    own = f'[serve]\nhost = "api.acme.example"\npage_certificate = "{WORK}/page.crt"\npage_key = "{WORK}/page.key"\n'
    if own not in configuration.read_text():
        configuration.write_text(configuration.read_text().replace("[serve]\n", own, 1))
    faces = ["page", "status", *more]
    ports = dict(zip(faces, free_ports(len(faces))))
    listening = [word for face, port in ports.items() for word in (f"--{face}", f"127.0.0.1:{port}")]
    command = pki(name, "serve", *listening, "--passphrase-file", SECRET, program=program)
    with running(command, f"{name}.log", lambda _: all(map(is_listening, ports.values()))) as process:
        yield Service(name, process, ports)


def of_server(name):
    """The home, with the server whose pin is in invites."""
    run(*pki(name, "server", "add", "api.acme.example", "--passphrase-file", SECRET))
    return name


def that_syncs_each():
    """The same program with batches of one: it waits for the disk once for each device. Built anew, apart."""
    source = WORK / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns("target", ".git"))
    clerk = source / "src" / "serve" / "clerk.rs"
    text, changed = re.subn(r"(?m)^const BATCH: usize = \d+;", "const BATCH: usize = 1;", clerk.read_text())
    if changed != 1:
        sys.exit(f"{clerk}: there is no one BATCH")
    clerk.write_text(text)
    target = TARGET.parent / "that-syncs-each"
    build = ["cargo", "build", "--quiet", "--release", "--locked", "--bin", "pki", "--target-dir", target]
    subprocess.run([str(c) for c in build], cwd=source, check=True)
    return target / "release" / "pki"


@contextlib.contextmanager
def journaled():
    """The name of a directory on ext4 as mkfs.ext4 makes it, with a journal, in a file: many a virtual machine has none."""
    image, disk = WORK / "disk.img", WORK / "disk"
    disk.mkdir()
    with open(image, "wb") as file:
        file.truncate(4 << 30)
    run("mkfs.ext4", "-q", image)
    run("mount", "-o", "loop", image, disk)
    try:
        yield disk.name
    finally:
        run("umount", disk)
        image.unlink()


def synced(directory):
    """How long a batch takes to be on the disk of this directory."""
    taken = []
    with tempfile.TemporaryFile(dir=WORK / directory, buffering=0) as file:
        for _ in range(500):
            file.write(bytes(40_000))
            begun = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - begun)
    return ms(statistics.median(taken))


def in_turn(services, count, runs):
    """How many devices enroll in a second, and the p99 in ms, by each service: medians of runs in turn."""
    told = [[] for _ in services]
    for _ in range(runs):
        for service, of_it in zip(services, told):
            of_it.append(service.enroll(count))
    return [[statistics.median(one[what] for one in of_it) for what in ("per_second", "p99_ms")] for of_it in told]


def enrollment():
    who = f"devices that enroll by {CONNECTIONS} connections"
    empty, each = (of_server(home(name, publish=True, cheap=False)) for name in ("enrolled", "enrolled-each"))
    many = of_server(fleet_home("enrolled-many", 100_000))
    single = that_syncs_each()
    with serving(empty) as at_none, serving(many) as at_many, serving(each, program=single) as singly:
        (none, none_p99), (filled, filled_p99), (one, one_p99) = in_turn([at_none, at_many, singly], 6000, 5)
        row(f"{who}, at an empty home", f"{none:,.0f} a second, p99 {none_p99:.0f} ms", "1,000, 150 ms")
        row(f"{who}, at 100,000 records", f"{filled:,.0f} a second, p99 {filled_p99:.0f} ms, {none / filled:.2f} × the "
            "time of an empty home", "1,000, 150 ms, 1.2 ×")
        row(f"{who}, by a build that syncs each, where a sync takes {synced('.')}",
            f"{one:,.0f} a second, p99 {one_p99:.0f} ms: the service does {none / one:.1f} × that", "4 ×")
        for service, where in ((at_none, "at an empty home"), (at_many, "at 100,000 records")):
            row(f"memory of the service after 30,000 of them, {where}", f"{service.memory():.0f} MB", "")
        alone = statistics.median(at_none.enroll(1500, 1)["per_second"] for _ in range(3))
    row("devices that enroll by one connection, one after another, at an empty home", f"{alone:,.0f} a second", "")
    with journaled() as disk:
        ours, each = (of_server(home(f"{disk}/{name}", publish=True, cheap=False)) for name in ("ours", "each"))
        with serving(ours) as service, serving(each, program=single) as singly:
            (grouped, grouped_p99), (one, _) = in_turn([service, singly], 6000, 5)
        row(f"{who}, on ext4 with its journal, where a sync takes {synced(disk)}", f"{grouped:,.0f} a second, "
            f"p99 {grouped_p99:.0f} ms: {grouped / one:.1f} × a build that syncs each, {one:,.0f} a second", "4 ×")


def ordering():
    """Servers that order certificates by ACME: by one account and by many devices beside it."""
    empty, many = of_server(home("ordering", publish=True, cheap=False)), of_server(fleet_home("ordering-many", 100_000))
    for name in (empty, many):
        run(*pki(name, "server", "issue", "api.acme.example", "--out", WORK / f"{name}-tls", "--passphrase-file", SECRET,
                 "--root-passphrase-file", ROOT_SECRET))
    for name, where in ((empty, "at an empty home"), (many, "at 100,000 records")):
        with serving(name, "acme") as service:
            told = []
            for _ in range(3):
                given = json.loads(subprocess.run(
                    pki(name, "server", "acme", "www.acme.example", "--json", "--passphrase-file", SECRET),
                    stdout=subprocess.PIPE, check=True).stdout)
                told.append(json.loads(subprocess.run(
                    [str(c) for c in (ORDER, 3000, service.ports["acme"], WORK / name / "public" / "ca" / "root.crt",
                                      given["kid"], given["mac_key"], CONNECTIONS)],
                    stdout=subprocess.PIPE, check=True).stdout))
            rate, p99 = (statistics.median(one[what] for one in told) for what in ("per_second", "p99_ms"))
            row(f"orders by ACME, four signed requests each, by {CONNECTIONS} connections of one account, {where}",
                f"{rate:,.0f} a second, p99 {p99:.0f} ms", "500")
            row(f"memory of the service after 9,000 of them, {where}", f"{service.memory():.0f} MB", "")


def waiting(command):
    """How long a command takes, and for how much of that it waits for the home's lock, as strace tells; in seconds."""
    trace = WORK / "flock.trace"
    seconds, _ = run("strace", "-f", "--seccomp-bpf", "-y", "-ttt", "-e", "trace=flock", "-o", trace, *command)
    since, waited, taken = None, 0, 0
    for line in trace.read_text().splitlines():
        if tried := re.match(r"\d+ +([0-9.]+) flock\(\d+<[^>]*/lock>, LOCK_EX\|LOCK_NB\) = (-?\d+)", line):
            at, is_had = float(tried[1]), tried[2] == "0"
            since = since or at
            if is_had:
                waited, taken, since = waited + at - since, taken + 1, None
    if not taken:
        sys.exit(f"{command}: strace saw nobody take the lock")
    return seconds, waited


def revoking():
    """`pki revoke`, with its publication, while devices enroll as fast as they can and are published."""
    taken = []
    while len(taken) < REVOCATIONS:
        # A home that is not larger each time. Unlocking the key, which comes before the lock, is not what is measured.
        name = of_server(home(f"revoking{len(taken)}", publish=True))
        run(*bulk(name, REVOCATIONS, name))
        with serving(name) as service:
            loading = service.enrolling(20_000, CONNECTIONS)
            for number in range(REVOCATIONS - len(taken)):
                command = pki(name, "revoke", f"{name}{number:06}/phone", "--yes", "--passphrase-file", SECRET)
                measured = waiting(command)
                # What ended after the load did is not counted.
                if loading.poll() is not None:
                    break
                taken.append(measured)
            loading.communicate()
        shutil.rmtree(WORK / name)
    whole, waited = zip(*taken)
    row(f"`pki revoke` while 20,000 enroll so, {REVOCATIONS} times: it waits for the lock",
        f"median {ms(statistics.median(waited))}, at most {ms(max(waited))}", "300 ms")
    row("of them under 0.3 s", f"{sum(one < 0.3 for one in waited)}", "")
    row("the whole command, its key of small scrypt cost, its publication written",
        f"median {ms(statistics.median(whole))}, at most {ms(max(whole))}", "")


def load(*arguments):
    """What the client tells of so many requests."""
    done = subprocess.run([str(c) for c in (LOAD, *arguments)], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def status():
    """OCSP of a home of 10,000 devices, by the service and by `openssl ocsp`."""
    name = of_server(fleet_home("status", 10_000))
    listed = subprocess.run(pki(name, "list", "--json"), stdout=subprocess.PIPE, check=True)
    numbers = [device["serial"].upper() for device in json.loads(listed.stdout)["devices"]]
    (WORK / "serials").write_text("\n".join(numbers) + "\n")
    (WORK / "one").write_text(numbers[0] + "\n")
    (WORK / "index").write_text("".join(f"V\t270101000000Z\t\t{number}\tunknown\t/CN={number}\n" for number in numbers))
    issuer = WORK / name / "public" / "ca" / "issuing.crt"

    def rate(port, count, connections, serials, way, runs=3):
        told = [load("ocsp", port, count, connections, issuer, WORK / serials, way) for _ in range(runs)]
        return tuple(statistics.median(one[key] for one in told) for key in ("per_second", "p99_ms"))

    def told(measured):
        return f"{measured[0]:,.0f} a second, p99 {measured[1]:.1f} ms"

    with serving(name) as service:
        port = service.ports["status"]
        first = rate(port, 10_000, 16, "serials", "post", runs=1)
        row("OCSP by POST, 10,000 certificates for the first time: signed", told(first), "")
        for way, verb in (("post", "POST"), ("get", "GET")):
            for serials, which in (("serials", "the same 10,000 again"), ("one", "one certificate")):
                row(f"OCSP by {verb}, {which}", told(rate(port, 200_000, 16, serials, way)), "20,000")
        row("OCSP by POST with a nonce: signed", told(rate(port, 30_000, 16, "serials", "nonce")), "3,000")
    port, = free_ports(1)
    responder = ["openssl", "ocsp", "-port", port, "-index", WORK / "index", "-CA", issuer, "-rsigner", issuer, "-rkey",
                 WORK / name / "issuing" / "issuing.key", "-passin", f"file:{SECRET}", "-nmin", "10"]
    # A connection that asks for nothing, as by whoever looks whether it listens, ends its work.
    with running(responder, "ocsp.log", lambda told: "waiting for OCSP client" in told):
        for way, what in (("post", "without a nonce"), ("nonce", "with a nonce")):
            row(f"`openssl ocsp -port`, one process, {what}: signed", told(rate(port, 30_000, 16, "serials", way)), "")


def by_unit():
    """The environment of the allocator, as the unit of the service sets it."""
    unit = (ROOT / "docs" / "units" / "pki-serve.service").read_text()
    return dict(re.findall(r"^Environment=(MALLOC_[^=]*)=(.*)$", unit, re.MULTILINE))


def page_and_memory():
    """What a phone loads, and what the service takes that waits with 1,000 devices."""
    name = home("idle", publish=True, cheap=False)
    tls = ["--out", WORK / "tls", "--passphrase-file", SECRET]
    run(*pki(name, "server", "add", "api.acme.example", *tls))
    run(*pki(name, "server", "issue", "api.acme.example", *tls, "--root-passphrase-file", ROOT_SECRET))
    run(*bulk(name, 1000, "idle"))
    for set_by_unit, what in ((by_unit(), "as the unit runs it"), ({}, "without MALLOC_MMAP_THRESHOLD_")):
        with mock.patch.dict(os.environ, set_by_unit), serving(name, "device") as service:
            time.sleep(10)
            row(f"memory of the service that waits, with 1,000 devices, on all three faces, {what}",
                f"{service.memory():.0f} MB", "40 MB" if set_by_unit else "")
    with serving(name, "device") as service:
        page = ["curl", "--silent", "--fail", "--cacert", WORK / "page.crt", "--connect-to",
                f"::127.0.0.1:{service.ports['page']}", "--write-out", "%{size_header} %{size_download}", "--output",
                WORK / "page.html", "https://api.acme.example/i/00000000"]
        head, body = subprocess.run(page, stdout=subprocess.PIPE, check=True, text=True).stdout.split()
    text = (WORK / "page.html").read_text()
    others = re.findall(r'(?:src|href)="(?!#|https://)([^"]*)"', text)
    row("the page in all: script, style and texts in one request", f"{int(head) + int(body):,} octets, {len(others)} more "
        "requests", "")


def swap(service, number):
    """Gives the page the other certificate, as certbot does, and tells the service."""
    for end in ("key", "crt"):
        os.link(WORK / f"page{number % 2}.{end}", WORK / "new")
        os.replace(WORK / "new", WORK / f"page.{end}")
    service.process.send_signal(signal.SIGHUP)


def swapping():
    """What fails while the page's certificate changes several times a second, and while CRLs do."""
    for number in range(2):
        page_certificate(f"page{number}")
    name = of_server(home("swapped", publish=True, cheap=True))
    run(*bulk(name, 300, "swap"))
    with serving(name) as service:
        swap(service, 1)
        certificates = [WORK / f"{page}.crt" for page in ("page0", "page1")]

        def beside(arguments, change):
            loading = subprocess.Popen([str(c) for c in (LOAD, "get", *arguments)], stdout=subprocess.PIPE)
            changes = 0
            while loading.poll() is None:
                change(changes)
                changes += 1
                time.sleep(0.1)
            return changes, json.loads(loading.communicate()[0])

        arguments = (service.ports["page"], 200_000, 16, "/i/00000000", *certificates)
        changes, told = beside(arguments, lambda number: swap(service, number))
        row(f"200,000 requests for the page while its certificate changes {changes} times; "
            f"{told['other_certificates']:,} times another one was shown", f"{told['failed']} failed", "0")
        arguments = (service.ports["status"], 500_000, 16, "/crl/issuing.crl")
        changes, told = beside(arguments, lambda number: run(*pki(name, "revoke", f"swap{number:06}/phone", "--yes",
                                                                  "--passphrase-file", SECRET)))
        row(f"500,000 requests for the CRL while {changes} others are published; {told['other_bodies']:,} times it was "
            "another one", f"{told['failed']} failed", "0")


PARTS = {"enrollment": enrollment, "ordering": ordering, "revoking": revoking, "status": status, "page": page_and_memory, "swapping": swapping}


def measure(names):
    """All of it, or the parts that are named."""
    page_certificate("page")
    for name in names or PARTS:
        PARTS[name]()
