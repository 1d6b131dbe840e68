"""Measures the release build beside openssl, and prints a table for docs/benchmarks.md.

Every figure is the median of several runs, on whatever machine this is; compare figures of one run only.
`bench.py --fetch` measures `pki fetch` alone, `bench.py --check` the examination of a server, `bench.py --lock` how
long commands hold the home's lock, `bench.py --enroll` the service (`--enroll status` its OCSP alone, and so on; see
`PARTS` in `service.py`), `bench.py --requests` the verifier of signed requests, `bench.py --many` a home of 400,000 devices (1 GB of disk), and `bench.py --million` the
publication of a million revocations alone, which takes some minutes and 5 GB of disk.
`bench.py --versus PKI` runs another version of the program and this one in turn, and gives ratios.
"""

import ctypes
import os
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time

import signing
import service
from ground import FLEET, PKI, SECRET, WORK, bulk, fleet_home, home, issue, issue_for_request, median, ms, people, pki
from ground import quick, row, run


def openssl_ca():
    """What a script around `openssl` needs to keep a CA with an index."""
    directory = WORK / "openssl"
    (directory / "new").mkdir(parents=True)
    (directory / "index.txt").write_text("")
    (directory / "serial").write_text("01\n")
    (directory / "ca.cnf").write_text(
        "[ca]\ndefault_ca=a\n[a]\ndir=.\ndatabase=index.txt\nserial=serial\nnew_certs_dir=new\ndefault_md=sha256\n"
        "policy=p\ncertificate=ca.crt\nprivate_key=ca.key\ndefault_days=90\nunique_subject=no\n[p]\ncommonName=supplied\n"
        "[req]\ndistinguished_name=d\n[d]\n"
    )
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=CA",
        "-keyout", "ca.key", "-out", "ca.crt", "-days", "900", cwd=directory)
    return directory


def openssl_device(directory, number):
    """One device as a script does it: key and request, certificate, bundle."""
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", "ca.cnf"]
    first = run("openssl", "req", *new, "-subj", f"/CN=device{number}", "-keyout", "d.key", "-out", "d.csr", cwd=directory)
    second = run("openssl", "ca", "-batch", "-config", "ca.cnf", "-in", "d.csr", "-out", "d.crt", cwd=directory)
    third = run("openssl", "pkcs12", "-export", "-inkey", "d.key", "-in", "d.crt", "-certfile", "ca.crt", "-passout",
                "pass:x", "-out", f"{number}.p12", cwd=directory)
    return first[0] + second[0] + third[0]


def single():
    spawn = quick(f"{PKI} --version")
    row("`pki --version`: starting a process", ms(spawn), "")
    home("plain")
    time_issue, memory = median(60, lambda _: issue("plain"))
    row("`pki issue`, key of small scrypt cost, nothing published", ms(time_issue), "10 ms")
    row("peak memory of that", f"{memory:.0f} MB", "40 MB")
    home("real", cheap=False)
    real, memory = median(20, lambda _: issue("real"))
    row("`pki issue`, key of full scrypt cost (2^14, 8, 8 on all cores)", ms(real), "")
    row("peak memory of that, scrypt's 16 MB a core included", f"{memory:.0f} MB", "")
    home("hundred", publish=True)
    run(*bulk("hundred", 100, "h"))
    published, memory = median(40, lambda _: issue("hundred"))
    row("`pki issue` with publication, at 100 to 140 devices, small scrypt cost", ms(published), "30 ms")
    row("`pki list` there", ms(quick(f"{PKI} --home {WORK / 'hundred'} list")), "10 ms")
    row("`pki show` there", ms(quick(f"{PKI} --home {WORK / 'hundred'} show h000050/phone")), "10 ms")
    everyday = [
        lambda _: pki("hundred", "list"),
        lambda _: pki("hundred", "show", "h000050/phone"),
        lambda i: pki("hundred", "revoke", f"h{i:06}/phone", "--yes", "--passphrase-file", SECRET),
        lambda _: pki("hundred", "publish", "--passphrase-file", SECRET),
        lambda _: pki("hundred", "doctor"),
    ]
    memory = max([memory] + [median(5, command)[1] for command in everyday])
    row("peak memory there of issue, list, show, revoke, publish and doctor", f"{memory:.0f} MB", "40 MB")
    return time_issue, real


