//! openssl's own server, which can be made to offer what no server should.

use std::process::Stdio;

use super::{answers, check, codes, messages};
use crate::support::{HOST, Home, Server, need, program, self_signed};

const RSA: [&str; 2] = ["-newkey", "rsa:2048"];
const EC: [&str; 4] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];

/// Starts one that shows `server.crt`.
pub(super) fn s_server(home: &Home, arguments: &[&str]) -> Server {
    let started = Server::on_free_port(|port| {
        let mut command = program("openssl");
        command
            .args([
                "s_server",
                "-quiet",
                "-www",
                "-cert",
                "server.crt",
                "-key",
                "server.key",
            ])
            .args(["-accept", &format!("127.0.0.1:{port}")])
            .args(arguments)
            .current_dir(home.path(""));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    });
    started.unwrap_or_else(|| panic!("openssl does not start with {arguments:?}"))
}

#[test]
fn suites_are_judged_by_rule_and_each_that_is_taken_is_named() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::bare();
    for (key, cipher, suite, code) in [
        (&RSA[..], "AES128-CCM8", "RSA_WITH_AES_128_CCM_8", "suites-weak"),
        (
            &RSA,
            "CAMELLIA128-SHA256",
            "RSA_WITH_CAMELLIA_128_CBC_SHA256",
            "suites-weak",
        ),
        (
            &RSA,
            "ARIA256-GCM-SHA384",
            "RSA_WITH_ARIA_256_GCM_SHA384",
            "suites-weak",
        ),
        (
            &RSA,
            "ADH-CAMELLIA128-SHA256",
            "DH_anon_WITH_CAMELLIA_128_CBC_SHA256",
            "suites-broken",
        ),
        (
            &RSA,
            "ECDHE-RSA-NULL-SHA",
            "ECDHE_RSA_WITH_NULL_SHA",
            "suites-broken",
        ),
        (
            &EC,
            "ECDHE-ECDSA-AES256-CCM8",
            "ECDHE_ECDSA_WITH_AES_256_CCM_8",
            "suites-short-tag",
        ),
        (
            &EC,
            "ECDHE-ECDSA-CAMELLIA128-SHA256",
            "ECDHE_ECDSA_WITH_CAMELLIA_128_CBC_SHA256",
            "suites-cbc",
        ),
    ] {
        self_signed(&home, "server", &format!("DNS:{HOST}"), 30, key);
        let ciphers = format!("{cipher}:ECDHE+AESGCM:@SECLEVEL=0");
        let server = s_server(&home, &["-tls1_2", "-cipher", &ciphers]);
        let said = check(&home, server.port, &["--no-canary"]).exits(3);
        let told = messages(&said, code);
        assert!(
            told.len() == 1 && told[0].ends_with(&format!(": {suite}")),
            "{suite}: {said}"
        );
        let others = ["suites-weak", "suites-broken", "suites-short-tag", "suites-cbc"];
        for other in others.into_iter().filter(|other| *other != code) {
            assert!(messages(&said, other).is_empty(), "{suite}: {said}");
        }
    }
    // A shared key is another door than a certificate.
    self_signed(&home, "server", &format!("DNS:{HOST}"), 30, &EC);
    let shared = [
        "-tls1_2",
        "-psk",
        "0123456789abcdef",
        "-cipher",
        "ECDHE+AESGCM:ECDHE-PSK-AES128-CBC-SHA256",
    ];
    let server = s_server(&home, &shared);
    let said = check(&home, server.port, &["--no-canary"]).exits(3);
    let told = messages(&said, "suites-weak");
    assert!(
        told[0].contains("in the place of a certificate: ECDHE_PSK_WITH_AES_128_CBC_SHA256"),
        "{said}"
    );
    // Nothing of that where nothing of that is offered.
    let server = s_server(&home, &["-cipher", "ECDHE+AESGCM:ECDHE+ARIAGCM"]);
    let said = check(&home, server.port, &["--no-canary"]).exits(3);
    assert_eq!(answers(&said, "weak_suites"), ["none"], "{said}");
    assert_eq!(answers(&said, "key_agreement"), ["nothing weak"], "{said}");
}

