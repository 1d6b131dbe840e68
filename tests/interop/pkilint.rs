//! pkilint reads every certificate and every CRL that the product makes, and has nothing to say at WARNING or
//! above.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Finished, HOST, Home, finish, need, need_pkilint, pkilint};

/// Runs pkilint's own programs, one after the other in one Python: loading it costs more than a lint.
const RUN: &str = r#"
import contextlib, importlib, io, json, sys
findings = []
for program, *arguments in json.load(sys.stdin):
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = importlib.import_module("pkilint.bin." + program).main(arguments)
    findings.append({"command": " ".join([program, *arguments]), "code": code, "said": said.getvalue()})
json.dump(findings, sys.stdout)
"#;

#[test]
fn it_finds_nothing_in_the_authorities() {
    if !need_pkilint() {
        return;
    }
    for home in [Home::new(), Home::bare()] {
        let [root, issuing] = ["ca/root.crt", "ca/issuing.crt"].map(|file| home.public(file));
        let lints = [
            certificate(&root),
            certificate(&issuing),
            chain(&root, &root),
            chain(&root, &issuing),
        ];
        finds_nothing(&lints);
    }
}

#[test]
fn it_finds_nothing_in_an_authority_for_domains_addresses_and_mail() {
    if !need_pkilint() {
        return;
    }
    let home = Home::unfounded();
    let mut arguments = vec![
        "init",
        "--org",
        "Größe & Söhne, Ltd",
        "--domain",
        "acme.example",
        "--domain",
        "acme.test",
    ];
    arguments.extend([
        "--email-domain",
        "mail.example",
        "--ip-range",
        "10.0.0.0/8",
        "--ip-range",
        "fd00::/8",
    ]);
    home.run(&arguments);
    let [root, issuing] = ["ca/root.crt", "ca/issuing.crt"].map(|file| home.public(file));
    finds_nothing(&[certificate(&root), chain(&root, &issuing), certificate(&issuing)]);
}

#[test]
fn it_finds_nothing_in_devices_with_and_without_name_and_email() {
    if !need_pkilint() || !need(&["openssl"]) {
        return;
    }
    let home = Home::staffed();
    devices(
        &home,
        &[home.alice(), home.bob()].map(|bundle| home.opened(&bundle)[0].clone()),
    );
}

#[test]
fn it_finds_nothing_in_devices_without_pointers_or_names() {
    if !need_pkilint() || !need(&["openssl"]) {
        return;
    }
    let home = Home::bare();
    let named = home.issue("alice", &["--name", "Алиса Доу", "--email", "alice@acme.example"]);
    home.configure("names_in_certificates", "false");
    let hidden = home.issue("bob", &["--name", "Bob", "--email", "bob@acme.example"]);
    devices(
        &home,
        &[named, hidden].map(|bundle| home.opened(&bundle)[0].clone()),
    );
}

#[test]
fn it_finds_nothing_in_the_extremes_of_life_and_length() {
    if !need_pkilint() || !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    let longest = format!("{}/{}", "e".repeat(64), "d".repeat(32));
    let long = home.issue(
        &longest,
        &["--name", &"n".repeat(100), "--days", "398", "--out", "long"],
    );
    let short = home.issue("a/b", &["--days", "7"]);
    devices(
        &home,
        &[long, short].map(|bundle| home.opened(&bundle)[0].clone()),
    );
}

#[test]
fn it_finds_nothing_in_a_certificate_for_a_request() {
    if !need_pkilint() || !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    let request = "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout own.key -out own.csr -subj /CN=x";
    home.foreign("openssl", &request.split_whitespace().collect::<Vec<_>>())
        .ok();
    let said = home.run(&["issue", "carol", "--csr", "own.csr", "--json"]).json();
    // The file holds the issuing CA's certificate, too, and pkilint reads files of one.
    let file = home.path(said["files"][0].as_str().unwrap());
    let leaf = home.path("leaf.pem");
    let arguments = [
        "x509",
        "-in",
        file.to_str().unwrap(),
        "-out",
        leaf.to_str().unwrap(),
    ];
    home.foreign("openssl", &arguments).ok();
    devices(&home, &[leaf]);
}

#[test]
fn it_finds_nothing_in_empty_crls() {
    if !need_pkilint() {
        return;
    }
    let home = Home::new();
    finds_nothing(&[
        crl("CRL", &home.public("crl/issuing.crl")),
        crl("ARL", &home.public("crl/root.crl")),
    ]);
}

