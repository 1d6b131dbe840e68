//! The reference verifiers of `pins.jws` against tokens signed by everybody who should not have: each says
//! why it refuses.

use crate::support::{Finished, Home, finish, need, need_swift_grammar, program};

/// Makes the tokens, `cases/NAME.jws`, each with a key and a certificate of the directory.
const FORGE: &str = r#"
import crypto from "node:crypto";
import fs from "node:fs";
const now = Math.floor(Date.now() / 1000);
const pin = (n) => ({ pin: Buffer.alloc(32, n).toString("base64"), role: n ? "backup" : "active", since: "2026-11-01T00:00:00Z" });
const set = { host: "api.acme.example", include_subdomains: false, expires: "2099-01-01T00:00:00Z", pins: [pin(0), pin(1)] };
const good = { version: 1, number: 7, iat: now - 60, exp: now + 86400 * 36500, sets: [set] };
const der = (file) => new crypto.X509Certificate(fs.readFileSync(file)).raw.toString("base64");
const encode = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
function token(name, { key = "issuing", payload = good, header = {}, change = (t) => t }) {
  const head = { alg: "ES256", typ: "pki-pins+jws", x5c: [der(`${key}.crt`)], ...header };
  const signed = `${encode(head)}.${encode(payload)}`;
  const secret = { key: fs.readFileSync(`${key}.key`), dsaEncoding: "ieee-p1363" };
  const signature = crypto.sign("sha256", Buffer.from(signed), secret).toString("base64url");
  fs.writeFileSync(`cases/${name}.jws`, change(`${signed}.${signature}`));
}
fs.mkdirSync("cases");
token("good", {});
token("good-with-a-line-end", { change: (t) => t + "\n" });
for (const key of ["device", "server", "servers-ca", "for-servers-with-digital-signature", "for-devices-without-digital-signature",
  "below-issuing", "stranger", "revoked", "root"]) token(key, { key });
token("two-certificates", { header: { x5c: [der("issuing.crt"), der("root.crt")] } });
token("no-certificate", { header: { x5c: [] } });
token("somebody-elses-certificate", { key: "device", header: { x5c: [der("issuing.crt")] } });
token("manifest", { header: { typ: "pki-manifest+jws" } });
token("no-algorithm", { header: { alg: "none" }, change: (t) => t.slice(0, t.lastIndexOf(".") + 1) });
token("another-algorithm", { header: { alg: "HS256" } });
token("critical", { header: { crit: ["b64"], b64: false } });
token("changed", { change: (t) => { const [h, , s] = t.split("."); return [h, encode({ ...good, number: 8 }), s].join("."); } });
token("cut", { change: (t) => t.slice(0, -4) });
token("older", { payload: { ...good, number: 4 } });
token("expired", { payload: { ...good, iat: now - 7200, exp: now - 3600 } });
token("future", { payload: { ...good, iat: now + 3600 } });
token("version-2", { payload: { ...good, version: 2 } });
token("one-pin", { payload: { ...good, sets: [{ ...set, pins: [pin(0)] }] } });
token("no-pin", { payload: { ...good, sets: [{ ...set, pins: [{ pin: "AAAA" }, { pin: "AAAA" }] }] } });
token("no-sets", { payload: { ...good, sets: undefined } });
token("no-json", { payload: "pins" });
// What the signature does not hold for must not be read: a reader that calls itself for each array would end
// with its stack.
const deep = (n) => `{"a":${"[".repeat(n)}${"]".repeat(n)}}`;
const payload = (text) => (t) => { const [h, , s] = t.split("."); return [h, encode(text), s].join("."); };
token("deep-unsigned", { change: payload(deep(90000)) });
token("deep-signed", { payload: deep(90000) });
token("deep-header", { change: (t) => [encode(deep(3000)), ...t.split(".").slice(1)].join(".") });
token("long", { payload: { ...good, more: "x".repeat(200000) } });
token("long-header", { header: { more: "x".repeat(6000) } });
token("unsigned-no-json", { change: payload("pins") });
for (const [name, value] of [["string", "8"], ["fraction", 8.5], ["huge", 9e18], ["infinite", 1e30]]) {
  token(`number-${name}`, { payload: { ...good, number: value } });
  token(`exp-${name}`, { payload: { ...good, exp: typeof value === "number" ? good.exp + value : String(good.exp) } });
}
token("iat-string", { payload: { ...good, iat: String(good.iat) } });
token("version-1.9", { payload: { ...good, version: 1.9 } });
token("version-string", { payload: { ...good, version: "1" } });
token("include-subdomains-string", { payload: { ...good, sets: [{ ...set, include_subdomains: "false" }] } });
token("no-date", { payload: { ...good, sets: [{ ...set, expires: "soon" }] } });
const behind = Buffer.concat([Buffer.from(der("issuing.crt"), "base64"), Buffer.from("junk")]).toString("base64");
token("something-behind-the-certificate", { header: { x5c: [behind] } });
"#;