def large(empty, empty_real):
    for name, cheap in [("large", True), ("large-real", False)]:
        home(name, cheap=cheap)
        run(FLEET, WORK / name, "100000", "valid")
        run(*issue(name))
    cheap, _ = median(40, lambda _: issue("large"))
    real, _ = median(20, lambda _: issue("large-real"))
    row("`pki issue` at 100,000 records, full scrypt cost", f"{ms(real)}, {real / empty_real:.2f} × an empty home", "1.5 ×")
    row("`pki issue` at 100,000 records, small scrypt cost", f"{ms(cheap)}, {cheap / empty:.2f} × an empty home", "")
    shutil.rmtree(WORK / "large-real")
    run("rm", "-rf", WORK / "large" / "index")
    rebuilt, _ = run(*issue("large"))
    row("`pki issue` there with the index gone: made anew from 130 MB of ledger", f"{rebuilt:.1f} s", "")
    shutil.rmtree(WORK / "large")


def completing():
    home("shell")
    run(FLEET, WORK / "shell", "10000", "valid")
    run(*issue("shell"))
    complete = f"{PKI} complete -- --home {WORK / 'shell'} revoke fleet00001"
    row("a TAB behind `pki revoke fleet00001` at 10,000 devices", ms(quick(complete)), "50 ms")


def csv():
    home("csv", cheap=False)
    times = [run(*bulk("csv", 1000, f"c{i}")) for i in range(3)]
    ours = statistics.median(t[0] for t in times)
    directory = openssl_ca()
    theirs = sum(openssl_device(directory, number) for number in range(1000))
    row("1,000 devices from CSV, full scrypt cost", f"{ours:.2f} s", "1 s")
    row("the same with `openssl req`, `ca`, `pkcs12` in a loop", f"{theirs:.1f} s, {theirs / ours:.0f} × ours", "20 ×")
    row("peak memory of ours", f"{max(t[1] for t in times):.0f} MB", "")


def publication(count, runs, limit):
    name = f"crl{count}"
    home(name, cheap=True)
    run(FLEET, WORK / name, str(count), "revoked")
    # `fleet` leaves no index on disk: the first change makes it, which is measured on its own.
    publish = pki(name, "publish", "--passphrase-file", SECRET)
    rebuilt, rebuilding = run(*publish)
    measured, signing = [], []
    for _ in range(runs):
        shutil.rmtree(WORK / name / "public")
        shutil.rmtree(WORK / name / "server")
        measured.append(run(*publish))
        shutil.rmtree(WORK / name / "public")
        told = subprocess.run([PKI, "--home", WORK / name, "-v", *publish[5:]], capture_output=True, text=True, check=True)
        signing.append(float(re.search(r"signed in ([0-9.]+) s", told.stderr).group(1)))
    seconds = statistics.median(m[0] for m in measured)
    row(f"publication with a CRL of {count:,} entries: signed, checked, written", f"{seconds:.2f} s", limit)
    row("peak memory of that", f"{max(m[1] for m in measured):.0f} MB", "400 MB" if count > 100_000 else "")
    row("of that, encoding, signing, reading back and recording the CRL", f"{statistics.median(signing):.2f} s",
        "1 s" if count > 100_000 else "")
    again, _ = median(runs, lambda _: pki(name, "publish"))
    row("the same again with nothing changed", f"{again:.2f} s", "")
    ledger = (WORK / name / "ledger.jsonl").stat().st_size
    row(f"the first time, with the index made anew from {ledger / 1e6:,.0f} MB of ledger", f"{rebuilt:.1f} s", "")
    row("peak memory of that", f"{rebuilding:.0f} MB", "400 MB" if count > 100_000 else "")
    shutil.rmtree(WORK / name)


