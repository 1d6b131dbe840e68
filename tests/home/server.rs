//! The company's servers: their keys, certificates and pins, from the first day through rotation and loss.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::{Finished, HOST, Home, copy_of, files_below, finish, need};

const ADD: [&str; 5] = ["server", "add", HOST, "--out", "tls"];
const ISSUE: [&str; 5] = ["server", "issue", HOST, "--out", "tls"];
const ROTATE: [&str; 5] = ["server", "rotate", HOST, "--out", "tls"];

fn at(home: &Home, offset: &str, arguments: &[&str]) -> Finished {
    finish(&mut home.pki_at(offset, arguments), b"")
}

/// As [`Home::with_server`], with keys that no other home has.
fn with_a_server_of_its_own() -> Home {
    let home = Home::new();
    home.run(&ADD);
    home
}

/// What a refusal says.
#[track_caller]
fn refusal(home: &Home, arguments: &[&str]) -> String {
    finish(&mut home.pki(arguments), b"").exits(1).stderr
}

#[test]
fn who_renews_a_certificate_is_told_that_a_reload_may_not_do() {
    // FreeRADIUS, OpenVPN and Envoy go on with the old one.
    let home = Home::with_server();
    for _renewed in [false, true] {
        let said = home.run(&ISSUE).stderr;
        let hint = "→ have the server read it: most do at a reload, all at a restart; ";
        assert!(said.contains(hint), "{said}");
    }
}

/// The published pins of the server, each with its role.
fn pins(home: &Home) -> Vec<(String, String)> {
    let text = std::fs::read(home.public("pins/pins.json")).unwrap();
    let pins: Value = serde_json::from_slice(&text).unwrap();
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let of = |pin: &Value| (word(&pin["role"]), word(&pin["pin"]));
    pins["sets"][0]["pins"]
        .as_array()
        .unwrap()
        .iter()
        .map(of)
        .collect()
}

/// The published pin in this role.
fn pin(home: &Home, role: &str) -> String {
    pins(home).into_iter().find(|pin| pin.0 == role).unwrap().1
}

/// The pin of a key file or a certificate, as OpenSSL counts it.
fn counted(home: &Home, file: &str) -> String {
    let public = if file.ends_with(".key") {
        format!("openssl pkey -in {file} -pubout -outform DER")
    } else {
        format!("openssl x509 -in {file} -noout -pubkey | openssl pkey -pubin -outform DER")
    };
    let script = format!("{public} | openssl dgst -sha256 -binary | openssl base64 -A");
    home.foreign("sh", &["-c", &script]).ok().stdout
}

/// Verifies a server's certificate by the published root, servers' CA and CRLs.
fn verify(home: &Home, file: &str, purpose: &str) -> Finished {
    let mut arguments = vec!["verify", "-x509_strict", "-crl_check_all", "-purpose", purpose];
    arguments.extend([
        "-CAfile",
        "home/public/ca/root.crt",
        "-untrusted",
        "home/public/ca/servers.crt",
    ]);
    arguments.extend(["-CRLfile", "home/public/crl/root.pem"]);
    arguments.extend(["-CRLfile", "home/public/crl/servers.pem"]);
    arguments.extend(["-verify_hostname", HOST, file]);
    home.foreign("openssl", &arguments)
}

#[test]
fn a_server_gets_a_key_of_its_own_and_one_in_reserve_stays_encrypted_in_the_home() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::with_server();
    let key = home.path(format!("tls/{HOST}.key"));
    assert_eq!(
        std::fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(counted(&home, &format!("tls/{HOST}.key")), pin(&home, "active"));
    let kept = files_below(&home.home().join("servers"));
    assert_eq!(kept.len(), 2, "{kept:?}");
    for file in kept {
        let path = home.home().join("servers").join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("BEGIN ENCRYPTED PRIVATE KEY"), "{text}");
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    assert_eq!(files_below(&home.path("tls")), [format!("{HOST}.key")]);
    // Apps hold the server to both.
    let roles: Vec<_> = pins(&home).into_iter().map(|(role, _)| role).collect();
    assert_eq!(roles, ["active", "backup"]);
    let said = refusal(&home, &ADD);
    assert!(said.contains("is a server here already"), "{said}");
}

#[test]
fn the_servers_ca_certifies_servers_and_no_devices_and_a_renewal_keeps_the_key() {
    if !need(&["openssl", "faketime"]) {
        return;
    }
    let home = Home::with_server();
    let root_crl = std::fs::read(home.public("crl/root.crl")).unwrap();
    home.run(&ISSUE);
    let certificate = format!("tls/{HOST}.crt");
    assert_eq!(counted(&home, &certificate), pin(&home, "active"));
    verify(&home, &certificate, "sslserver").ok();
    verify(&home, &certificate, "sslclient").exits(2);
    // One use of the root's key, for the CA alone.
    assert_eq!(std::fs::read(home.public("crl/root.crl")).unwrap(), root_crl);
    // What a server loads to verify devices does not know it.
    let bundle = std::fs::read_to_string(home.public("ca/bundle.pem")).unwrap();
    let servers = std::fs::read_to_string(home.public("ca/servers.crt")).unwrap();
    assert!(!bundle.contains(&servers));
    let chain = std::fs::read_to_string(home.path(&certificate)).unwrap();
    assert!(chain.ends_with(&servers), "{chain}");

    let first = std::fs::read(home.path(&certificate)).unwrap();
    at(&home, "+60d", &[&ISSUE[..], &["--confirm", "CLOCK"]].concat()).ok();
    assert_ne!(std::fs::read(home.path(&certificate)).unwrap(), first);
    assert_eq!(counted(&home, &certificate), pin(&home, "active"));
    assert_eq!(
        files_below(&home.path("tls")),
        [format!("{HOST}.crt"), format!("{HOST}.key")]
    );
}

#[test]
fn neither_ca_makes_what_the_other_makes() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::with_certified_server();
    let text = |ca: &str| {
        let file = format!("home/public/ca/{ca}.crt");
        let said = home
            .foreign("openssl", &["x509", "-in", &file, "-noout", "-text"])
            .ok();
        said.stdout
    };
    let (issuing, servers) = (text("issuing"), text("servers"));
    let has = |text: &str, what: &str| text.contains(what);
    assert!(has(&servers, "CN = Acme Ltd Servers CA") && has(&servers, "CA:TRUE, pathlen:0"));
    assert!(has(&servers, "TLS Web Server Authentication") && !has(&servers, "TLS Web Client"));
    assert!(has(&issuing, "TLS Web Client Authentication") && !has(&issuing, "TLS Web Server"));
    // It signs no statements: keyUsage says so.
    assert!(has(&issuing, "Digital Signature, Certificate Sign, CRL Sign"));
    assert!(has(&servers, "Certificate Sign, CRL Sign") && !has(&servers, "Digital Signature"));
    // The one in the place of the other is refused.
    let home = copy_of(&home);
    std::fs::copy(
        home.home().join("servers/servers.crt"),
        home.home().join("issuing/issuing.crt"),
    )
    .unwrap();
    let said = refusal(&home, &["list"]);
    assert!(said.contains("is not one that this program made"), "{said}");
}