/// Every case with a part of the reason that must be told; the good ones with none. The last number is 5.
const CASES: [(&str, Option<&str>); 48] = [
    ("good", None),
    ("good-with-a-line-end", None),
    ("device", Some("no CA's")),
    ("server", Some("no CA's")),
    ("servers-ca", Some("may not sign statements")),
    ("for-servers-with-digital-signature", Some("not for devices")),
    (
        "for-devices-without-digital-signature",
        Some("may not sign statements"),
    ),
    ("below-issuing", Some("this root has not issued")),
    ("stranger", Some("")),
    ("revoked", Some("revoked")),
    ("root", Some("may not sign statements")),
    ("two-certificates", Some("exactly one certificate")),
    ("no-certificate", Some("exactly one certificate")),
    ("somebody-elses-certificate", Some("does not hold")),
    ("manifest", Some("another statement")),
    ("no-algorithm", Some("another algorithm")),
    ("another-algorithm", Some("another algorithm")),
    ("critical", Some("must be understood")),
    ("changed", Some("does not hold")),
    ("cut", Some("")),
    ("older", Some("older")),
    ("expired", Some("expired")),
    ("future", Some("future")),
    ("version-2", Some("version")),
    ("one-pin", Some("no pin set")),
    ("no-pin", Some("no pin set")),
    ("no-sets", Some("")),
    ("no-json", Some("")),
    ("deep-unsigned", Some("does not hold")),
    ("deep-signed", Some("")),
    ("deep-header", Some("")),
    ("long", Some("longer than 256 KiB")),
    ("long-header", Some("header longer than 8 KiB")),
    ("unsigned-no-json", Some("does not hold")),
    ("number-string", Some(NO_INTEGER)),
    ("number-fraction", Some(NO_INTEGER)),
    ("number-huge", Some(NO_INTEGER)),
    ("number-infinite", Some(NO_INTEGER)),
    ("exp-string", Some(NO_INTEGER)),
    ("exp-fraction", Some(NO_INTEGER)),
    ("exp-huge", Some(NO_INTEGER)),
    ("exp-infinite", Some(NO_INTEGER)),
    ("iat-string", Some(NO_INTEGER)),
    ("version-1.9", Some(NO_INTEGER)),
    ("version-string", Some(NO_INTEGER)),
    ("include-subdomains-string", Some("no pin set")),
    ("no-date", Some("")),
    ("something-behind-the-certificate", Some("behind the certificate")),
];

const NO_INTEGER: &str = "a number that is no integer";

