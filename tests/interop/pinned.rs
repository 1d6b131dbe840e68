//! The pins as apps and curl read them: each form by the rules of the one that reads it.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Finished, HOST, Home, Server, finish, need, program};

const PINS: [&str; 2] = [
    "bv7Qf6J7AGO6D+aKkFHTIm0rmtq2MjTEOjVlPiL7Fd0=",
    "AGPcI/fWmlQtH7jhDC7k3H/muMvsWuhYMyzYpFYLp04=",
];
const TREE: &str = r#"
import json, sys, xml.etree.ElementTree as tree
def described(element):
    return [element.tag, element.attrib, (element.text or "").strip(), [described(child) for child in element]]
print(json.dumps(described(tree.parse(sys.stdin).getroot())))
"#;
const PLIST: &str = "import json, plistlib, sys; print(json.dumps(plistlib.loads(sys.stdin.buffer.read())))";

#[test]
fn androids_configuration_has_the_structure_that_android_reads() {
    if !need(&["python3", "node"]) {
        return;
    }
    let home = Home::bare();
    publish(
        &home,
        &[set(HOST, true, PINS), set("chat.acme.example", false, PINS)],
    );
    for (flags, source) in [(&[][..], "system"), (&["--private-ca"], "@raw/pki_root")] {
        let text = configuration(&home, "android", flags);
        let [tag, _, _, domains] = parts(&python(&home, TREE, &text));
        assert_eq!(tag, "network-security-config");
        let domains = domains.as_array().unwrap();
        assert_eq!(domains.len(), 2, "{text}");
        for (domain, (host, below)) in domains
            .iter()
            .zip([(HOST, "true"), ("chat.acme.example", "false")])
        {
            let pins = PINS.map(|pin| json!(["pin", { "digest": "SHA-256" }, pin, []]));
            let expected = json!(["domain-config", { "cleartextTrafficPermitted": "false" }, "", [
                ["domain", { "includeSubdomains": below }, host, []],
                ["trust-anchors", {}, "", [["certificates", { "src": source }, "", []]]],
                ["pin-set", { "expiration": "2095-11-22" }, "", pins],
            ]]);
            assert_eq!(*domain, expected);
        }
    }
}

#[test]
fn androids_configuration_is_valid_by_its_schema() {
    if !need(&["xmllint", "node"]) {
        return;
    }
    let home = Home::bare();
    publish(
        &home,
        &[set(HOST, true, PINS), set("chat.acme.example", false, PINS)],
    );
    let schema = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/network-security-config.xsd"
    );
    let validate = |text: &str| {
        std::fs::write(home.path("pins.xml"), text).unwrap();
        home.foreign("xmllint", &["--noout", "--schema", schema, "pins.xml"])
    };
    let text = configuration(&home, "android", &[]);
    validate(&text).ok();
    validate(&configuration(&home, "android", &["--private-ca"])).ok();
    for (what, other) in [
        ("2095-11-22", "22.11.2095"),
        ("digest=\"SHA-256\"", "digest=\"SHA-1\""),
        (PINS[0], "AGPcI/fW"),
        ("chat.acme.example", HOST),
        ("domain-config", "domain"),
    ] {
        assert!(text.contains(what), "{what}");
        validate(&text.replace(what, other)).exits(3);
    }
}

#[test]
fn ios_reads_the_keys_of_servers_alone() {
    if !need(&["python3", "node"]) {
        return;
    }
    let home = Home::bare();
    publish(
        &home,
        &[set(HOST, true, PINS), set("chat.acme.example", false, PINS)],
    );
    for flags in [&[][..], &["--private-ca"]] {
        let text = configuration(&home, "ios", flags);
        let identities = PINS.map(|pin| json!({ "SPKI-SHA256-BASE64": pin }));
        let of = |below: bool| json!({ "NSIncludesSubdomains": below, "NSPinnedLeafIdentities": identities });
        let expected = json!({ "NSAppTransportSecurity": { "NSPinnedDomains": { HOST: of(true), "chat.acme.example": of(false) } } });
        assert_eq!(python(&home, PLIST, &text), expected);
    }
}