/// A key of this sort in a pin set stands for more than a server, or for somebody who should be out.
#[test]
fn nobody_elses_key_is_taken_for_a_servers_and_no_servers_for_a_devices() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::with_certified_server();
    let made = r#"
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout ca.key -out ca.crt -subj /CN=ca 2>/dev/null
        openssl req -new -key ca.key -subj /CN=x -out x.csr
        for name in "$@"; do
            openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout $name.key -out $name.csr -subj /CN=$name 2>/dev/null
        done
    "#;
    let names = ["bob", "lost"];
    home.foreign("sh", &[&["-e", "-c", made, "sh"], &names[..]].concat())
        .ok();
    for name in names {
        home.run(&["issue", name, "--csr", &format!("{name}.csr")]);
    }
    home.run(&["revoke", "lost", "--yes", "--reason", "compromised"]);
    home.foreign("cp", &[&format!("tls/{HOST}.key"), "given-up.key"])
        .ok();
    let renewed = home.run(&ISSUE);
    assert!(renewed.stderr.contains("most do at a reload"), "{renewed}");
    home.run(&[&ROTATE[..], &["--compromised", "--confirm", HOST]].concat());
    // A reload of the server would read the files of the old key once more.
    let of_next_key = home.run(&ISSUE);
    assert!(
        of_next_key.stderr.contains("whose files have other names"),
        "{of_next_key}"
    );

    // Another CA certifies whatever public key it is shown.
    std::fs::write(home.path("extensions"), "subjectAltName=DNS:www.acme.example\n").unwrap();
    let certified = |public: &str| {
        home.foreign("sh", &["-e", "-c", &format!(
            "{public} > any.pub; openssl x509 -req -in x.csr -force_pubkey any.pub -CA ca.crt -CAkey ca.key -days 9 -extfile extensions -out any.crt"
        )])
        .ok();
        finish(
            &mut home.pki(&["server", "import", "www.acme.example", "--cert", "any.crt"]),
            b"",
        )
    };
    let of_key = |key: &str| format!("openssl pkey -in {key} -pubout");
    let of_certificate = |file: &str| format!("openssl x509 -in home/public/ca/{file} -noout -pubkey");
    for (public, why) in [
        (of_key("bob.key"), "this key is the one of bob/phone"),
        (of_key("lost.key"), "this key was revoked as compromised"),
        (
            of_key("given-up.key"),
            "this key was given up as compromised, with api.acme.example",
        ),
        (of_certificate("root.crt"), "this key is the one of a CA here"),
        (of_certificate("issuing.crt"), "this key is the one of a CA here"),
        (of_certificate("servers.crt"), "this key is the one of a CA here"),
    ] {
        // One key can be written in several ways: it is what it is, and not its octets.
        for form in WAYS {
            let written = format!("{public} | openssl ec -pubin {form} -pubout");
            let before = std::fs::read(home.home().join("ledger.jsonl")).unwrap();
            let said = certified(&written).exits(1);
            assert!(said.stderr.contains(why), "{written}: {said}");
            let after = std::fs::read(home.home().join("ledger.jsonl")).unwrap();
            assert_eq!(after, before, "{written}");
        }
    }
    // Two names of one server.
    let in_use = files_below(&home.path("tls"));
    let in_use = in_use
        .iter()
        .find(|file| file.ends_with(".key") && **file != format!("{HOST}.key"));
    let in_use = format!("tls/{}", in_use.unwrap());
    certified(&of_key(&in_use)).ok();

    for key in [in_use.as_str(), "given-up.key"] {
        for form in &WAYS[..2] {
            home.foreign("sh", &["-e", "-c", &request(key, form)]).ok();
            let said = refusal(&home, &["issue", "carol", "--csr", "device.csr"]);
            assert!(said.contains("api.acme.example"), "{key} {form}: {said}");
        }
    }
}

/// The ways in which OpenSSL writes a public key of P-256.
const WAYS: [&str; 4] = [
    "",
    "-conv_form compressed",
    "-conv_form hybrid",
    "-param_enc explicit",
];

/// A shell's words that make a request with this key, written in one of the [`WAYS`].
fn request(key: &str, form: &str) -> String {
    format!(
        "openssl ec -in {key} {form} -out written.key && openssl req -new -key written.key -subj /CN=x -out device.csr"
    )
}

/// The pin of a key is the hash of its octets, for clients compare those; whose it is goes by the key.
#[test]
fn a_servers_key_that_its_certificate_writes_otherwise_is_pinned_so_and_is_still_its_own() {
    if !need(&["openssl"]) {
        return;
    }
    for form in &WAYS[1..] {
        let home = Home::new();
        let script = format!(
            "openssl ecparam -name prime256v1 -genkey -noout -out k && openssl ec -in k {form} -out written.key && \
             openssl req -x509 -key written.key -days 9 -subj /CN={HOST} -addext subjectAltName=DNS:{HOST} \
             -addext basicConstraints=critical,CA:FALSE -out own.crt"
        );
        home.foreign("sh", &["-e", "-c", &script]).ok();
        home.run(&["server", "import", HOST, "--cert", "own.crt"]);
        let plain = home
            .foreign(
                "sh",
                &[
                    "-e",
                    "-c",
                    "openssl pkey -in k -pubout -outform DER | openssl dgst -sha256 -binary | openssl base64",
                ],
            )
            .ok();
        assert_ne!(pin(&home, "active"), plain.stdout.trim_end(), "{form}");
        home.run(&["server", "import", HOST, "--cert", "own.crt"]);
        for written in &WAYS[..2] {
            home.foreign("sh", &["-e", "-c", &request("k", written)]).ok();
            let said = refusal(&home, &["issue", "carol", "--csr", "device.csr"]);
            assert!(
                said.contains(&format!("the server {HOST}")),
                "{form}, {written}: {said}"
            );
        }
    }
}