#[test]
fn node_takes_the_pins_of_the_devices_authority_and_of_nobody_else() {
    if !need(&["node", "openssl", "sh"]) {
        return;
    }
    let home = forged();
    let script = home.run(&["config", "verify-node"]).stdout;
    std::fs::write(home.path("verify-pins.mjs"), script).unwrap();
    for (name, why) in CASES {
        let token = format!("cases/{name}.jws");
        judge(
            name,
            why,
            &home.foreign(
                "node",
                &["verify-pins.mjs", "root.crt", &token, "5", "root.crl.pem"],
            ),
        );
    }
    let said = home.foreign(
        "node",
        &[
            "verify-pins.mjs",
            "root.crt",
            "cases/good.jws",
            "7",
            "root.crl.pem",
        ],
    );
    assert_eq!(said.ok().json()["sets"][0]["host"], "api.acme.example");
    // A CRL in DER, one that lists nobody, and one that is another root's.
    let crl = |file: &str| {
        home.foreign(
            "node",
            &["verify-pins.mjs", "root.crt", "cases/revoked.jws", "0", file],
        )
    };
    assert!(crl("root.crl").exits(1).stderr.contains("revoked"));
    let empty = home.public("crl/root.pem");
    crl(empty.to_str().unwrap()).ok();
    assert!(crl("stranger.crl.pem").exits(1).stderr.contains("not the root's"));
    for (name, why) in DATED {
        for file in [format!("{name}.crl.pem"), format!("{name}.crl")] {
            let arguments = ["verify-pins.mjs", "root.crt", "cases/good.jws", "0", &file];
            judge(name, Some(why), &home.foreign("node", &arguments));
        }
    }
    // Another root, and the issuing authority out of date.
    let said = home.foreign(
        "node",
        &["verify-pins.mjs", "stranger-root.crt", "cases/good.jws"],
    );
    assert!(said.exits(1).stderr.contains("has not issued"));
    let late = "import('./verify-pins.mjs').then(({ verifyPins }) => verifyPins(require('fs').readFileSync('cases/good.jws', 'utf8'), \
                { root: require('fs').readFileSync('root.crt'), now: Date.now() / 1000 + 6 * 365 * 86400 }))";
    assert!(
        home.foreign("node", &["-e", late])
            .exits(1)
            .stderr
            .contains("out of date")
    );
}

#[test]
fn kotlin_takes_the_pins_of_the_devices_authority_and_of_nobody_else() {
    if !need(&["kotlinc", "java", "node", "openssl", "sh"]) {
        return;
    }
    // Android has org.json built in; Debian has Android's.
    let jar = "/usr/share/java/json-android.jar";
    let home = forged();
    let script = home.run(&["config", "verify-kotlin"]).stdout;
    std::fs::write(home.path("PinsVerifier.kt"), script).unwrap();
    let main = "import java.io.File\nimport java.security.cert.*\nimport java.time.Instant\n\
         fun main(arguments: Array<String>) {\n    val factory = CertificateFactory.getInstance(\"X.509\")\n    \
         val root = File(\"root.crt\").inputStream().use { factory.generateCertificate(it) as X509Certificate }\n    \
         for (argument in arguments) {\n        val (name, list) = argument.split(\":\")\n        \
         val crl = File(\"$list.crl\").inputStream().use { factory.generateCRL(it) as X509CRL }\n        \
         val said = try {\n            \
         verifyPins(File(\"cases/$name.jws\").readText(), root, 5, Instant.now(), crl).sets[0].host\n        \
         } catch (error: PinsRefused) { \"refused: ${error.message}\" } catch (error: Throwable) { \"uncaught: $error\" }\n        println(\"$argument\\t$said\")\n    }\n    nearest()\n}\n";
    let main = format!("{main}{NEAREST_IN_KOTLIN}");
    std::fs::write(home.path("nearest-pins.json"), NEAREST).unwrap();
    std::fs::write(home.path("Main.kt"), main).unwrap();
    let mut compile = program("kotlinc");
    compile.args([
        "PinsVerifier.kt",
        "Main.kt",
        "-cp",
        jar,
        "-include-runtime",
        "-d",
        "verifier.jar",
    ]);
    compile.current_dir(home.path(""));
    finish(&mut compile, b"").ok();
    let path = format!("verifier.jar:{jar}");
    let cases = CASES.iter().map(|(name, _)| format!("{name}:root"));
    let dated = DATED.iter().map(|(list, _)| format!("good:{list}"));
    let cases: Vec<String> = cases.chain(dated).collect();
    let mut arguments = vec!["-cp", &path, "MainKt"];
    arguments.extend(cases.iter().map(String::as_str));
    let said = home.foreign("java", &arguments).ok();
    for (name, why) in CASES {
        let line = said
            .stdout
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}:root\t")))
            .unwrap();
        match why {
            None => assert_eq!(line, "api.acme.example", "{name}: {said}"),
            // What Java's own classes refuse they say in their own words.
            Some(why) => {
                assert!(line.starts_with("refused: pins.jws: "), "{name}: {said}");
                assert!(line.contains(why), "{name}: {said}");
            }
        }
    }
    let nearest = said
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("nearest\t"));
    demand_nearest(nearest);
    for (list, why) in DATED {
        let line = format!("good:{list}\trefused: pins.jws: {why}\n");
        assert!(said.stdout.contains(&line), "{line}: {said}");
    }
}

