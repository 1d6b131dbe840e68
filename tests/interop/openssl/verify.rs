//! `openssl verify` with everything it can be strict about.

use crate::support::{Bundle, Finished, Home, need};

#[test]
fn a_device_verifies_strictly_with_both_crls() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::staffed();
    for bundle in [home.alice(), home.bob()] {
        verify(&home, &bundle).ok();
    }
}

#[test]
fn a_revoked_device_does_not_verify_and_the_others_do() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::staffed();
    home.run(&["revoke", "alice", "--yes"]);
    let said = verify(&home, &home.alice()).exits(2);
    assert!(
        said.stderr
            .contains("error 23 at 0 depth lookup: certificate revoked"),
        "{said}"
    );
    verify(&home, &home.bob()).ok();
}

#[test]
fn a_certificate_for_a_request_verifies_and_carries_the_key_of_the_request_alone() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    // It asks to be an authority of another name: the profile says what it becomes.
    let request = "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout own.key -out own.csr \
                   -subj /CN=evil.example -addext basicConstraints=critical,CA:TRUE -addext subjectAltName=DNS:evil.example";
    home.foreign("openssl", &request.split_whitespace().collect::<Vec<_>>())
        .ok();
    let said = home.run(&["issue", "carol", "--csr", "own.csr", "--json"]).json();
    let certificate = home.path(said["files"][0].as_str().unwrap());
    strict(&home, certificate.to_str().unwrap()).ok();
    let own = home
        .foreign("openssl", &["pkey", "-in", "own.key", "-pubout"])
        .ok()
        .stdout;
    assert_eq!(super::x509(&home, &certificate, &["-pubkey"]), own);
    let text = super::x509(&home, &certificate, &["-text"]);
    assert!(
        !text.contains("evil.example") && !text.contains("CA:TRUE"),
        "{text}"
    );
}

#[test]
fn a_device_is_no_server_and_no_authority() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::staffed();
    let leaf = home.opened(&home.alice())[0].display().to_string();
    let told = home
        .foreign("openssl", &["x509", "-in", &leaf, "-noout", "-purpose"])
        .ok()
        .stdout;
    // OpenSSL grants "any purpose" and "OCSP helper" to every certificate there is.
    let granted_to_all = |line: &&str| line.starts_with("Any Purpose") || line.starts_with("OCSP helper");
    let yes: Vec<&str> = told
        .lines()
        .filter(|line| line.ends_with(" : Yes") && !granted_to_all(line))
        .collect();
    assert_eq!(yes, ["SSL client : Yes"], "{told}");
}

/// The bundle's certificate, through its own chain, to the published root, with the published CRLs.
fn verify(home: &Home, bundle: &Bundle) -> Finished {
    let [leaf, ..] = home.opened(bundle);
    strict(home, leaf.to_str().unwrap())
}

fn strict(home: &Home, leaf: &str) -> Finished {
    let [root, issuing, crls] =
        ["ca/root.crt", "ca/issuing.crt", "crl/bundle.pem"].map(|file| home.public(file));
    let mut arguments = vec![
        "verify",
        "-x509_strict",
        "-crl_check_all",
        "-purpose",
        "sslclient",
    ];
    arguments.extend(["-no-CApath", "-no-CAstore", "-CAfile", root.to_str().unwrap()]);
    arguments.extend([
        "-untrusted",
        issuing.to_str().unwrap(),
        "-CRLfile",
        crls.to_str().unwrap(),
        leaf,
    ]);
    home.foreign("openssl", &arguments)
}