#[test]
fn a_key_takes_over_when_its_pin_was_published_for_long_enough_and_the_old_one_retires() {
    if !need(&["openssl", "faketime"]) {
        return;
    }
    let home = Home::with_server();
    let (active, backup) = (pin(&home, "active"), pin(&home, "backup"));
    let mut retiring = vec![
        "req",
        "-x509",
        "-subj",
        "/CN=old",
        "-days",
        "90",
        "-out",
        "retiring.crt",
    ];
    let (key, san) = (format!("tls/{HOST}.key"), format!("subjectAltName=DNS:{HOST}"));
    retiring.extend([
        "-key",
        &key,
        "-addext",
        &san,
        "-addext",
        "basicConstraints=critical,CA:FALSE",
    ]);
    home.foreign("openssl", &retiring).ok();
    let said = refusal(&home, &ROTATE);
    assert!(said.contains("has not been published for long enough"), "{said}");
    assert!(
        said.contains("--compromised --confirm api.acme.example"),
        "{said}"
    );
    assert!(files_below(&home.path("tls")).len() == 1 && pins(&home).len() == 2);
    at(&home, "+20d", &["publish"]).ok();
    at(&home, "+29d", &ROTATE).exits(1);
    at(&home, "+31d", &ROTATE).ok();
    let next = pin(&home, "backup");
    let expected = [("active", &backup), ("backup", &next), ("retiring", &active)];
    let found = pins(&home);
    assert!(
        found.iter().map(|(role, pin)| (role.as_str(), pin)).eq(expected),
        "{found:?}"
    );
    // Beside a key of the same name the new one has another: no certificate stands beside a key that is not
    // its own.
    let mut keys = files_below(&home.path("tls"));
    keys.retain(|file| *file != format!("{HOST}.key"));
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert_eq!(counted(&home, &format!("tls/{}", keys[0])), backup);
    at(&home, "+31d", &ISSUE).ok();
    assert_eq!(
        counted(&home, &format!("tls/{}", keys[0].replace(".key", ".crt"))),
        backup
    );
    // A certificate of the old key is told for what it is.
    let said = at(
        &home,
        "+31d",
        &["server", "import", HOST, "--cert", "retiring.crt"],
    )
    .exits(1);
    assert!(
        said.stderr
            .contains("a key that api.acme.example has used before"),
        "{said}"
    );
    // The new one in reserve waits in its turn; the old one leaves after the overlap.
    at(&home, "+32d", &ROTATE).exits(1);
    at(&home, "+50d", &["publish"]).ok();
    assert_eq!(pins(&home).len(), 3);
    at(&home, "+62d", &["publish"]).ok();
    let found = pins(&home);
    assert_eq!(found, [("active".into(), backup), ("backup".into(), next)]);
}

#[test]
fn the_pin_of_a_compromised_key_leaves_at_once() {
    let home = Home::with_server();
    let (active, backup) = (pin(&home, "active"), pin(&home, "backup"));
    let wrong = [&ROTATE[..], &["--confirm", "www.acme.example"]].concat();
    finish(&mut home.pki(&wrong), b"").exits(2);
    home.run(&[&ROTATE[..], &["--compromised", "--confirm", HOST]].concat());
    let found = pins(&home);
    assert_eq!((found.len(), &found[0].1), (2, &backup));
    assert!(found.iter().all(|(_, pin)| *pin != active));
}

#[test]
fn a_certificate_of_a_public_ca_keeps_the_key_and_another_key_is_not_taken_for_it() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::with_server();
    home.run(&["server", "csr", HOST, "--out", "tls"]);
    let san = format!("subjectAltName=DNS:{HOST}");
    let sign = |request: &str, out: &str, extension: &str, days: &str| {
        std::fs::write(home.path("extensions"), extension).unwrap();
        let mut arguments = vec!["x509", "-req", "-in", request, "-days", days, "-out", out];
        arguments.extend(["-CA", "ca.crt", "-CAkey", "ca.key", "-extfile", "extensions"]);
        home.foreign("openssl", &arguments).ok();
    };
    let mut ca = vec![
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key",
    ];
    ca.extend(["-subj", "/CN=Public CA", "-out", "ca.crt"]);
    home.foreign("openssl", &ca).ok();
    let request = format!("tls/{HOST}.csr");
    let import = |file: &str| finish(&mut home.pki(&["server", "import", HOST, "--cert", file]), b"");

    sign(&request, "good.crt", &san, "90");
    import("good.crt").ok();
    let listed = home.run(&["server", "list", "--json"]).json();
    assert_eq!(listed["servers"][0]["certificate"]["issuer"], "other");
    sign(&request, "ended.crt", &san, "-1");
    sign(
        &request,
        "elsewhere.crt",
        "subjectAltName=DNS:www.acme.example",
        "90",
    );
    home.run(&["server", "csr", HOST, "--backup", "--out", "reserve"]);
    // The key in reserve does not leave the home before it is used.
    assert_eq!(files_below(&home.path("reserve")), [format!("{HOST}.csr")]);
    sign(&format!("reserve/{HOST}.csr"), "reserve.crt", &san, "90");
    let mut stranger = vec!["req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "s.key"];
    stranger.extend(["-subj", "/CN=stranger", "-out", "stranger.csr"]);
    home.foreign("openssl", &stranger).ok();
    sign("stranger.csr", "stranger.crt", &san, "90");
    home.foreign("sh", &["-c", "cat s.key stranger.crt > both.pem"])
        .ok();
    sign(
        "stranger.csr",
        "an-ca.crt",
        &format!("{san}\nbasicConstraints=CA:TRUE"),
        "90",
    );
    let mut own = vec![
        "req", "-x509", "-key", "s.key", "-subj", "/CN=self", "-out", "self.crt",
    ];
    own.extend(["-addext", &san]);
    home.foreign("openssl", &own).ok();
    for (file, why) in [
        ("ended.crt", "not now"),
        (
            "elsewhere.crt",
            "does not name api.acme.example, but www.acme.example",
        ),
        ("reserve.crt", "is for the backup key of api.acme.example"),
        ("stranger.crt", "neither the active nor the backup key"),
        ("ca.crt", "does not name api.acme.example, but no host at all"),
        ("an-ca.crt", "the certificate of a CA"),
        ("self.crt", "self-signed and says that it is a CA's"),
        ("both.pem", "it holds a private key"),
        ("s.key", "s.key is a private key, and no certificate"),
        (&request, "is a certificate signing request, and no certificate"),
        ("nowhere.crt", "could not be read"),
    ] {
        let before = std::fs::read(home.home().join("ledger.jsonl")).unwrap();
        let said = import(file).exits(1);
        assert!(said.stderr.contains(why), "{file}: {said}");
        assert_eq!(
            std::fs::read(home.home().join("ledger.jsonl")).unwrap(),
            before,
            "{file}"
        );
    }
}