/// The table that every reader of pin sets is held to: each host, and the host of the set that holds for it.
const NEAREST: &str = include_str!("../data/nearest-pins.json");

/// Prints the host of each set that is found, or `null`.
const NEAREST_IN_KOTLIN: &str = r#"
fun nearest() {
    val table = org.json.JSONObject(File("nearest-pins.json").readText())
    val given = table.getJSONArray("sets")
    val sets = (0 until given.length()).map { given.getJSONObject(it) }
        .map { PinSet(it.getString("host"), it.getBoolean("include_subdomains"), Instant.MAX, listOf()) }
    val cases = table.getJSONArray("cases")
    for (number in 0 until cases.length()) {
        println("nearest\t" + Pins(1, Instant.MAX, sets).setOf(cases.getJSONArray(number).getString(0))?.host)
    }
}
"#;

const NEAREST_IN_NODE: &str = r#"
import fs from "node:fs";
import { createHash, X509Certificate } from "node:crypto";
import { hasPin, pinSetOf } from "./verify-pins.mjs";
const { sets, cases } = JSON.parse(fs.readFileSync("nearest-pins.json", "utf8"));
for (const [host] of cases) console.log(pinSetOf(sets, host)?.host ?? null);
// A key that is pinned by the set above is none of the host's own.
const { raw, publicKey } = new X509Certificate(fs.readFileSync("home/root/root.crt"));
const pin = createHash("sha256").update(publicKey.export({ type: "spki", format: "der" })).digest("base64");
for (const set of sets) set.pins = set.host === "acme.example" ? [{ pin }] : [{ pin: "another" }];
for (const host of ["www.acme.example", "api.acme.example", "shop.example", "localhost"]) console.log(hasPin(sets, host, { raw }));
"#;

#[track_caller]
fn demand_nearest<'a>(found: impl Iterator<Item = &'a str>) {
    let table: serde_json::Value = serde_json::from_str(NEAREST).unwrap();
    let cases = table["cases"].as_array().unwrap();
    let found: Vec<&str> = found.collect();
    assert_eq!(found.len(), cases.len());
    for (case, found) in cases.iter().zip(found) {
        assert_eq!(found, case[1].as_str().unwrap_or("null"), "{case}");
    }
}

#[test]
fn node_holds_a_host_to_the_nearest_set_and_to_no_other() {
    if !need(&["node"]) {
        return;
    }
    let home = Home::bare();
    let script = home.run(&["config", "verify-node"]).stdout;
    std::fs::write(home.path("verify-pins.mjs"), script).unwrap();
    std::fs::write(home.path("nearest-pins.json"), NEAREST).unwrap();
    std::fs::write(home.path("nearest.mjs"), NEAREST_IN_NODE).unwrap();
    let said = home.foreign("node", &["nearest.mjs"]).ok();
    let lines: Vec<&str> = said.stdout.lines().collect();
    let (nearest, pinned) = lines.split_at(lines.len() - 4);
    demand_nearest(nearest.iter().copied());
    assert_eq!(pinned, ["true", "false", "false", "false"]);
}

/// No compiler of Swift comes with Debian 12: this says that it is Swift, and not that it is right.
#[test]
fn the_verifier_in_swift_is_swift() {
    if !need_swift_grammar() {
        return;
    }
    let home = Home::bare();
    let verifier = home.run(&["config", "verify-swift"]).stdout;
    let python = concat!(env!("CARGO_MANIFEST_DIR"), "/.venv/bin/python");
    let errors = |text: &str| {
        home.foreign_given(python, &["-c", PARSE], text.as_bytes())
            .ok()
            .stdout
    };
    assert_eq!(errors(&verifier), "");
    assert_ne!(errors(&verifier.replacen("guard", "guard guard", 1)), "");
}

/// Prints where a text is no Swift.
pub const PARSE: &str = r#"
import sys, tree_sitter, tree_sitter_swift
def errors(node):
    if node.type == "ERROR" or node.is_missing:
        print(node.start_point, node.type)
    for child in node.children:
        errors(child)
errors(tree_sitter.Parser(tree_sitter.Language(tree_sitter_swift.language())).parse(sys.stdin.buffer.read()).root_node)
"#;

