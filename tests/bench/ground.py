"""What is measured with: commands, their time and memory, and homes, in a directory that `bench.py` removes."""

import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
PKI = TARGET / "pki"
FLEET = TARGET / "examples" / "fleet"
WORK = pathlib.Path(tempfile.mkdtemp(prefix="pki-bench-"))
os.umask(0o077)


def run(*command, cwd=WORK):
    """Runs a command that must succeed: seconds of wall clock, and peak memory in MB."""
    begun = time.perf_counter()
    process = subprocess.Popen([str(c) for c in command], cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    error = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    if status != 0:
        sys.exit(f"{command}: status {status}: {error.decode()}")
    return seconds, usage.ru_maxrss / 1024


def median(runs, command):
    """The median of runs of what `command(i)` gives: seconds, and the greatest memory."""
    measured = [run(*command(i)) for i in range(runs)]
    return statistics.median(m[0] for m in measured), max(m[1] for m in measured)


def quick(command, runs=30):
    """The median seconds of a command that takes some milliseconds, after three that do not count."""
    taken = [run(*command.split())[0] for _ in range(runs + 3)]
    return statistics.median(taken[3:])


def row(what, measured, limit):
    print(f"| {what} | {measured} | {limit} |", flush=True)


def ms(seconds):
    return f"{seconds * 1000:.1f} ms"


def secret(name, text):
    path = WORK / name
    path.write_text(text + "\n")
    return path


ROOT_SECRET = secret("root.txt", "a passphrase of the root")
SECRET = secret("issuing.txt", "a passphrase of the issuing CA")


def pki(home, *arguments, program=PKI):
    return [program, "--home", WORK / home, "--no-input", "-q", *arguments]


def home(name, publish=False, cheap=True, program=PKI):
    """A new home; with a key of almost no scrypt cost where the rest is what is measured."""
    run(*pki(name, "init", "--org", "Acme Ltd", "--domain", "acme.example",
             "--root-passphrase-file", ROOT_SECRET, "--passphrase-file", SECRET, program=program))
    configuration = WORK / name / "pki.toml"
    if not publish:
        configuration.write_text(configuration.read_text().replace("publish_on_issue = true", "publish_on_issue = false"))
    if cheap:
        key = WORK / name / "issuing" / "issuing.key"
        again = secret("again.txt", "a passphrase of the issuing CA")
        run("openssl", "pkcs8", "-topk8", "-in", key, "-passin", f"file:{SECRET}", "-scrypt", "-scrypt_N", "16",
            "-scrypt_r", "1", "-scrypt_p", "1", "-v2", "aes-256-cbc", "-passout", f"file:{again}", "-out", "key")
        shutil.move(WORK / "key", key)
    return name


COUNT = iter(range(1_000_000))


def issue(name, program=PKI):
    number = next(COUNT)
    return pki(name, "issue", f"bench{number}", "--out", WORK / "out", "--passphrase-file", SECRET,
               "--bundle-passphrase-out", WORK / "out" / f"{number}.txt", program=program)


def issue_for_request(name, program=PKI):
    """`issue --csr`, for a request that is made here."""
    number, request = next(COUNT), WORK / "device.csr"
    run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=device",
        "-keyout", "device.key", "-out", request)
    return pki(name, "issue", f"bench{number}", "--csr", request, "--out", WORK / "out", "--passphrase-file", SECRET,
               program=program)


def people(count, name):
    path = WORK / f"{name}.csv"
    rows = (f"{name}{i:06},phone,Person {i},p{i}@acme.example" for i in range(count))
    path.write_text("employee,device,name,email\n" + "\n".join(rows) + "\n")
    return path


def bulk(name, count, label, program=PKI):
    return pki(name, "issue", "--from", people(count, label), "--out", WORK / f"out-{label}", "--passphrase-file", SECRET,
               "--bundle-passphrase-out", WORK / f"{label}.tsv", program=program)


def fleet_home(name, count):
    """A published home of so many devices with keys of their own, and a key of full scrypt cost."""
    home(name, publish=True, cheap=False)
    run(FLEET, WORK / name, str(count), "signed", SECRET)
    run(*pki(name, "publish", "--passphrase-file", SECRET))
    return name