#[test]
fn a_server_that_made_its_own_key_is_pinned_by_its_certificate_and_certified_by_its_request() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    let mut made = vec![
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
    ];
    made.extend([
        "-nodes", "-keyout", "own.key", "-subj", "/CN=own", "-out", "own.crt",
    ]);
    let san = format!("subjectAltName=DNS:{HOST}");
    made.extend(["-addext", &san, "-addext", "basicConstraints=critical,CA:FALSE"]);
    home.foreign("openssl", &made).ok();
    let said = home.run(&["server", "import", HOST, "--cert", "own.crt"]);
    assert!(said.stderr.contains("next, give apps its pins"), "{said}");
    assert!(!said.stderr.contains("not of P-256"), "{said}");
    assert_eq!(counted(&home, "own.crt"), pin(&home, "active"));
    for arguments in [&ISSUE[..], &["server", "csr", HOST]] {
        let said = refusal(&home, arguments);
        assert!(said.contains("was not made here"), "{said}");
    }
    let mut request = vec!["req", "-new", "-key", "own.key", "-subj", "/CN=evil.example"];
    request.extend(["-addext", "subjectAltName=DNS:evil.example", "-out", "own.csr"]);
    home.foreign("openssl", &request).ok();
    home.run(&[&ISSUE[..], &["--csr", "own.csr"]].concat());
    let certificate = format!("tls/{HOST}.crt");
    assert_eq!(counted(&home, &certificate), counted(&home, "own.key"));
    // A key that takes over gets a name of its own beside that certificate.
    let rotated = copy_of(&home);
    let said = rotated.run(&[&ROTATE[..], &["--confirm", HOST]].concat());
    assert!(said.stdout.starts_with(&format!("tls/{HOST}-")), "{said}");
    // Only the key of the request counts.
    verify(&home, &certificate, "sslserver").ok();
    let text = home
        .foreign("openssl", &["x509", "-in", &certificate, "-noout", "-text"])
        .ok();
    assert!(!text.stdout.contains("evil"), "{text}");
    // A key that is not the pinned one is not certified.
    home.request("other");
    let said = refusal(&home, &[&ISSUE[..], &["--csr", "other.csr"]].concat());
    assert!(said.contains("neither the active nor the backup key"), "{said}");
}

#[test]
fn hosts_that_no_certificate_can_name_are_refused_before_anything_is_written() {
    let home = Home::new();
    for (host, code, why) in [
        ("münchen.example", 2, "xn--"),
        ("*.acme.example", 2, "wildcard"),
        ("api.acme.example.", 2, "ends with a dot"),
        ("https://api.acme.example", 2, "URL"),
        ("api.acme.example:443", 2, "port"),
        ("localhost", 2, "two labels"),
        ("../../etc/passwd", 2, "URL or a path"),
    ] {
        let said = finish(&mut home.pki(&["server", "add", host, "--out", "tls"]), b"").exits(code);
        assert!(said.stderr.contains(why), "{host}: {said}");
    }
    assert!(!home.path("tls").exists() && !home.home().join("servers").exists());
    // A public CA may certify what this PKI's own may not.
    for host in ["api.evil.example", "10.0.0.1", "2001:db8::1"] {
        let said = home.run(&["server", "add", host, "--out", "tls"]);
        assert!(said.stderr.contains("a public CA certifies it"), "{said}");
        let said = refusal(&home, &["server", "issue", host, "--out", "tls"]);
        assert!(
            said.contains("outside of what the name constraints"),
            "{host}: {said}"
        );
    }
    assert!(home.path("tls/2001-db8--1.key").exists());
    assert!(!home.home().join("servers/servers.key").exists());
    for days in ["0", "399", "-1"] {
        let said = refusal(&home, &["server", "issue", "10.0.0.1", "--days", days]);
        assert!(said.contains("outside"), "{said}");
    }
    assert!(refusal(&home, &["server", "issue", "www.acme.example"]).contains("there is no server"));
}

#[test]
fn a_root_that_is_away_signs_the_servers_ca_for_a_request() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::with_server();
    let root = home.path("safe");
    std::fs::create_dir(&root).unwrap();
    std::fs::copy(home.home().join("root/root.crt"), root.join("root.crt")).unwrap();
    std::fs::rename(home.home().join("root/root.key"), root.join("root.key")).unwrap();
    let said = finish(&mut home.pki(&ISSUE), b"").exits(5);
    assert!(said.stderr.contains("pki root sign servers-ca.csr"), "{said}");
    // The same key asks again.
    let request = std::fs::read(home.path("tls/servers-ca.csr")).unwrap();
    let key = std::fs::read(home.home().join("servers/servers.key")).unwrap();
    finish(&mut home.pki(&ISSUE), b"").exits(5);
    assert_eq!(
        std::fs::read(home.home().join("servers/servers.key")).unwrap(),
        key
    );
    assert!(!request.is_empty());

    let sign = |request: &str, out: &str, more: &[&str]| {
        let arguments = ["root", "sign", request, "--root", "safe", "--out", out];
        let mut command = home.pki(&[&arguments[..], more].concat());
        // Where the root is there is no home.
        command.env("PKI_HOME", home.path("nowhere"));
        finish(&mut command, b"")
    };
    sign("tls/servers-ca.csr", "ca.crt", &[]).exits(4);
    sign("tls/servers-ca.csr", "ca.crt", &["--yes"]).ok();
    sign("tls/servers-ca.csr", "ca.crt", &["--yes"]).exits(1);
    // Only the answer to this request is taken in.
    let csr = home.run(&["server", "csr", HOST, "--out", "tls"]);
    assert!(csr.stdout.contains(".csr"), "{csr}");
    sign(&format!("tls/{HOST}.csr"), "other.crt", &["--yes"]).ok();
    for (file, why) in [
        ("other.crt", "does not belong to its certificate"),
        ("home/issuing/issuing.crt", "is not one that this program made"),
        ("home/root/root.crt", "is not one that this program made"),
        (
            "tls/servers-ca.csr",
            "is a certificate signing request, and no certificate",
        ),
    ] {
        let said = refusal(&home, &["ca", "install", file]);
        assert!(said.contains(why), "{file}: {said}");
    }
    assert!(!home.home().join("servers/servers.crt").exists());
    home.run(&["ca", "install", "ca.crt"]);
    home.run(&["ca", "install", "ca.crt"]);
    home.run(&ISSUE);
    verify(&home, &format!("tls/{HOST}.crt"), "sslserver").ok();
}