fn judge(name: &str, why: Option<&str>, said: &Finished) {
    match why {
        None => assert_eq!(said.code, Some(0), "{name}: {said}"),
        Some(why) => {
            assert_eq!(said.code, Some(1), "{name}: {said}");
            assert!(
                said.stderr.contains(why) && said.stdout.is_empty(),
                "{name}: {said}"
            );
        }
    }
}

/// A home, and beside it the keys of everybody, and a token of each.
fn forged() -> Home {
    let home = Home::staffed();
    let [leaf, _, key] = home.opened(&home.alice());
    std::fs::copy(leaf, home.path("device.crt")).unwrap();
    std::fs::copy(key, home.path("device.key")).unwrap();
    let stranger = Home::bare();
    for (file, from) in [
        ("stranger-issuing", "issuing/issuing"),
        ("stranger-root", "root/root"),
    ] {
        for ending in ["crt", "key"] {
            std::fs::copy(
                stranger.home().join(format!("{from}.{ending}")),
                home.path(format!("{file}.{ending}")),
            )
            .unwrap();
        }
    }
    std::fs::copy(stranger.public("crl/root.pem"), home.path("stranger.crl.pem")).unwrap();
    home.foreign("sh", &["-e", "-c", AUTHORITIES]).ok();
    std::fs::write(home.path("forge.mjs"), FORGE).unwrap();
    home.foreign("node", &["forge.mjs"]).ok();
    home
}

/// Certificates that chain to the root and may not sign pins; the root's CRL, which lists one of them.
const AUTHORITIES: &str = r#"
plain() { openssl pkey -in "$1" -passin "file:$2" -out "$3"; }
plain home/root/root.key root-passphrase root.key; cp home/root/root.crt root.crt
plain home/issuing/issuing.key issuing-passphrase issuing.key; cp home/issuing/issuing.crt issuing.crt
plain stranger-issuing.key issuing-passphrase stranger.key; cp stranger-issuing.crt stranger.crt
certify() {
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout $1.key -out $1.csr -subj "/O=Acme Ltd/CN=$1"
    printf '%b' "$3" > $1.ext
    openssl x509 -req -in $1.csr -days 30 -CA $2.crt -CAkey $2.key -extfile $1.ext -out $1.crt
}
ca='basicConstraints=critical,CA:TRUE\n'
certify servers-ca root "${ca}keyUsage=critical,keyCertSign,cRLSign\nextendedKeyUsage=serverAuth\n"
certify server servers-ca 'keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\nsubjectAltName=DNS:api.acme.example\n'
certify for-servers-with-digital-signature root "${ca}keyUsage=critical,keyCertSign,cRLSign,digitalSignature\nextendedKeyUsage=serverAuth\n"
certify for-devices-without-digital-signature root "${ca}keyUsage=critical,keyCertSign,cRLSign\nextendedKeyUsage=clientAuth\n"
certify below-issuing issuing "${ca}keyUsage=critical,keyCertSign,cRLSign,digitalSignature\nextendedKeyUsage=clientAuth\n"
certify revoked root "${ca}keyUsage=critical,keyCertSign,cRLSign,digitalSignature\nextendedKeyUsage=clientAuth\n"
printf '[ca]\ndefault_ca=x\n[x]\ndatabase=index.txt\ndefault_md=sha256\ndefault_crl_days=30\n' > ca.cnf
serial=$(openssl x509 -in revoked.crt -noout -serial); serial=${serial#serial=}
printf 'R\t270101000000Z\t260101000000Z\t%s\tunknown\t/CN=revoked\n' "$serial" > index.txt
openssl ca -gencrl -config ca.cnf -cert root.crt -keyfile root.key -out root.crl.pem
openssl crl -in root.crl.pem -outform DER -out root.crl
dated() {
    openssl ca -gencrl -config ca.cnf -cert root.crt -keyfile root.key -crl_lastupdate $2 -crl_nextupdate $3 -out $1.crl.pem
    openssl crl -in $1.crl.pem -outform DER -out $1.crl
}
dated ended 20200101000000Z 20200201000000Z
dated future 20900101000000Z 20900201000000Z
"#;

/// A CRL of the root with other dates, and what is said of it. The first is UTCTime, the second
/// GeneralizedTime (RFC 5280 §5.1.2.4).
const DATED: [(&str, &str); 2] = [
    ("ended", "a CRL of the root that has ended"),
    ("future", "a CRL of the root that begins in the future"),
];