#[test]
fn trustkit_enforces_two_pins_or_more_until_a_day() {
    if !need(&["python3", "node"]) {
        return;
    }
    let home = Home::bare();
    publish(&home, &[set(HOST, true, PINS)]);
    let text = configuration(&home, "trustkit", &[]);
    let host = json!({
        "TSKIncludeSubdomains": true, "TSKEnforcePinning": true,
        "TSKExpirationDate": "2095-11-22", "TSKPublicKeyHashes": PINS,
    });
    let expected = json!({ "TSKConfiguration": { "TSKSwizzleNetworkDelegates": false, "TSKPinnedDomains": { HOST: host } } });
    assert_eq!(python(&home, PLIST, &text), expected);
}

#[test]
fn okhttp_has_each_pin_for_the_host_and_where_so_published_for_those_below_until_the_end() {
    if !need(&["node"]) {
        return;
    }
    let home = Home::bare();
    publish(
        &home,
        &[set(HOST, true, PINS), set("chat.acme.example", false, PINS)],
    );
    let text = configuration(&home, "okhttp", &["--private-ca"]);
    let mut expected = String::new();
    for (host, below) in [(HOST, true), ("chat.acme.example", false)] {
        expected.push_str("    if (now < Instant.parse(\"2095-11-22T10:00:00Z\")) {\n");
        for pin in PINS {
            writeln!(expected, "        pins.add(\"{host}\", \"sha256/{pin}\")").unwrap();
            if below {
                writeln!(expected, "        pins.add(\"**.{host}\", \"sha256/{pin}\")").unwrap();
            }
        }
        expected.push_str("    }\n");
    }
    assert!(text.contains(&expected), "{text}");
    let root = std::fs::read_to_string(home.public("ca/root.crt")).unwrap();
    assert!(text.contains(root.trim()), "{text}");
    // OkHttp takes the keys of all patterns that cover a host: where that is more than the nearest set, it is
    // said.
    let told = |text: &str| text.matches("Not the nearest keys alone").count();
    assert_eq!(told(&text), 0);
    let below = format!("v1.{HOST}");
    publish(&home, &[set(HOST, true, PINS), set(&below, false, PINS)]);
    let nested = configuration(&home, "okhttp", &[]);
    assert_eq!(told(&nested), 1);
    assert!(nested.contains(&format!("so that {below}, which")), "{nested}");
    publish(&home, &[set(HOST, false, PINS), set(&below, false, PINS)]);
    assert_eq!(told(&configuration(&home, "okhttp", &[])), 0);
}

/// The story of an app: today's key gets through, tomorrow's does, and any other is refused although its
/// certificate is good.
#[test]
fn curl_goes_on_with_the_pinned_keys_only() {
    if !need(&["curl", "openssl", "sh", "node"]) {
        return;
    }
    let home = Home::new();
    let keys = ["today", "tomorrow", "other"].map(|name| Key::make(&home, name));
    publish(&home, &[set(HOST, false, [&keys[0].pin, &keys[1].pin])]);
    std::fs::write(
        home.path("curl.sh"),
        configuration(&home, "curl", &["--private-ca"]),
    )
    .unwrap();
    for (key, code) in keys.iter().zip([0, 0, 90]) {
        let server = key.serve(&home);
        let port = server.port;
        let ask = |arguments: &[&str]| {
            let to = [
                format!("{HOST}:{port}:127.0.0.1"),
                format!("https://{HOST}:{port}/"),
            ];
            let mut all = arguments.to_vec();
            all.extend([
                "-sS",
                "--noproxy",
                "*",
                "--max-time",
                "30",
                "--resolve",
                &to[0],
                &to[1],
            ]);
            home.foreign(all[0], &all[1..])
        };
        let said = ask(&["sh", "curl.sh"]);
        assert_eq!(said.code, Some(code), "{}: {said}", key.name);
        // The chain is good: what refuses is the pin.
        let root = home.public("ca/root.crt");
        ask(&["curl", "--cacert", root.to_str().unwrap()]).ok();
    }
    // Of a public CA: the same pins, and no root. This chain is not one.
    std::fs::write(home.path("curl.sh"), configuration(&home, "curl", &[])).unwrap();
    let text = std::fs::read_to_string(home.path("curl.sh")).unwrap();
    let pinned = format!(
        "exec curl --pinnedpubkey 'sha256//{};sha256//{}' \"$@\"\n",
        keys[0].pin, keys[1].pin
    );
    assert!(text.ends_with(&pinned), "{text}");
}