#[test]
fn short_primes_and_small_curves_are_found() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::bare();
    let ciphers = "DHE-RSA-AES128-GCM-SHA256:ECDHE+AESGCM:@SECLEVEL=0";
    // OpenSSL chooses a prime as long as the key.
    self_signed(
        &home,
        "server",
        &format!("DNS:{HOST}"),
        30,
        &["-newkey", "rsa:1024"],
    );
    let server = s_server(&home, &["-tls1_2", "-cipher", ciphers]);
    let said = check(&home, server.port, &["--no-canary"]).exits(3);
    assert!(messages(&said, "groups-weak")[0].contains("1024 bits"), "{said}");
    self_signed(&home, "server", &format!("DNS:{HOST}"), 30, &RSA);

    let server = s_server(
        &home,
        &["-tls1_2", "-cipher", ciphers, "-groups", "prime192v1:prime256v1"],
    );
    let said = check(&home, server.port, &["--no-canary"]).exits(3);
    let told = messages(&said, "groups-weak");
    assert!(told.iter().any(|told| told.contains("secp192r1")), "{said}");

    let server = s_server(&home, &["-tls1_2", "-cipher", "DHE+AESGCM:ECDHE+AESGCM"]);
    let said = check(&home, server.port, &["--no-canary"]).exits(3);
    assert_eq!(answers(&said, "key_agreement"), ["nothing weak"], "{said}");
}

#[test]
fn a_key_that_is_not_known_here_is_said_to_be_one() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::bare();
    for (curve, kind, versions) in [
        ("P-521", "ECDSA on P-521", &["-tls1_3"][..]),
        ("P-521", "ECDSA on P-521", &["-tls1_2"]),
        ("secp256k1", "ECDSA on secp256k1", &[]),
        ("brainpoolP256r1", "ECDSA on brainpoolP256r1", &[]),
    ] {
        let key = ["-newkey", "ec", "-pkeyopt", &format!("ec_paramgen_curve:{curve}")];
        self_signed(&home, "server", &format!("DNS:{HOST}"), 30, &key);
        let server = s_server(&home, versions);
        let said = check(&home, server.port, &["--no-canary"]).exits(3);
        let told = messages(&said, "cannot-judge");
        assert!(!told.is_empty() && told[0].contains(kind), "{kind}: {said}");
        // Nobody is shown anything.
        assert!(answers(&said, "no_certificate").is_empty(), "{said}");
    }
    self_signed(
        &home,
        "server",
        &format!("DNS:{HOST}"),
        30,
        &["-newkey", "ed25519"],
    );
    let server = s_server(&home, &[]);
    let said = check(&home, server.port, &["--no-canary"]).exits(3);
    assert!(!codes(&said).contains(&"cannot-judge".to_owned()), "{said}");
    assert!(answers(&said, "chain")[0].starts_with("trusted"), "{said}");
}

#[test]
fn renegotiation_at_a_clients_wish_is_found() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::bare();
    self_signed(&home, "server", &format!("DNS:{HOST}"), 30, &EC);
    let suites = ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"];
    for (flag, suite, answer) in [
        ("-client_renegotiation", suites[0], "TLS 1.2: at a client's wish"),
        ("-client_renegotiation", suites[1], "TLS 1.2: at a client's wish"),
        ("-no_renegotiation", suites[0], "TLS 1.2: not at a client's wish"),
    ] {
        let server = s_server(&home, &["-tls1_2", flag, "-cipher", suite]);
        let said = check(&home, server.port, &["--no-canary"]).exits(3);
        assert_eq!(
            answers(&said, "renegotiation"),
            [answer],
            "{flag} {suite}: {said}"
        );
        let found = messages(&said, "client-renegotiation").len();
        assert_eq!(found, usize::from(flag == "-client_renegotiation"), "{said}");
    }
}