def fetching():
    """What a server does: nothing new by https, and a publication with 100,000 revocations."""
    home("fetched", publish=True)
    run(FLEET, WORK / "fetched", "100000", "revoked")
    run(*pki("fetched", "publish", "--passphrase-file", SECRET))
    root = WORK / "fetched" / "root" / "root.crt"

    def fetch(source, out, *more):
        return [PKI, "fetch", source, "--root", root, "--out", WORK / out, "-q", *more]

    first = WORK / "fetched" / "public"
    verified, memory = median(5, lambda i: fetch(first, f"new{i}"))
    row("`pki fetch`: 100,000 revoked serials read, verified, synced and swapped in", f"{verified:.2f} s", "2 s")
    row("peak memory of that", f"{memory:.0f} MB", "")
    row("`pki fetch` from a directory with nothing new, there",
        ms(quick(f"{PKI} fetch {first} --root {root} --out {WORK / 'new0'} -q")), "50 ms")
    certificate, key = WORK / "web.crt", WORK / "web.key"
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE",
        "-keyout", key, "-out", certificate)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (WORK / "nginx.conf").write_text(
        f"daemon off; user root; pid {WORK}/nginx.pid; error_log {WORK}/error.log; events {{}} http {{ access_log off;\n"
        f"server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key {key}; root {WORK}/fetched; }} }}\n")
    # nginx's ETags are believed once the file is some seconds old.
    os.utime(first / "manifest.jws", (time.time() - 60, time.time() - 60))
    nginx = subprocess.Popen([shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"), "-e", WORK / "error.log",
                              "-c", WORK / "nginx.conf"])
    try:
        while not (WORK / "nginx.pid").exists():
            time.sleep(0.05)
        url = f"https://localhost:{port}/public"
        loaded, _ = median(5, lambda i: fetch(url, f"web{i}", "--ca", certificate))
        row("the same 100,000 by https from an nginx on this machine", f"{loaded:.2f} s", "2 s")
        command = f"{PKI} fetch {url} --root {root} --out {WORK / 'web0'} -q --ca {certificate}"
        row("`pki fetch` by https with nothing new: one request, a TLS handshake included", ms(quick(command)), "50 ms")
    finally:
        nginx.terminate()
        nginx.wait()


NGINX = """
daemon off; worker_processes 1; worker_shutdown_timeout 10s; pid nginx.pid; error_log error.log; events {{}}
http {{
    access_log off;
    client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
    map $ssl_client_serial $revoked {{ default 0; include {home}/server/revoked.map; }}
    server {{
        listen 127.0.0.1:{port} ssl http2; ssl_certificate server.crt; ssl_certificate_key server.key;
        ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:devices:1m; ssl_session_tickets off;
        ssl_verify_client on; ssl_verify_depth 2;
        ssl_client_certificate {home}/public/ca/bundle.pem; ssl_crl {home}/public/crl/bundle.pem;
        if ($revoked) {{ return 403; }}
        location / {{ return 200 "hello"; }}
    }}
}}
"""


def check():
    """A canary against an nginx on this machine that is reloaded as soon as a publication is there."""
    name = home("checked", publish=True, cheap=False)
    directory = WORK / "nginx"
    directory.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (directory / "nginx.conf").write_text(NGINX.format(home=WORK / name, port=port))
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-addext", "extendedKeyUsage=serverAuth",
        "-keyout", "server.key", "-out", "server.crt", cwd=directory)
    nginx = subprocess.Popen([shutil.which("nginx") or "/usr/sbin/nginx", "-p", directory, "-e", "error.log", "-c",
                              "nginx.conf"], cwd=directory, stderr=subprocess.DEVNULL)
    manifests = [WORK / name / area / "manifest.json" for area in ("public", "server")]
    stop = threading.Event()

    def follow():
        read = None
        while not stop.wait(0.01):
            now = [manifest.stat().st_ino for manifest in manifests if manifest.exists()]
            if now != read:
                read = now
                nginx.send_signal(signal.SIGHUP)

    while not (directory / "nginx.pid").exists():
        time.sleep(0.01)
    follower = threading.Thread(target=follow)
    follower.start()
    try:
        url = ["check", f"https://localhost:{port}/", "--ca", directory / "server.crt"]
        seconds, memory = median(7, lambda _: pki(name, *url, "--passphrase-file", SECRET))
        row("`pki check` with a canary and its control, nginx on the same machine, full scrypt cost", f"{seconds:.2f} s", "3 s")
        row("peak memory of that", f"{memory:.0f} MB", "")
        seconds, _ = median(7, lambda _: pki(name, *url, "--no-canary"))
        row("the same with --no-canary", f"{seconds:.2f} s", "")
    finally:
        stop.set()
        follower.join()
        nginx.terminate()
        nginx.wait()


