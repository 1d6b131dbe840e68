"""Measures signed requests: `bench.py --requests`. Signing by `pki sign-request`, and what `requests.mjs` beside this file measures
of the verifier for Node.js."""

import subprocess

from ground import ROOT, SECRET, WORK, home, ms, pki, quick, row, run


def measure():
    home("api", cheap=False)
    run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=alice", "-keyout",
        "alice.key", "-out", "alice.csr")
    run(*pki("api", "issue", "alice", "--csr", "alice.csr", "--out", WORK, "--passphrase-file", SECRET))
    run(*pki("api", "publish", "--passphrase-file", SECRET))
    (WORK / "alice-phone.crt").rename(WORK / "alice.crt")
    for name, target in [("requests.mjs", ["requests-node", "api.acme.example", "--server-dir", WORK / "api" / "server"]),
                         ("sign-requests.mjs", ["requests-js"])]:
        printed = subprocess.run(pki("api", "config", *target), capture_output=True, check=True)
        (WORK / name).write_bytes(printed.stdout)
    # Packages are looked for beside the script and not where it is started.
    bench = WORK / "bench.mjs"
    bench.write_bytes((ROOT / "tests" / "bench" / "requests.mjs").read_bytes())
    (WORK / "node_modules").symlink_to(ROOT / ".venv" / "npm" / "node_modules")
    said = subprocess.run(["node", bench], cwd=WORK, capture_output=True, text=True)
    if said.returncode != 0:
        raise SystemExit(said.stderr)
    limits = {"ours: signature, times, device, nonce": "5,000/s"}
    for line in said.stdout.splitlines():
        kind, what, *figures = line.split("\t")
        if kind == "rate":
            row(f"verified on one core, {what}", f"{int(figures[0]):,}/s", limits.get(what, ""))
        else:
            row(f"added to a {what}, which takes {figures[1]} ms without", f"{figures[0]} ms", "0.3 ms")
    sign = f"{pki('api')[0]} sign-request https://api.acme.example/orders --cert {WORK}/alice.crt --key {WORK}/alice.key"
    row("`pki sign-request`, the whole process", ms(quick(sign)), "")