#[test]
fn it_finds_nothing_in_a_crl_with_every_reason() {
    if !need_pkilint() {
        return;
    }
    let home = Home::of_leavers();
    finds_nothing(&[crl("CRL", &home.public("crl/issuing.crl"))]);
}

#[test]
fn it_finds_nothing_in_a_renewed_crl_of_the_root() {
    if !need_pkilint() {
        return;
    }
    let home = Home::new();
    home.run(&["root", "crl"]);
    home.run(&["publish"]);
    finds_nothing(&[crl("ARL", &home.public("crl/root.crl"))]);
}

#[test]
fn it_finds_nothing_in_the_servers_authority_its_servers_and_its_crls() {
    if !need_pkilint() || !need(&["openssl"]) {
        return;
    }
    for home in [Home::new(), Home::bare()] {
        // As long as a CN can be.
        let long = format!("{}.acme.example", "l".repeat(51));
        let mut lints = Vec::new();
        for host in [HOST, &long] {
            home.run(&["server", "add", host, "--out", "tls"]);
            home.run(&["server", "issue", host, "--out", "tls"]);
            // The file holds the servers' CA, too, and pkilint reads files of one.
            let (file, leaf) = (
                home.path(format!("tls/{host}.crt")),
                home.path(format!("{}.leaf", host.len())),
            );
            let [file, out] = [&file, &leaf].map(|path| path.to_str().unwrap());
            home.foreign("openssl", &["x509", "-in", file, "-out", out]).ok();
            lints.extend([certificate(&leaf), chain(&home.public("ca/servers.crt"), &leaf)]);
        }
        let servers = home.public("ca/servers.crt");
        lints.extend([
            certificate(&servers),
            chain(&home.public("ca/root.crt"), &servers),
        ]);
        let empty = home.path("empty.crl");
        std::fs::copy(home.public("crl/servers.crl"), &empty).unwrap();
        let listed = home.run(&["server", "list", "--json"]).json();
        let serial = listed["servers"][0]["certificate"]["serial"].as_str().unwrap();
        home.run(&["revoke", serial, "--yes", "--reason", "replaced"]);
        lints.extend([crl("CRL", &empty), crl("CRL", &home.public("crl/servers.crl"))]);
        finds_nothing(&lints);
    }
}

#[test]
fn it_does_find_what_is_wrong() {
    if !need_pkilint() || !need(&["openssl"]) {
        return;
    }
    let home = Home::unfounded();
    let bad = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout bad.key -out bad.crt \
               -subj /CN=bad -days 10 -set_serial 0";
    home.foreign("openssl", &bad.split_whitespace().collect::<Vec<_>>())
        .ok();
    let (findings, said) = lint(&[certificate(&home.path("bad.crt"))]);
    assert!(
        findings[0]["said"]
            .as_str()
            .unwrap()
            .contains("certificate_serial_number_out_of_range"),
        "{said}"
    );
}

fn devices(home: &Home, certificates: &[PathBuf]) {
    let issuing = home.public("ca/issuing.crt");
    let lints: Vec<Lint> = certificates
        .iter()
        .flat_map(|leaf| [certificate(leaf), chain(&issuing, leaf)])
        .collect();
    finds_nothing(&lints);
}

type Lint = Vec<String>;

fn certificate(path: &Path) -> Lint {
    words("lint_pkix_cert lint -s WARNING", &[path])
}

fn chain(issuer: &Path, subject: &Path) -> Lint {
    words(
        "lint_pkix_signer_signee_cert_chain lint -s WARNING",
        &[issuer, subject],
    )
}

fn crl(kind: &str, path: &Path) -> Lint {
    words(&format!("lint_crl lint -t {kind} -p PKIX -s WARNING"), &[path])
}

fn words(command: &str, paths: &[&Path]) -> Lint {
    command
        .split(' ')
        .map(str::to_owned)
        .chain(paths.iter().map(|path| path.display().to_string()))
        .collect()
}

#[track_caller]
fn finds_nothing(lints: &[Lint]) {
    let (findings, said) = lint(lints);
    assert_eq!(findings.len(), lints.len(), "{said}");
    for finding in findings {
        assert_eq!(
            finding["code"],
            0,
            "{}\n{}",
            finding["command"],
            finding["said"].as_str().unwrap()
        );
    }
}

fn lint(lints: &[Lint]) -> (Vec<Value>, Finished) {
    let said = finish(pkilint().args(["-c", RUN]), &serde_json::to_vec(lints).unwrap()).ok();
    (said.json().as_array().unwrap().clone(), said)
}