def held(name, command):
    """How long a command holds the home's lock each time, in seconds: from opening the file to closing it, as
    inotify tells."""
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init()
    opened, closed = 0x20, 0x08
    if libc.inotify_add_watch(watch, os.fsencode(WORK / name / "lock"), opened | closed) < 0:
        sys.exit("inotify does not watch the lock")
    times = []

    def follow():
        while events := os.read(watch, 4096):
            now = time.perf_counter()
            for at in range(0, len(events), 16):
                mask, = struct.unpack_from("=I", events, at + 4)
                times.append((now, mask))
            if stop.is_set():
                break

    stop = threading.Event()
    follower = threading.Thread(target=follow)
    follower.start()
    run(*command)
    stop.set()
    # One event more ends the thread.
    (WORK / name / "lock").open().close()
    follower.join()
    os.close(watch)
    holdings, taken = [], None
    for now, mask in times:
        if mask & opened and taken is None:
            taken = now
        elif mask & closed and taken is not None:
            holdings.append(now - taken)
            taken = None
    return holdings


def locking():
    """How long the lock of a home with 100 devices is held."""
    name = home("locked", publish=True)
    run(*bulk(name, 100, "l"))
    people(100, "m")
    for what, command in [
        ("`pki issue` holds the lock", lambda _: issue(name)),
        ("`pki revoke`", lambda i: pki(name, "revoke", f"l{i:06}/phone", "--yes", "--passphrase-file", SECRET)),
        ("`pki publish`", lambda _: pki(name, "publish", "--passphrase-file", SECRET)),
        ("`pki doctor`", lambda _: pki(name, "doctor")),
        ("`pki issue --from` with 100 rows", lambda i: bulk(name, 100, f"n{i}")),
    ]:
        longest = [max(held(name, command(i))) for i in range(11)]
        row(f"{what}, at most", ms(statistics.median(longest)), "")