#[test]
fn a_servers_certificate_is_taken_back_on_the_crl_of_its_own_ca() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::with_certified_server();
    let listed = home.run(&["server", "list", "--json"]).json();
    let serial = listed["servers"][0]["certificate"]["serial"]
        .as_str()
        .unwrap()
        .to_owned();
    let devices = std::fs::read(home.public("crl/issuing.crl")).unwrap();
    finish(&mut home.pki(&["revoke", &serial]), b"").exits(4);
    home.run(&["revoke", &serial, "--yes", "--reason", "replaced"]);
    let crl = home
        .foreign(
            "openssl",
            &["crl", "-in", "home/public/crl/servers.pem", "-noout", "-text"],
        )
        .ok();
    assert!(
        crl.stdout.contains(&serial) && crl.stdout.contains("Superseded"),
        "{crl}"
    );
    let said = verify(&home, &format!("tls/{HOST}.crt"), "sslserver").exits(2);
    assert!(said.stderr.contains("certificate revoked"), "{said}");
    // The devices' CRL is another.
    assert_eq!(std::fs::read(home.public("crl/issuing.crl")).unwrap(), devices);
    let said = home.run(&["revoke", &serial, "--yes"]);
    assert!(said.stderr.contains("was revoked already"), "{said}");
}

#[test]
fn a_home_from_an_older_backup_withdraws_no_pin_and_takes_no_revocation_back() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::with_certified_server();
    let backup = copy_of(&home);
    home.run(&[&ROTATE[..], &["--confirm", HOST]].concat());
    let listed = home.run(&["server", "list", "--json"]).json();
    assert_eq!(listed["servers"][0]["certificate"], Value::Null);
    let serial = std::fs::read_to_string(home.home().join("ledger.jsonl")).unwrap();
    let serial = serial.split("\"server_certified\"").nth(1).unwrap();
    let serial = serial
        .split("\"serial\":\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    home.run(&["revoke", serial, "--yes"]);
    let rotated = pins(&home);
    // The publication goes on; what is restored is the ledger.
    for file in ["ledger.jsonl", "index"] {
        let there = home.home().join(file);
        let _ = std::fs::remove_file(&there);
        let _ = std::fs::remove_dir_all(&there);
        let from = backup.home().join(file).display().to_string();
        home.foreign("cp", &["-a", &from, there.to_str().unwrap()]).ok();
    }
    let said = finish(&mut home.pki(&["publish"]), b"").exits(5);
    assert!(
        said.stderr
            .contains("the published pin sets are later than what the ledger knows"),
        "{said}"
    );
    assert_eq!(pins(&home), rotated);
    let crl = home
        .foreign(
            "openssl",
            &["crl", "-in", "home/public/crl/servers.pem", "-noout", "-text"],
        )
        .ok();
    assert!(crl.stdout.contains(serial), "{crl}");
    let said = refusal(&home, &["server", "add", "www.acme.example", "--out", "tls"]);
    assert!(said.contains("later than what this ledger knows"), "{said}");
    let said = refusal(&home, &[&ROTATE[..], &["--confirm", HOST]].concat());
    assert!(said.contains("later than what this ledger knows"), "{said}");
}

/// The place was out of pki.toml when the older home signed its pins, with a number above those of the place.
#[test]
fn a_home_from_an_older_backup_withdraws_no_pin_from_a_place_that_comes_back() {
    let home = Home::with_server();
    let backup = copy_of(&home);
    let table = format!("[[publish]]\npublic = '{}'\n", home.path("web").display());
    home.configure_table(&table);
    home.run(&[&ROTATE[..], &["--confirm", HOST]].concat());
    let files = ["pins/pins.jws", "crl/issuing.crl", "manifest.json"];
    let published = || files.map(|file| std::fs::read(home.path("web").join(file)).unwrap());
    let before = published();
    std::fs::remove_dir_all(home.home()).unwrap();
    let from = backup.home().display().to_string();
    home.foreign("cp", &["-a", &from, home.home().to_str().unwrap()])
        .ok();
    home.run(&["server", "add", "www.acme.example", "--out", "tls"]);
    home.configure_table(&table);
    let said = finish(&mut home.pki(&["publish"]), b"").exits(5);
    assert!(
        said.stderr.contains("it has pins that neither the ledger"),
        "{said}"
    );
    assert_eq!(published(), before);
    let said = finish(&mut home.pki(&["doctor"]), b"").exits(3);
    assert!(
        said.stdout.contains("it has pins that neither the ledger"),
        "{said}"
    );
    // What its words say is done: the older state is meant.
    std::fs::remove_dir_all(home.path("web/pins")).unwrap();
    home.run(&["publish"]);
    assert_ne!(published(), before);
}

#[test]
fn the_pin_sets_are_signed_anew_when_half_of_their_life_is_over_and_never_with_a_lower_number() {
    if !need(&["faketime"]) {
        return;
    }
    let home = Home::with_server();
    let number = || {
        let text = std::fs::read(home.public("pins/pins.json")).unwrap();
        let pins: Value = serde_json::from_slice(&text).unwrap();
        pins["number"].as_u64().unwrap()
    };
    let first = number();
    home.run(&["publish"]);
    let clock = ["publish", "--confirm", "CLOCK"];
    at(&home, "+180d", &clock).ok();
    assert_eq!(number(), first);
    at(&home, "+184d", &clock).ok();
    assert!(number() > first);
}

#[test]
fn what_a_server_has_is_told_to_people_and_scripts() {
    let home = Home::with_server();
    let listed = home.run(&["server", "list"]);
    assert!(listed.stdout.contains(&pin(&home, "backup")), "{listed}");
    let plan = home.run(&["pins", "plan"]);
    assert!(
        plan.stdout
            .contains("A rotation today locks out every app whose pins are older than"),
        "{plan}"
    );
    let plan = home.run(&["pins", "plan", HOST, "--json"]).json();
    assert_eq!(plan["servers"][0]["ready"], false);
    let shown = home.run(&["pins", "show", "--json"]).json();
    let text = std::fs::read(home.public("pins/pins.json")).unwrap();
    assert_eq!(shown, serde_json::from_slice::<Value>(&text).unwrap());
    let printed = home.run(&["pins", "show", "--format", "json"]);
    assert_eq!(printed.stdout.as_bytes(), text);
    for arguments in [
        &["pins", "show", "www.acme.example"][..],
        &["pins", "plan", "www.acme.example"],
    ] {
        assert!(refusal(&home, arguments).contains("there is no server"));
    }
    let bare = Home::new();
    assert!(refusal(&bare, &["pins", "show"]).contains("no pin sets are published"));
}