/// OkHttp's own client, with what is printed: the same story, and after the day the pins are left aside.
const OKHTTP: &str = r#"
import java.security.cert.*
import java.time.Instant
import okhttp3.*
import okhttp3.tls.HandshakeCertificates

fun main(arguments: Array<String>) {
    val known = CertificateFactory.getInstance("X.509").generateCertificate(root.byteInputStream()) as X509Certificate
    val trust = HandshakeCertificates.Builder().addTrustedCertificate(known).build()
    for (argument in arguments) {
        val (day, url) = argument.split(" ")
        val client = OkHttpClient.Builder().sslSocketFactory(trust.sslSocketFactory(), trust.trustManager())
            .dns { listOf(java.net.InetAddress.getByName("127.0.0.1")) }
            .certificatePinner(certificatePinner(Instant.parse(day))).build()
        val said = try {
            client.newCall(Request.Builder().url(url).build()).execute().use { it.code().toString() }
        } catch (error: javax.net.ssl.SSLPeerUnverifiedException) {
            error.message!!.lines()[0]
        }
        println(said)
    }
}
"#;

#[test]
fn okhttp_goes_on_with_the_pinned_keys_only_until_the_day() {
    if !need(&["kotlinc", "java", "openssl", "sh", "node"]) {
        return;
    }
    let home = Home::new();
    let keys = ["today", "tomorrow", "other"].map(|name| Key::make(&home, name));
    publish(&home, &[set(HOST, false, [&keys[0].pin, &keys[1].pin])]);
    let printed = configuration(&home, "okhttp", &["--private-ca"]);
    std::fs::write(home.path("Pins.kt"), printed).unwrap();
    std::fs::write(home.path("Main.kt"), OKHTTP).unwrap();
    let jars = ["okhttp", "okhttp-tls", "okio", "bcprov"].map(|jar| format!("/usr/share/java/{jar}.jar"));
    let mut compile = program("kotlinc");
    compile.args(["Pins.kt", "Main.kt", "-include-runtime", "-d", "app.jar", "-cp"]);
    compile.arg(jars.join(":")).current_dir(home.path(""));
    finish(&mut compile, b"").ok();

    let servers = keys.each_ref().map(|key| key.serve(&home));
    let [today, tomorrow, other] = servers
        .each_ref()
        .map(|server| format!("https://{HOST}:{}/", server.port));
    let asked = [
        format!("2026-11-22T00:00:00Z {today}"),
        format!("2026-11-22T00:00:00Z {tomorrow}"),
        format!("2095-11-22T09:59:59Z {other}"),
        format!("2095-11-22T10:00:01Z {other}"),
    ];
    let path = format!("app.jar:{}", jars.join(":"));
    let mut arguments = vec!["-cp", &path, "MainKt"];
    arguments.extend(asked.iter().map(String::as_str));
    let said = home.foreign("java", &arguments).ok();
    let expected = ["200", "200", "Certificate pinning failure!", "200"];
    assert_eq!(said.stdout.lines().collect::<Vec<_>>(), expected, "{said}");
}

/// A server's key, with a certificate of the home's root for it.
struct Key {
    name: &'static str,
    key: PathBuf,
    certificate: PathBuf,
    pin: String,
}