def many():
    """What an everyday change costs where there are many devices, with publication, and what memory lists take."""
    small, large = fleet_home("small", 100), fleet_home("large", 400_000)
    # Long files that were written a moment ago are read once more.
    time.sleep(5)
    run(*issue(large))
    issued, revoked = {small: [], large: []}, {small: [], large: []}
    for _ in range(21):
        for name in (small, large):
            command = issue(name)
            issued[name].append(run(*command)[0])
            device = f"{command[command.index('issue') + 1]}/phone"
            revoked[name].append(run(*pki(name, "revoke", device, "--yes", "--passphrase-file", SECRET))[0])
    for what, seconds in [("issue", issued), ("revoke", revoked)]:
        few, lots = (statistics.median(seconds[name]) for name in (small, large))
        row(f"`pki {what}` with publication at 400,000 devices, full scrypt cost", f"{ms(lots)}, {lots / few:.2f} × at 100", "1.3 ×")
    whole, memory = run(*pki(large, "publish", "--passphrase-file", SECRET))
    row("`pki publish` there: every list written whole", f"{whole:.2f} s", "")
    row("peak memory of that", f"{memory:.0f} MB", "")
    # As in a home of an earlier version, whose lists have no keys.
    shutil.rmtree(WORK / large / "server")
    whole, memory = run(*pki(large, "publish", "--passphrase-file", SECRET))
    row("the same where no list vouches for the keys: every certificate is looked at", f"{whole:.1f} s, {memory:.0f} MB", "")
    for command, limit in [(["list", "--json"], "60 MB"), (["audit", "--json"], ""), (["doctor"], "100 MB")]:
        seconds, memory = run(*pki(large, *command))
        row(f"`pki {' '.join(command)}` there: peak memory", f"{memory:.0f} MB, {seconds:.1f} s", limit)
    shutil.rmtree(WORK / large)
    shutil.rmtree(WORK / small)
    middle = fleet_home("middle", 30_000)
    _, memory = run(*pki(middle, "list", "--json"))
    row("`pki list --json` at 30,000: peak memory", f"{memory:.0f} MB", "32 MB")
    shutil.rmtree(WORK / middle)
    empty, many = home("empty", publish=True, cheap=False), fleet_home("many", 100_000)
    time.sleep(5)
    taken = {empty: [], many: []}
    for _ in range(21):
        for name in (empty, many):
            taken[name].append(run(*issue_for_request(name))[0])
    few, lots = (statistics.median(taken[name]) for name in (empty, many))
    row("`pki issue --csr` with publication at 100,000 devices, full scrypt cost",
        f"{ms(lots)}, {lots / few:.2f} × an empty home", "1.2 ×")


def beside():
    """What commands take at 50,000 devices while another process holds a resident store open."""
    name = fleet_home("beside", 50_000)
    time.sleep(5)

    def commands():
        number = issue(name)
        device = f"{number[number.index('issue') + 1]}/phone"
        revoke = pki(name, "revoke", device, "--yes", "--passphrase-file", SECRET)
        return {"issue": number, "revoke": revoke, "list": pki(name, "list", "--json")}

    taken = {}
    for _ in range(21):
        for is_held in (False, True):
            holder = None
            if is_held:
                holder = subprocess.Popen([FLEET, WORK / name, "600", "hold"], stdout=subprocess.PIPE)
                holder.stdout.readline()
            for verb, command in commands().items():
                taken.setdefault((verb, is_held), []).append(run(*command)[0])
            if holder:
                holder.kill()
                holder.wait()
    for verb in ("issue", "revoke", "list"):
        alone, held = (statistics.median(taken[verb, is_held]) for is_held in (False, True))
        row(f"`pki {verb}` at 50,000 devices beside a store held open", f"{ms(held)}, {held / alone:.2f} × alone", "")


