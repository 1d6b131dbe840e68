//! What is no server, or no URL: told, and never waited for without end.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::support::{Home, finish, free_port};

/// Something that takes connections and answers every one with this, whatever it is asked.
fn answering(answer: &'static [u8], hold: Duration) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    // It ends with the test's process.
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(answer);
                std::thread::sleep(hold);
            });
        }
    });
    port
}

#[test]
fn what_is_no_https_url_is_wrong_usage() {
    let home = Home::unfounded();
    for url in [
        "http://api.acme.example/",
        "api.acme.example",
        "https://",
        "https://a:b@api.acme.example/",
        "https://api.acme.example/a b",
    ] {
        let said = finish(&mut home.pki(&["check", url]), b"").exits(2);
        assert!(said.stdout.is_empty(), "{said}");
    }
    for flags in [
        ["--resolve", "api.acme.example"],
        ["--patience", "2h"],
        ["--patience", "soon"],
        ["--cert", "x.pem"],
    ] {
        let said = finish(home.pki(&["check", "https://api.acme.example/"]).args(flags), b"");
        said.exits(2);
    }
}

#[test]
fn what_is_no_server_is_told_and_changes_nothing() {
    let home = Home::unfounded();
    let check = |port: u16| {
        let url = format!("https://127.0.0.1:{port}/");
        finish(&mut home.pki(&["check", &url, "--no-canary", "--json"]), b"").exits(1)
    };
    let refusal = b"\x15\x03\x01\x00\x02\x02\x28";
    for (port, kind, message) in [
        (free_port(), "unreachable", "cannot be reached"),
        (
            answering(b"SSH-2.0-OpenSSH_9.2\r\n", Duration::ZERO),
            "not-tls",
            "speaks no TLS",
        ),
        (
            answering(b"HTTP/1.1 400 Bad Request\r\n\r\n", Duration::ZERO),
            "not-tls",
            "speaks no TLS",
        ),
        (
            answering(&[0xff; 4096], Duration::ZERO),
            "not-tls",
            "speaks no TLS",
        ),
        (
            answering(b"", Duration::ZERO),
            "not-tls",
            "refuses every handshake (connection closed)",
        ),
        (
            answering(refusal, Duration::ZERO),
            "not-tls",
            "refuses every handshake (TLS alert handshake_failure)",
        ),
    ] {
        let said = check(port);
        assert!(
            said.stderr.contains(message) && said.stderr.contains(kind),
            "{message}: {said}"
        );
        assert!(said.stdout.is_empty(), "{said}");
    }
    let said = finish(
        &mut home.pki(&["check", "https://no.such.host.invalid/", "--no-canary"]),
        b"",
    )
    .exits(1);
    assert!(
        said.stderr.contains("has no address") && said.stderr.contains("--resolve"),
        "{said}"
    );
    let said = finish(
        &mut home.pki(&["check", "https://no.such.host.invalid/", "--no-canary", "--json"]),
        b"",
    );
    assert!(said.stderr.contains("\"kind\":\"no-address\""), "{said}");
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for_without_end() {
    let home = Home::unfounded();
    let port = answering(b"", Duration::from_secs(60));
    let begun = Instant::now();
    let url = format!("https://127.0.0.1:{port}/");
    let said = finish(&mut home.pki(&["check", &url, "--no-canary"]), b"").exits(1);
    assert!(
        said.stderr.contains("says nothing: no answer within 10 s"),
        "{said}"
    );
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

/// A ServerHello of TLS 1.2 that compresses and knows nothing of safe renegotiation: no library of today can
/// send one.
#[test]
fn what_only_old_servers_do_is_found() {
    let home = Home::unfounded();
    const HELLO: &[u8] = &{
        let mut record = [0; 47];
        let head = [22, 3, 3, 0, 42, 2, 0, 0, 38, 3, 3];
        let mut place = 0;
        while place < head.len() {
            record[place] = head[place];
            place += 1;
        }
        // 32 octets of chance, no session, ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, DEFLATE.
        record[44] = 0xc0;
        record[45] = 0x2b;
        record[46] = 1;
        record
    };
    let port = answering(HELLO, Duration::ZERO);
    let url = format!("https://127.0.0.1:{port}/");
    let said = finish(&mut home.pki(&["check", &url, "--no-canary", "--json"]), b"").exits(3);
    let codes = super::codes(&said);
    for code in ["tls-compression", "renegotiation-unsafe"] {
        assert!(codes.contains(&code.to_owned()), "{code}: {said}");
    }
}

#[test]
fn a_name_of_canaries_is_nobodys() {
    let home = Home::new();
    let said = finish(
        &mut home.pki(&["issue", "pki-check/phone", "--bundle-passphrase-out", "p"]),
        b"",
    );
    assert!(said.stderr.contains("is no device's name"), "{said}");
    said.exits(1);
    let list = home
        .write_private("people.csv", "employee,device\npki-check,canary\n")
        .display()
        .to_string();
    let said = finish(
        &mut home.pki(&[
            "issue",
            "--from",
            &list,
            "--out",
            "o",
            "--bundle-passphrase-out",
            "p",
        ]),
        b"",
    );
    assert!(
        said.stderr
            .contains("line 2: pki-check/canary is no device's name"),
        "{said}"
    );
    said.exits(1);
    assert!(!home.path("o").exists());
}
