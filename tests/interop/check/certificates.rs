//! Servers whose certificates have a fault: told as what it is, and never as a server that is not there.

use super::openssl::s_server;
use super::{answers, codes, messages, url};
use crate::support::{HOST, Home, finish, need};

/// A command of openssl, in words. What begins with an offset is said to happen at that time.
fn openssl(home: &Home, words: &str) {
    let words: Vec<&str> = words.split_whitespace().collect();
    match words.split_first() {
        Some((offset, words)) if offset.starts_with('-') => {
            home.foreign("faketime", &[&["-f", offset, "openssl"], words].concat())
                .ok();
        }
        Some(_) | None => {
            home.foreign("openssl", &words).ok();
        }
    }
}

const SELF_SIGNED: &str = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc";
const SIGN: &str = "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -out server.crt";

/// A CA of somebody else, and a server's certificate by it, with these extensions.
fn issue(home: &Home, days: i32, extensions: &str, key: &str) {
    if !home.path("ca.crt").exists() {
        let made = "-subj /CN=Somebody -addext basicConstraints=critical,CA:TRUE -days 4000 -keyout ca.key -out ca.crt";
        openssl(home, &format!("{SELF_SIGNED} {made}"));
    }
    let made = "-noenc -subj /CN=server -keyout server.key -out server.csr";
    openssl(home, &format!("req -new -newkey {key} {made}"));
    std::fs::write(home.path("server.ext"), extensions).unwrap();
    let file = if extensions.is_empty() {
        ""
    } else {
        "-extfile server.ext"
    };
    openssl(home, &format!("{SIGN} -days {days} {file}"));
}

const EC: &str = "ec -pkeyopt ec_paramgen_curve:P-256";

fn good() -> String {
    format!("subjectAltName=DNS:{HOST}\nextendedKeyUsage=serverAuth\nkeyUsage=digitalSignature\n")
}

fn examine(home: &Home, arguments: &[&str]) -> crate::support::Finished {
    let server = s_server(home, arguments);
    let resolve = format!("{HOST}:{}:127.0.0.1", server.port);
    let url = url(server.port, "/");
    let check = [
        "check",
        &url,
        "--json",
        "--no-canary",
        "--ca",
        "ca.crt",
        "--resolve",
        &resolve,
    ];
    finish(&mut home.pki(&check), b"").exits(3)
}

#[test]
fn a_fault_of_the_certificate_is_found_in_the_chain_and_named() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::bare();
    let names = format!("subjectAltName=DNS:{HOST}\n");
    for (extensions, fault) in [
        (String::new(), "a certificate of version 1"),
        (
            format!("{names}1.2.3.4=critical,ASN1:NULL\n"),
            "an unknown critical extension, 1.2.3.4",
        ),
        (
            format!("{names}extendedKeyUsage=clientAuth\n"),
            "its extendedKeyUsage is without serverAuth",
        ),
        (
            format!("{names}keyUsage=keyEncipherment\n"),
            "its keyUsage lacks digitalSignature",
        ),
    ] {
        issue(&home, 30, &extensions, EC);
        // Over each version by itself, for they prove the key in different ways. Before 1.3 OpenSSL itself
        // has no use for such a key.
        let is_without_use = extensions.contains("keyEncipherment");
        for version in ["-tls1_2", "-tls1_3"]
            .into_iter()
            .skip(usize::from(is_without_use))
        {
            let said = examine(&home, &[version]);
            let told = messages(&said, "chain-untrusted");
            assert!(told.len() == 1 && told[0].contains(fault), "{fault}: {said}");
            assert!(
                answers(&said, "chain").iter().any(|told| told.contains(fault)),
                "{fault}: {said}"
            );
            assert!(answers(&said, "no_certificate").is_empty(), "{fault}: {said}");
        }
    }
}

#[test]
fn a_serial_number_below_zero_and_dates_the_wrong_way_round_are_faults() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::bare();
    issue(&home, 30, &good(), EC);
    for (more, fault) in [
        ("-days 30 -set_serial -7", "its serial number is negative"),
        ("-days 30 -set_serial 0", "its serial number is zero"),
        ("-days -1", "it ends before it begins"),
    ] {
        openssl(&home, &format!("{SIGN} -extfile server.ext {more}"));
        let said = examine(&home, &[]);
        let told = messages(&said, "chain-untrusted");
        assert!(told.len() == 1 && told[0].contains(fault), "{fault}: {said}");
    }
}

#[test]
fn what_iphones_refuse_is_a_warning_each() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::bare();
    let names = format!("subjectAltName=DNS:{HOST}\n");
    for (days, extensions, key, why) in [
        (3650, good(), EC, "it is good for 3650 days"),
        (826, good(), EC, "it is good for 826 days"),
        (30, names.clone(), EC, "no extendedKeyUsage"),
        (30, good(), "rsa:1024", "RSA of 1024 bits"),
        (
            30,
            "extendedKeyUsage=serverAuth\n".into(),
            EC,
            "no subjectAltName",
        ),
    ] {
        issue(&home, days, &extensions, key);
        let said = examine(&home, &["-cipher", "ALL:@SECLEVEL=0"]);
        let told = messages(&said, "apple-refuses");
        assert!(told.len() == 1 && told[0].contains(why), "{why}: {said}");
    }
    for (days, more) in [(825, ""), (30, "extendedKeyUsage=clientAuth,serverAuth\n")] {
        let extensions = if more.is_empty() {
            good()
        } else {
            format!("{names}{more}")
        };
        issue(&home, days, &extensions, EC);
        let said = examine(&home, &[]);
        assert!(
            messages(&said, "apple-refuses").is_empty(),
            "{days} {more}: {said}"
        );
    }
}

#[test]
fn an_ended_certificate_that_no_chain_needs_is_no_error() {
    if !need(&["openssl", "faketime"]) {
        return;
    }
    let home = Home::bare();
    issue(&home, 30, &good(), EC);
    let old = "-days 5 -subj /CN=Old -keyout old.key -out old.crt";
    openssl(&home, &format!("-10d {SELF_SIGNED} {old}"));
    let said = examine(&home, &["-cert_chain", "old.crt"]);
    assert!(codes(&said).contains(&"certificate-surplus".to_owned()), "{said}");
    assert!(!codes(&said).contains(&"certificate-ended".to_owned()), "{said}");
    // It is asked on: phones accept it.
    assert!(!answers(&said, "no_certificate").is_empty(), "{said}");

    // One that is needed is an error: the CA is trusted, and what stands between has ended.
    openssl(
        &home,
        "req -new -newkey rsa:2048 -noenc -subj /CN=Between -keyout i.key -out i.csr",
    );
    std::fs::write(
        home.path("i.ext"),
        "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n",
    )
    .unwrap();
    openssl(
        &home,
        "-10d x509 -req -in i.csr -CA ca.crt -CAkey ca.key -days 9 -extfile i.ext -out i.crt",
    );
    openssl(
        &home,
        "-10d x509 -req -in server.csr -CA i.crt -CAkey i.key -days 40 -extfile server.ext -out server.crt",
    );
    let said = examine(&home, &["-cert_chain", "i.crt"]);
    assert!(codes(&said).contains(&"certificate-ended".to_owned()), "{said}");
    assert!(
        !codes(&said).contains(&"certificate-surplus".to_owned()),
        "{said}"
    );
}