def versus(other):
    """Another version and this one in turn, each in homes of its own: the medians of this one, and the ratios."""
    # Copies: what a linker has written lies in memory in smaller pieces, and starts later.
    programs = tuple(shutil.copy(program, WORK / f"pki-{name}") for name, program in [("before", other), ("now", PKI)])

    def compare(what, pairs, command, warm_up=1):
        """`command(program, label, i)`, after `warm_up` pairs that do not count."""
        taken = {program: [] for program in programs}
        for i in range(-warm_up, pairs):
            order = programs if i % 2 else programs[::-1]
            for program in order:
                seconds, _ = run(*command(program, f"{programs.index(program)}", i))
                if i >= 0:
                    taken[program].append(seconds)
        before, now = (statistics.median(taken[program]) for program in programs)
        row(f"{what} ({pairs} pairs)", f"{ms(now)}, {now / before:.2f} ×", "")

    def homes(name, **how):
        for index, program in enumerate(programs):
            home(f"{name}{index}", program=program, **how)

    if "--million" in sys.argv:
        homes("million")
        for index in range(2):
            run(FLEET, WORK / f"million{index}", "1000000", "revoked")

        def publish(program, label, _):
            for area in ("public", "server"):
                shutil.rmtree(WORK / f"million{label}" / area, ignore_errors=True)
            return pki(f"million{label}", "publish", "--passphrase-file", SECRET, program=program)

        compare("a publication of 1,000,000 revocations", 5, publish)
        return
    compare("`pki --version`", 41, lambda program, *_: [program, "--version"])
    homes("plain")
    compare("`pki issue`, key of small scrypt cost, nothing published", 41,
            lambda program, label, _: issue(f"plain{label}", program))
    homes("cheap", publish=True)
    compare("the same with publication", 41, lambda program, label, _: issue(f"cheap{label}", program))
    homes("real", publish=True, cheap=False)
    compare("`pki issue` with publication, key of full scrypt cost", 21,
            lambda program, label, _: issue(f"real{label}", program))
    compare("`pki issue --csr` likewise", 21, lambda program, label, _: issue_for_request(f"real{label}", program))
    for index, program in enumerate(programs):
        run(*bulk(f"real{index}", 100, f"v{index}", program))
    device = "v{}{:06}/phone".format
    secret_of = ["--passphrase-file", SECRET]
    compare("`pki renew` there, at 120 devices", 21, lambda program, label, i: pki(
        f"real{label}", "renew", device(label, i + 1), "--out", WORK / "out", "--bundle-passphrase-out",
        WORK / "out" / f"r{label}-{i}.txt", *secret_of, program=program))
    compare("`pki revoke` there", 21, lambda program, label, i: pki(
        f"real{label}", "revoke", device(label, i + 50), "--yes", *secret_of, program=program))
    compare("`pki publish` there", 21, lambda program, label, _: pki(f"real{label}", "publish", *secret_of, program=program))
    for verb in ("list", "audit", "doctor"):
        compare(f"`pki {verb}` there", 21, lambda program, label, _: pki(f"real{label}", verb, program=program))
    homes("csv", cheap=False)
    compare("1,000 devices from CSV, full scrypt cost", 21,
            lambda program, label, i: bulk(f"csv{label}", 1000, f"c{label}x{i + 1}", program))
    homes("told", publish=True, cheap=False)
    compare("the same with publication", 11,
            lambda program, label, i: bulk(f"told{label}", 1000, f"t{label}x{i + 1}", program))
    for count, kind, commands in [
        (30_000, "valid", (["list", "--json"], ["audit", "--json"], ["doctor"])),
        (100_000, "revoked", ()),
    ]:
        homes(f"fleet{count}", publish=True)
        for index, program in enumerate(programs):
            run(FLEET, WORK / f"fleet{count}{index}", str(count), kind)
            run(*pki(f"fleet{count}{index}", "publish", *secret_of, program=program))
        time.sleep(5)
        for command in commands:
            compare(f"`pki {' '.join(command)}` at {count:,} devices", 21,
                    lambda program, label, _: pki(f"fleet{count}{label}", *command, program=program))

    def whole(program, label, _):
        for area in ("public", "server"):
            shutil.rmtree(WORK / f"fleet100000{label}" / area)
        return pki(f"fleet100000{label}", "publish", *secret_of, program=program)

    compare("a publication of 100,000 revocations", 21, whole)


def main():
    (WORK / "out").mkdir()
    print("| what | measured | limit |\n|---|---|---|")
    if "--versus" in sys.argv:
        versus(sys.argv[sys.argv.index("--versus") + 1])
        return
    if "--million" in sys.argv:
        publication(1_000_000, 3, "3 s")
        return
    if "--fetch" in sys.argv:
        fetching()
        return
    if "--completing" in sys.argv:
        completing()
        return
    if "--check" in sys.argv:
        check()
        return
    if "--lock" in sys.argv:
        locking()
        return
    if "--enroll" in sys.argv:
        service.measure(sys.argv[sys.argv.index("--enroll") + 1:])
        return
    if "--requests" in sys.argv:
        signing.measure()
        return
    if "--beside" in sys.argv:
        beside()
        return
    if "--many" in sys.argv:
        many()
        return
    empty, empty_real = single()
    csv()
    large(empty, empty_real)
    publication(100_000, 5, "0.4 s")
    completing()
    fetching()
    check()


try:
    main()
finally:
    shutil.rmtree(WORK, ignore_errors=True)
