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
import time

from ground import ROOT_SECRET, SECRET, TARGET, WORK, bulk, fleet_home, home, ms, pki, row, run

ENROLL = TARGET / "examples" / "enroll"
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
        loading = subprocess.Popen([str(c) for c in (ENROLL, WORK / self.name, SECRET, count, "page", self.ports["page"],
                                                     WORK / "page.crt", connections)], stdout=subprocess.PIPE)
        loading.stdout.readline()
        return loading

    def enroll(self, count, connections=CONNECTIONS):
        """How that went."""
        return json.loads(self.enrolling(count, connections).communicate()[0])


@contextlib.contextmanager
def serving(name, *more):
    """The service of a home, with the page, what is published, and `more` faces."""
    configuration = WORK / name / "pki.toml"
    own = f'[serve]\nhost = "api.acme.example"\npage_certificate = "{WORK}/page.crt"\npage_key = "{WORK}/page.key"\n'
    configuration.write_text(configuration.read_text().replace("[serve]\n", own, 1))
    faces = ["page", "status", *more]
    ports = dict(zip(faces, free_ports(len(faces))))
    listening = [word for face, port in ports.items() for word in (f"--{face}", f"127.0.0.1:{port}")]
    command = pki(name, "serve", *listening, "--passphrase-file", SECRET)
    with running(command, f"{name}.log", lambda _: all(map(is_listening, ports.values()))) as process:
        yield Service(name, process, ports)


def of_server(name):
    """The home, with the server whose pin is in invites."""
    run(*pki(name, "server", "add", "api.acme.example", "--passphrase-file", SECRET))
    return name


def enrollment():
    empty = of_server(home("enrolled", publish=True, cheap=False))
    many = of_server(fleet_home("enrolled-many", 100_000))
    with serving(empty) as at_none, serving(many) as at_many:
        told = {at_none: [], at_many: []}
        for _ in range(5):
            for service, runs in told.items():
                runs.append(service.enroll(6000))
        rates = {}
        for service, runs in told.items():
            rates[service] = statistics.median(one["per_second"] for one in runs)
            slowest = statistics.median(one["p99_ms"] for one in runs)
            filled = "100,000 records" if service is at_many else "an empty home"
            compared = f", {rates[at_none] / rates[service]:.2f} × the time of an empty one" if service is at_many else ""
            row(f"devices that enroll by {CONNECTIONS} connections, at {filled}",
                f"{rates[service]:,.0f} a second, p99 {slowest:.0f} ms{compared}",
                "1,000, 150 ms" + (", 1.2 ×" if compared else ""))
            row("memory of the service after 30,000 of them", f"{service.memory():.0f} MB", "")
        alone = statistics.median(at_none.enroll(1500, 1)["per_second"] for _ in range(3))
    row("devices that enroll by one connection, one after another, at an empty home", f"{alone:,.0f} a second", "")
    clerk = of_server(home("clerk", publish=True, cheap=False))
    clerks = {1: [], 64: []}
    for _ in range(3):
        for batch, taken in clerks.items():
            done = subprocess.run([ENROLL, WORK / clerk, SECRET, "2000", "clerk", str(batch)],
                                  stdout=subprocess.PIPE, check=True)
            taken.append(json.loads(done.stdout)["per_second"])
    single, whole = (statistics.median(taken) for taken in clerks.values())
    row("the clerk without a service, 64 to a sync", f"{whole:,.0f} a second", "")
    row("the clerk without a service, a sync for each", f"{single:,.0f} a second: the service does "
        f"{rates[at_none] / single:.1f} × that", "")


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


def page_and_memory():
    """What a phone loads, and what the service takes that waits with 1,000 devices."""
    name = home("idle", publish=True, cheap=False)
    tls = ["--out", WORK / "tls", "--passphrase-file", SECRET]
    run(*pki(name, "server", "add", "api.acme.example", *tls))
    run(*pki(name, "server", "issue", "api.acme.example", *tls, "--root-passphrase-file", ROOT_SECRET))
    run(*bulk(name, 1000, "idle"))
    with serving(name, "device") as service:
        time.sleep(10)
        row("memory of the service that waits, with 1,000 devices, on all three faces", f"{service.memory():.0f} MB", "")
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


PARTS = {"enrollment": enrollment, "revoking": revoking, "status": status, "page": page_and_memory, "swapping": swapping}


def measure(names):
    """All of it, or the parts that are named."""
    page_certificate("page")
    for name in names or PARTS:
        PARTS[name]()