impl Key {
    fn make(home: &Home, name: &'static str) -> Self {
        let [key, certificate] = ["key", "crt"].map(|ending| home.path(format!("{name}.{ending}")));
        let ran = |script: &str| home.foreign("sh", &["-e", "-c", script]).ok().stdout;
        ran(&format!(
            "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout {name}.key -out {name}.csr -subj /CN={HOST} \
             2>/dev/null\n\
             printf 'subjectAltName=DNS:{HOST}\\nextendedKeyUsage=serverAuth\\n' > {name}.ext\n\
             openssl x509 -req -in {name}.csr -days 30 -extfile {name}.ext -out {name}.crt \
             -CA home/root/root.crt -CAkey home/root/root.key -passin file:root-passphrase 2>/dev/null"
        ));
        let pin = ran(&format!(
            "openssl pkey -in {name}.key -pubout -outform DER | openssl dgst -sha256 -binary | openssl base64 -A"
        ));
        Self {
            name,
            key,
            certificate,
            pin,
        }
    }

    fn serve(&self, home: &Home) -> Server {
        let started = Server::on_free_port(|port| {
            let mut command = program("openssl");
            command.args([
                "s_server",
                "-accept",
                &format!("127.0.0.1:{port}"),
                "-www",
                "-quiet",
            ]);
            command
                .arg("-cert")
                .arg(&self.certificate)
                .arg("-key")
                .arg(&self.key);
            command.current_dir(home.path("")).stdin(Stdio::null());
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        });
        started.expect("openssl does not start")
    }
}

fn set(host: &str, below: bool, pins: [&str; 2]) -> Value {
    let roles = ["active", "backup"];
    let pins: Vec<Value> = pins
        .iter()
        .zip(roles)
        .map(|(pin, role)| json!({ "pin": pin, "role": role, "since": "2026-11-01T00:00:00Z" }))
        .collect();
    json!({ "host": host, "include_subdomains": below, "expires": "2095-11-22T10:00:00Z", "pins": pins })
}

/// Signs pin sets of these keys as the home would: `node sign.cjs` with the key of the issuing CA.
const SIGN: &str = r#"
const fs = require("fs"), crypto = require("crypto");
const der = fs.readFileSync("home/public/ca/issuing.der").toString("base64");
const encoded = (octets) => Buffer.from(octets).toString("base64url");
const header = encoded(JSON.stringify({ alg: "ES256", typ: "pki-pins+jws", x5c: [der] }));
const signed = header + "." + encoded(fs.readFileSync("home/public/pins/pins.json"));
const key = crypto.createPrivateKey({ key: fs.readFileSync("home/issuing/issuing.key"),
  passphrase: fs.readFileSync("issuing-passphrase", "utf8").trim() });
const signature = crypto.sign("sha256", Buffer.from(signed), { key, dsaEncoding: "ieee-p1363" });
fs.writeFileSync("home/public/pins/pins.jws", signed + "." + encoded(signature));
"#;

fn publish(home: &Home, sets: &[Value]) {
    std::fs::create_dir_all(home.public("pins")).unwrap();
    let text =
        json!({ "version": 1, "number": 7, "iat": 1_700_000_000, "exp": 4_000_000_000_u64, "sets": sets });
    std::fs::write(home.public("pins/pins.json"), text.to_string()).unwrap();
    home.foreign("node", &["-e", SIGN]).ok();
}

fn configuration(home: &Home, target: &str, flags: &[&str]) -> String {
    home.run(&[&["config", target], flags].concat()).stdout
}

fn python(home: &Home, script: &str, input: &str) -> Value {
    let said: Finished = home.foreign_given("python3", &["-X", "utf8", "-c", script], input.as_bytes());
    said.ok().json()
}

fn parts(value: &Value) -> [Value; 4] {
    value.as_array().unwrap().clone().try_into().unwrap()
}