#[test]
fn a_signed_statement_is_shown_with_whose_signature_it_has() {
    let home = Home::with_server();
    let jws = home.public("pins/pins.jws").display().to_string();
    let said = home.run(&["show", &jws]).stdout;
    let line = |text: &str| assert!(said.lines().any(|line| line == text), "{text}: {said}");
    line("signature    good: this PKI's CA for devices has made it");
    assert!(
        said.starts_with("pin sets     number ") && said.contains("\nsigner       O=Acme Ltd, CN="),
        "{said}"
    );
    for (role, pin) in pins(&home) {
        assert!(said.contains(&format!("  {pin} {role} since ")), "{said}");
    }
    assert!(said.contains(&format!("\n{HOST}, until ")), "{said}");

    let told = finish(home.pki(&["show", &jws]).arg("--json"), b"").ok().json();
    let plain = std::fs::read(home.public("pins/pins.json")).unwrap();
    let plain: Value = serde_json::from_slice(&plain).unwrap();
    assert_eq!(
        (told["kind"].as_str(), told["signature"].as_str()),
        (Some("pins"), Some("good"))
    );
    assert_eq!(
        (&told["number"], &told["sets"]),
        (&plain["number"], &plain["sets"]),
        "{told}"
    );
    for area in ["public", "server"] {
        let manifest = format!("home/{area}/manifest.jws");
        let told = finish(home.pki(&["show", &manifest]).arg("--json"), b"")
            .ok()
            .json();
        assert_eq!(
            (told["kind"].as_str(), told["area"].as_str()),
            (Some("manifest"), Some(area))
        );
        assert_eq!(told["signature"], "good");
        let said = home.run(&["show", &manifest]).stdout;
        assert!(said.starts_with(&format!("manifest     {area} ")), "{said}");
    }

    // Changed, or of another PKI: shown, and told for that. Without a home nobody can tell.
    let text = std::fs::read_to_string(&jws).unwrap();
    let parts: Vec<&str> = text.split('.').collect();
    let changed = |payload: &str| {
        let payload = data_encoding::BASE64URL_NOPAD.encode(payload.as_bytes());
        home.write_private("changed.jws", &[parts[0], &payload, parts[2]].join("."));
        finish(home.pki(&["show", "changed.jws"]).arg("--json"), b"")
    };
    let mut lie = plain.clone();
    lie["number"] = 1.into();
    let told = changed(&lie.to_string()).ok().json();
    assert_eq!(
        (told["signature"].as_str(), told["number"].as_u64()),
        (Some("bad"), Some(1))
    );
    assert_eq!(told["why"], "its signature does not hold");
    let said = changed("{}").exits(1);
    assert!(said.stderr.contains("not of its form"), "{said}");
    let other = Home::bare();
    let told = finish(other.pki(&["show", &jws]).arg("--json"), b"").ok().json();
    assert!(told["why"].as_str().unwrap().contains("has not issued"), "{told}");
    let told = finish(home.pki(&["--home", "nowhere", "show", &jws]).arg("--json"), b"")
        .ok()
        .json();
    assert_eq!(told["signature"], "unknown");
    assert!(told["why"].as_str().unwrap().contains("nowhere"), "{told}");
    let said = refusal(&home, &["show", &jws, "--pem"]);
    assert!(said.contains("which has no PEM"), "{said}");
}

#[test]
fn doctor_misses_a_key_in_reserve_and_a_certificate_that_ends() {
    if !need(&["faketime"]) {
        return;
    }
    let home = Home::with_certified_server();
    let codes = |said: &Finished| -> Vec<(String, String)> {
        let found = said.json();
        let found = found["findings"].as_array().unwrap();
        let of = |finding: &Value, what: &str| finding[what].as_str().unwrap().to_owned();
        let all = found
            .iter()
            .map(|finding| (of(finding, "code"), of(finding, "severity")));
        all.filter(|(code, _)| code.starts_with("server-")).collect()
    };
    let said = home.run(&["doctor", "--json"]);
    assert_eq!(codes(&said), []);
    let ending = |severity: &str| [("server-certificate-ending".into(), severity.into())];
    assert_eq!(codes(&at(&home, "+60d", &["doctor", "--json"])), []);
    assert_eq!(
        codes(&at(&home, "+70d", &["doctor", "--json"])),
        ending("warning")
    );
    assert_eq!(codes(&at(&home, "+91d", &["doctor", "--json"])), ending("error"));
    let directory = home.home().join("servers").join(HOST);
    for key in files_below(&directory) {
        let there = std::fs::read(directory.join(&key)).unwrap();
        std::fs::write(directory.join(&key), "not a key").unwrap();
        let said = finish(&mut home.pki(&["doctor", "--json"]), b"").exits(3);
        assert_eq!(codes(&said), [("server-key".into(), "error".into())], "{key}");
        std::fs::write(directory.join(&key), there).unwrap();
    }
    // A rotation that nobody finished; the apps go on trusting the CA that certified the key before.
    let root = std::fs::read_to_string(home.public("ca/root.crt")).unwrap();
    let for_apps = || home.run(&["config", "okhttp"]).stdout.contains(root.trim());
    assert!(for_apps());
    home.run(&[&ROTATE[..], &["--confirm", HOST]].concat());
    assert!(for_apps());
    let said = finish(&mut home.pki(&["doctor", "--json"]), b"").exits(3);
    assert_eq!(
        codes(&said),
        [("server-certificate-missing".into(), "warning".into())]
    );
    home.run(&ISSUE);
    assert_eq!(codes(&home.run(&["doctor", "--json"])), []);
}

#[test]
fn no_pin_is_signed_while_a_place_that_may_know_more_cannot_be_read() {
    let home = Home::new();
    std::fs::create_dir(home.path("web")).unwrap();
    let place = home.path("web/public").display().to_string();
    home.configure_table(&format!("[[publish]]\npublic = \"{place}\"\n"));
    home.run(&ADD);
    std::fs::rename(home.path("web"), home.path("away")).unwrap();
    std::fs::write(home.path("web"), "").unwrap();
    let before = pins(&home);
    for arguments in [
        &["server", "add", "www.acme.example", "--out", "tls"][..],
        &[&ROTATE[..], &["--confirm", HOST]].concat(),
    ] {
        let said = refusal(&home, arguments);
        assert!(said.contains("cannot be read: they may be later"), "{said}");
    }
    assert_eq!(pins(&home), before);
    std::fs::remove_file(home.path("web")).unwrap();
    std::fs::rename(home.path("away"), home.path("web")).unwrap();
    home.run(&[&ROTATE[..], &["--confirm", HOST]].concat());
}

#[test]
fn a_lost_certificate_of_the_servers_ca_is_put_back_from_the_ledger_and_locks_nobody_in() {
    let home = Home::with_certified_server();
    let file = home.home().join("servers/servers.crt");
    let there = std::fs::read(&file).unwrap();
    for damage in [None, Some("")] {
        match damage {
            None => std::fs::remove_file(&file).unwrap(),
            Some(text) => std::fs::write(&file, text).unwrap(),
        }
        home.run(&["server", "list"]);
        let said = refusal(&home, &["publish"]);
        assert!(said.contains("was restored from the ledger"), "{said}");
        assert_eq!(std::fs::read(&file).unwrap(), there);
        home.run(&["publish"]);
    }
    // Another CA's in its place is told, and not replaced.
    let other = Home::with_server();
    other.run(&ISSUE);
    std::fs::copy(
        other.home().join("servers/servers.crt"),
        home.home().join("servers/servers.crt"),
    )
    .unwrap();
    finish(&mut home.pki(&["publish"]), b"").exits(1);
}

#[test]
fn a_key_that_others_could_read_is_not_taken_for_delivered() {
    let home = Home::with_server();
    let key = home.path(format!("tls/{HOST}.key"));
    let open = PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&key, open).unwrap();
    let said = finish(&mut home.pki(&ISSUE), b"");
    assert_ne!(said.code, Some(0), "{said}");
    assert!(said.stderr.contains("can be read or changed by others"), "{said}");
}

#[test]
fn one_key_is_not_two_cas() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    std::fs::create_dir(home.path("safe")).unwrap();
    for file in ["root.crt", "root.key"] {
        std::fs::copy(home.home().join("root").join(file), home.path("safe").join(file)).unwrap();
    }
    let sign = |key: &str, secret: &str| {
        let script = format!(
            "openssl req -new -key home/{key} -passin file:{secret} -subj /CN=x -out x.csr && rm -f x.crt"
        );
        home.foreign("sh", &["-c", &script]).ok();
        let arguments = [
            "root", "sign", "x.csr", "--root", "safe", "--out", "x.crt", "--yes",
        ];
        finish(&mut home.pki(&arguments), b"")
    };
    let said = sign("root/root.key", "root-passphrase").exits(1);
    assert!(said.stderr.contains("the key of the root cannot be"), "{said}");
    // The root cannot know the issuing CA's key; the home does.
    sign("issuing/issuing.key", "issuing-passphrase").ok();
    std::fs::create_dir(home.home().join("servers")).unwrap();
    std::fs::copy(
        home.home().join("issuing/issuing.key"),
        home.home().join("servers/servers.key"),
    )
    .unwrap();
    let private = PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(home.home().join("servers"), private).unwrap();
    let said = refusal(&home, &["ca", "install", "x.crt"]);
    assert!(said.contains("the key of the issuing CA cannot be"), "{said}");
}

#[test]
fn what_a_place_could_not_be_given_is_not_known_to_apps_that_read_there() {
    if !need(&["openssl", "faketime"]) {
        return;
    }
    let home = Home::new();
    let [good, bad] = ["good", "bad"].map(|name| home.path(name));
    home.configure_table(&format!(
        "[[publish]]\npublic = \"{}\"\n\n[[publish]]\npublic = \"{}\"\n",
        good.display(),
        bad.display()
    ));
    home.run(&ADD);
    home.run(&ISSUE);
    // It can be read, and cannot be written: nothing can be put in the place of a directory that is not
    // empty.
    let block = |is_blocked: bool| {
        let file = bad.join("crl/issuing.crl");
        if is_blocked {
            std::fs::rename(&file, home.path("kept.crl")).unwrap();
            std::fs::create_dir_all(file.join("x")).unwrap();
        } else {
            std::fs::remove_dir_all(&file).unwrap();
            std::fs::rename(home.path("kept.crl"), &file).unwrap();
        }
    };
    block(true);
    // The timer of the months between.
    let publish = |days: &[u32]| {
        for day in days {
            at(&home, &format!("+{day}d"), &["publish"]);
        }
    };
    let refused = |offset: &str, arguments: &[&str], code| {
        let said = at(&home, offset, arguments).exits(code);
        assert!(
            said.stderr.contains("do not know the pin") && said.stderr.contains("bad"),
            "{said}"
        );
    };
    let newest = || {
        let mut files: Vec<_> = std::fs::read_dir(home.path("tls"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|file| file.extension().is_some_and(|ending| ending == "crt"))
            .collect();
        files.sort_by_key(|file| file.metadata().unwrap().modified().unwrap());
        files.last().unwrap().display().to_string()
    };
    publish(&[20]);
    // Both keys of today are known there, and the next one is not.
    at(&home, "+31d", &ROTATE).exits(5);
    publish(&[50, 61]);
    refused("+62d", &ROTATE, 1);
    let said = at(&home, "+62d", &["pins", "plan"]).ok();
    assert!(
        said.stdout.contains(&format!("not in {}", bad.display())),
        "{said}"
    );
    at(&home, "+62d", &ISSUE).exits(5);
    at(&home, "+62d", &["server", "verify", HOST, "--cert", &newest()]).ok();
    block(false);
    publish(&[63]);
    // From now on apps can learn it there.
    let said = at(&home, "+64d", &["pins", "plan", "--json"]).json();
    assert_eq!(said["servers"][0]["ready"], false, "{said}");
    let said = at(&home, "+64d", &ROTATE).exits(1);
    assert!(
        said.stderr.contains("has not been published for long enough"),
        "{said}"
    );
    publish(&[80, 93]);
    at(&home, "+94d", &ROTATE).ok();
    // Somebody who has lost the key in use does not wait, and is told what the next one is good for.
    block(true);
    publish(&[95]);
    at(&home, "+96d", &[&ROTATE[..], &["--confirm", HOST]].concat()).exits(5);
    at(&home, "+96d", &[&ROTATE[..], &["--confirm", HOST]].concat()).exits(5);
    at(&home, "+96d", &ISSUE).exits(5);
    refused("+96d", &["server", "verify", HOST, "--cert", &newest()], 3);
}

/// Publishes to a directory of this name.
fn place(home: &Home, name: &str) -> String {
    format!("[[publish]]\npublic = \"{}\"\n", home.path(name).display())
}

#[test]
fn a_place_that_comes_back_has_apps_that_know_what_stood_there() {
    if !need(&["openssl", "faketime"]) {
        return;
    }
    let home = Home::new();
    home.configure_table(&place(&home, "web"));
    let with = std::fs::read_to_string(home.home().join("pki.toml")).unwrap();
    home.run(&ADD);
    let elsewhere = with.replace(&place(&home, "web"), &place(&home, "other"));
    home.write_private("home/pki.toml", &elsewhere);
    for day in [20, 31] {
        at(&home, &format!("+{day}d"), &["publish"]).ok();
    }
    at(&home, "+31d", &ROTATE).ok();
    at(&home, "+50d", &["publish"]).ok();
    home.write_private("home/pki.toml", &(elsewhere + &place(&home, "web")));
    at(&home, "+62d", &["publish"]).ok();
    // Who read there all the time knows the two keys of the beginning.
    let said = at(&home, "+62d", &ROTATE).exits(1);
    assert!(
        said.stderr.contains("has not been published for long enough"),
        "{said}"
    );
    for day in [80, 93] {
        at(&home, &format!("+{day}d"), &["publish"]).ok();
    }
    at(&home, "+93d", &ROTATE).ok();
}

#[test]
fn a_place_that_has_another_name_has_the_apps_of_the_one_before() {
    if !need(&["openssl", "faketime"]) {
        return;
    }
    let home = Home::new();
    home.configure_table(&place(&home, "web"));
    let with = std::fs::read_to_string(home.home().join("pki.toml")).unwrap();
    home.run(&ADD);
    at(&home, "+20d", &["publish"]).ok();
    // It can be read, and is written no more.
    let file = home.path("web/crl/issuing.crl");
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir_all(file.join("x")).unwrap();
    at(&home, "+31d", &ROTATE).exits(5);
    at(&home, "+50d", &["publish"]);
    // A server that is new has no apps there that hold it to anything.
    at(
        &home,
        "+62d",
        &["server", "add", "www.acme.example", "--out", "tls"],
    )
    .exits(5);
    at(
        &home,
        "+62d",
        &["server", "issue", "www.acme.example", "--out", "tls"],
    )
    .exits(5);
    let verify = "server verify www.acme.example --cert tls/www.acme.example.crt";
    at(&home, "+62d", &verify.split(' ').collect::<Vec<_>>()).ok();
    // Another directory behind the same address, before it is published to, and afterwards.
    home.write_private(
        "home/pki.toml",
        &with.replace(&place(&home, "web"), &place(&home, "other")),
    );
    let said = at(&home, "+62d", &ROTATE).exits(1);
    assert!(said.stderr.contains("do not know the pin"), "{said}");
    at(&home, "+62d", &["publish"]).ok();
    let said = at(&home, "+63d", &ROTATE).exits(1);
    assert!(
        said.stderr.contains("has not been published for long enough"),
        "{said}"
    );
    for day in [80, 93] {
        at(&home, &format!("+{day}d"), &["publish"]).ok();
    }
    at(&home, "+93d", &ROTATE).ok();
}

#[test]
fn what_cannot_be_noted_of_pins_keeps_no_server_waiting() {
    let home = Home::new();
    let count = home.path("count").display().to_string();
    home.configure_table(&format!(
        "[[publish]]\npublic = \"{}\"\ncommand = [\"sh\", \"-c\", \"echo >> {count}\"]\n",
        home.path("web").display()
    ));
    home.run(&ADD);
    home.issue("alice", &["-q"]);
    let before = std::fs::read(&count).unwrap().len();
    let note = home.home().join("pins-reached.json");
    std::fs::remove_file(&note).unwrap();
    std::fs::create_dir_all(note.join("x")).unwrap();
    let said = home.run(&["revoke", "alice", "--yes"]);
    assert!(
        said.stderr
            .contains("which places have the pins could not be noted"),
        "{said}"
    );
    assert!(std::fs::read(&count).unwrap().len() > before, "{said}");
}

/// A server that reads both would not start, and nobody looks twice at what ended well.
#[test]
fn a_certificate_stands_beside_no_key_of_another_and_in_the_place_of_no_other_certificate() {
    let [home, other] = [Home::with_server(), with_a_server_of_its_own()];
    let shared = home.path("shared").display().to_string();
    let issue = ["server", "issue", HOST, "--out", &shared];
    home.run(&issue);
    let files = |extension: &str| home.path(format!("shared/{HOST}.{extension}"));
    let before = ["key", "crt"].map(|extension| std::fs::read(files(extension)).unwrap());
    let [_, not_this_one] = before.each_ref();
    // Another home's server of the same name, whose key is not at hand here.
    other.run(&["server", "csr", HOST, "--out", "tls"]);
    let request = other.path(format!("tls/{HOST}.csr")).display().to_string();
    let told = other.run(&["server", "issue", HOST, "--csr", &request, "--out", &shared]);
    let certificate = told.stdout.trim().to_owned();
    assert!(certificate.starts_with(&format!("{shared}/{HOST}-")), "{told}");
    assert_eq!(
        before,
        ["key", "crt"].map(|extension| std::fs::read(files(extension)).unwrap())
    );
    assert_ne!(&std::fs::read(&certificate).unwrap(), not_this_one);
    // With the certificate alone in the way, too, and each home renews its own.
    std::fs::remove_file(files("key")).unwrap();
    let told = other.run(&["server", "issue", HOST, "--csr", &request, "--out", &shared]);
    assert_eq!(told.stdout.trim(), certificate, "{told}");
    home.run(&issue);
    assert_eq!(std::fs::read(files("key")).unwrap(), before[0]);
    assert_eq!(
        counted(&home, &files("crt").display().to_string()),
        pin(&home, "active")
    );

    // In one home: a rotation has left the key before under the plain name.
    home.run(&["server", "rotate", HOST, "--confirm", HOST, "--out", &shared]);
    home.run(&["server", "csr", HOST, "--out", "tls"]);
    let request = home.path("tls").join(
        files_below(&home.path("tls"))
            .into_iter()
            .find(|file| file.ends_with(".csr"))
            .unwrap(),
    );
    let rotated = [
        "server",
        "issue",
        HOST,
        "--csr",
        request.to_str().unwrap(),
        "--out",
        &shared,
    ];
    let told = home.run(&rotated);
    assert!(told.stdout.starts_with(&format!("{shared}/{HOST}-")), "{told}");
    assert_eq!(counted(&home, told.stdout.trim()), pin(&home, "active"));
    assert_eq!(std::fs::read(files("key")).unwrap(), before[0]);
}
