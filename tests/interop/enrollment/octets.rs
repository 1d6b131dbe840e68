//! Whoever sends what no phone would send: each request is answered once and as a whole or not at all, no
//! other request is read out of its inside, and the service goes on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use super::phone::{Answer, Phone, post};
use super::{Invite, Serving, with_est, with_status};
use crate::support::{HOST, finish, program};

/// A request that would redeem an invite if anybody read it.
fn redeeming(invite: &Invite, csr: &str) -> String {
    let body = json!({ "secret": invite.word("secret"), "csr": csr });
    post(
        &format!("/i/{}", invite.word("id")),
        "application/json",
        &body.to_string(),
    )
}

fn statuses(answers: &[Answer]) -> Vec<u16> {
    answers.iter().map(|answer| answer.status).collect()
}

/// The service has not stumbled, and still enrolls by the invite that nobody was to redeem.
fn goes_on(serving: &Serving, ledger: &str, redeeming: &str) {
    assert_eq!(serving.ledger(), ledger);
    let mut phone = Phone::connect(&serving.at_page(), serving.server.port).unwrap();
    phone.send(redeeming.as_bytes()).unwrap();
    assert_eq!(phone.answer().unwrap().status, 200);
    assert!(!serving.log.text().contains("panicked"));
}

#[test]
fn no_request_is_smuggled_in_another() {
    let Some(serving) = Serving::start() else { return };
    let inner = redeeming(&serving.invite(&["alice"]), &serving.request("alice"));
    let ledger = serving.ledger();
    let length = inner.len();
    let begin = format!("POST /i/ZZZZZZZZ HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n");
    let chunked = format!("0\r\n\r\n{inner}");
    let mut refused: Vec<(String, u16)> = Vec::new();
    // The end is told in two ways, or in one that somebody else may read otherwise.
    for (headers, body) in [
        (
            format!("Content-Length: {}\r\nTransfer-Encoding: chunked", chunked.len()),
            &chunked,
        ),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5".into(), &chunked),
        (format!("Content-Length: 0\r\nContent-Length: {length}"), &inner),
        (format!("Content-Length: {length}\r\nContent-Length: 0"), &inner),
        (format!("Content-Length: 0, {length}"), &inner),
        (format!("Content-Length: +{length}"), &inner),
        ("Content-Length: -1".into(), &inner),
        ("Content-Length: 0x0".into(), &inner),
        ("Content-Length: 0 0".into(), &inner),
        ("Content-Length: 18446744073709551616".into(), &inner),
        ("Transfer-Encoding: chunked, identity".into(), &chunked),
        ("Transfer-Encoding: identity, chunked".into(), &chunked),
        ("Transfer-Encoding: identity".into(), &inner),
        ("Transfer-Encoding: xchunked".into(), &chunked),
        ("Transfer-Encoding: chunked\u{b}".into(), &chunked),
        (
            "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked".into(),
            &chunked,
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity".into(),
            &chunked,
        ),
        ("Transfer-Encoding:\r\n chunked".into(), &chunked),
        ("Transfer-Encoding : chunked".into(), &chunked),
        (" Transfer-Encoding: chunked".into(), &chunked),
        ("X: y\r\n folded".into(), &inner),
        ("X: y\rTransfer-Encoding: chunked".into(), &chunked),
        // A line may end with LF alone (RFC 9112 §2.2), and is a line then.
        (
            "Content-Length: 5\r\nX: y\nTransfer-Encoding: chunked".into(),
            &chunked,
        ),
        ("X: \0".into(), &inner),
        ("X\0: y".into(), &inner),
        ("no colon".into(), &inner),
    ] {
        refused.push((format!("{begin}{headers}\r\n\r\n{body}"), 400));
    }
    let old = begin.replace("HTTP/1.1", "HTTP/1.0");
    refused.push((format!("{old}Transfer-Encoding: chunked\r\n\r\n{chunked}"), 400));
    // Chunks that are none.
    for size in [
        "FFFFFFFFFFFFFFFFF",
        "0x5",
        "-1",
        "",
        " 5",
        "5\n12345",
        "5;x\n12345",
        "5\r12345",
    ] {
        let body = format!("{size}\r\n12345\r\n0\r\n\r\n{inner}");
        refused.push((format!("{begin}Transfer-Encoding: chunked\r\n\r\n{body}"), 400));
    }
    let config = serving.at_page();
    for (octets, status) in &refused {
        let mut phone = Phone::connect(&config, serving.server.port).unwrap();
        phone.send(octets.as_bytes()).unwrap();
        assert_eq!(statuses(&phone.answers()), [*status], "{octets}");
    }
    // A body that is not looked at is no request either.
    for (path, media_type, status) in [
        ("/i/ZZZZZZZZ", "text/plain", 415),
        ("/nowhere", "application/json", 404),
        ("/healthz", "application/json", 405),
    ] {
        let mut phone = Phone::connect(&config, serving.server.port).unwrap();
        phone.send(post(path, media_type, &inner).as_bytes()).unwrap();
        assert_eq!(phone.answer().unwrap().status, status);
        let _ = phone
            .send(format!("GET /nothing HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n").as_bytes());
        let rest = statuses(&phone.answers());
        assert!(rest.is_empty() || rest == [404], "{rest:?}");
    }
    let get = format!("GET /healthz HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {length}\r\n\r\n{inner}");
    let mut phone = Phone::connect(&config, serving.server.port).unwrap();
    phone.send(get.as_bytes()).unwrap();
    assert_eq!(phone.answer().unwrap().status, 200);
    goes_on(&serving, &ledger, &inner);
}

#[test]
fn requests_on_one_connection_are_answered_in_their_order() {
    let Some(serving) = Serving::start() else { return };
    let (first, second) = (serving.invite(&["alice"]), serving.invite(&["bob"]));
    let one = redeeming(&first, &serving.request("alice"));
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    // The other comes in chunks with extensions, which say nothing.
    let body = json!({ "secret": second.word("secret"), "csr": serving.request("bob") }).to_string();
    let (head, tail) = body.split_at(7);
    let two = format!(
        "POST /i/{} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
         7;a=b\r\n{head}\r\n{:x};c=\"d\"\r\n{tail}\r\n0\r\n\r\n",
        second.word("id"),
        tail.len()
    );
    let all = [get("/healthz"), one, get("/nothing"), two, get("/i/ZZZZZZZZ")].concat();
    let mut phone = Phone::connect(&serving.at_page(), serving.server.port).unwrap();
    phone.send(all.as_bytes()).unwrap();
    let answers: Vec<Answer> = (0..5).map(|_| phone.answer().unwrap()).collect();
    assert_eq!(statuses(&answers), [200, 200, 404, 200, 200]);
    assert!(answers[0].body == "ok\n" && answers[4].body.contains("<html"));
    assert!(answers[1].body.starts_with("-----BEGIN CERTIFICATE-----"));
    assert_ne!(answers[1].body, answers[3].body);
}

#[test]
fn heads_that_no_phone_sends_are_refused() {
    let Some((serving, device)) = with_est() else {
        return;
    };
    let inner = redeeming(&serving.invite(&["alice"]), &serving.request("alice"));
    let ledger = serving.ledger();
    let get =
        |more: &str| format!("GET /healthz HTTP/1.1\r\nHost: {HOST}\r\n{more}Connection: close\r\n\r\n");
    let many: String = (0..500).map(|n| format!("X{n}: y\r\n")).collect();
    let long = "a".repeat(70_000);
    for (octets, told) in [
        (get(""), &[200][..]),
        (
            get("Expect: 100-continue\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"),
            &[200],
        ),
        (get(&many), &[431]),
        (get(&format!("X: {long}\r\n")), &[431]),
        (get(&format!("{long}: y\r\n")), &[431]),
        (format!("GET /{long} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"), &[431]),
        (format!("{long} / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"), &[431]),
        ("GET /healthz\r\n\r\n".into(), &[400]),
        ("GET /healthz HTTP/0.9\r\n\r\n".into(), &[400]),
        ("GET /healthz HTTP/2.0\r\n\r\n".into(), &[400]),
        ("GET /healthz HTTP/1.1 HTTP/1.1\r\n\r\n".into(), &[400]),
        ("GET  /healthz HTTP/1.1\r\n\r\n".into(), &[400]),
        ("GET /heal thz HTTP/1.1\r\n\r\n".into(), &[400]),
        ("GET /heal\0thz HTTP/1.1\r\n\r\n".into(), &[400]),
        ("\0\0\0\0\r\n\r\n".into(), &[400]),
        ("\r\n\r\n\r\nQ".into(), &[]),
        (
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0".into(),
            &[],
        ),
    ] {
        for (config, port) in [
            (serving.at_page(), serving.server.port),
            (serving.at_device_face(None), device),
        ] {
            let mut phone = Phone::connect(&config, port).unwrap();
            // The service does not wait for the end of what it refuses.
            let _ = phone.send(octets.as_bytes());
            if told.is_empty() {
                phone.hang_up();
            }
            let seen: String = octets.chars().take(200).collect();
            let answered = statuses(&phone.answers());
            // Who sends on when he was answered may lose the answer for it.
            let is_lost = answered.is_empty() && octets.len() > 16 << 10;
            assert!(answered == told || is_lost, "{answered:?}: {seen}");
        }
    }
    goes_on(&serving, &ledger, &inner);
}

#[test]
fn a_path_is_what_it_says_and_no_other() {
    let Some((serving, status)) = with_status() else {
        return;
    };
    let invite = serving.invite(&["alice"]);
    let inner = redeeming(&invite, &serving.request("alice"));
    let ledger = serving.ledger();
    let id = invite.word("id");
    let mut phone = Phone::connect(&serving.at_page(), serving.server.port).unwrap();
    for (path, told) in [
        (format!("/i/{id}"), 200),
        (format!("/i/{id}?secret=x"), 200),
        (format!("/i/{id}/"), 404),
        (format!("//i/{id}"), 404),
        (format!("/i//{id}"), 404),
        (format!("/i/{id}/../{id}/x"), 404),
        (format!("/I/{id}"), 404),
        (format!("/%69/{id}"), 404),
        (format!("/i%2f{id}"), 404),
        ("/i/%2e%2e".into(), 200),
        ("/i/..".into(), 200),
        ("/i/%00".into(), 200),
        ("/i/%ff%fe".into(), 200),
        ("/i/%zz".into(), 200),
        (format!("/i/{id}/profile"), 405),
        (format!("/i/{id}/profile/..%2f..%2f..%2fetc%2fpasswd"), 404),
        (format!("/i/{id}/profile/%ff"), 404),
        (format!("http://elsewhere.example/i/{id}"), 200),
        ("http://elsewhere.example/etc/passwd".into(), 404),
        ("*".into(), 404),
    ] {
        phone
            .send(format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes())
            .unwrap();
        let answer = phone.answer().unwrap();
        assert_eq!(answer.status, told, "{path}: {}", answer.body);
    }
    // Whoever has no secret is told the same wherever he says that he goes.
    let body = json!({ "secret": "0".repeat(26), "csr": serving.request("mallory") }).to_string();
    let mut told = Vec::new();
    for path in ["ZZZZZZZZ", "..", "%2e%2e", "%00", "a%2fb"] {
        told.push(
            phone
                .post(&format!("/i/{path}"), "application/json", &body)
                .unwrap(),
        );
    }
    assert_eq!(told[0].status, 403);
    assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
    for path in [
        "/crl/../../issuing/issuing.key",
        "/crl/..%2f..%2fissuing%2fissuing.key",
        "/crl/%2e%2e/%2e%2e/issuing/issuing.key",
        "/crl//etc/passwd",
        "//etc/passwd",
        "/ca/issuing.crt%00.crl",
        "/server/devices.json",
        "/ledger.jsonl",
        "/pki.toml",
        "/ca/",
        "/ca",
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", status)).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert!(said.starts_with("HTTP/1.1 404 "), "{path}: {said}");
    }
    goes_on(&serving, &ledger, &inner);
}

#[test]
fn a_body_that_breaks_off_or_is_too_long_or_too_slow_spends_nothing() {
    let Some(serving) = Serving::start() else { return };
    let invite = serving.invite(&["alice"]);
    let inner = redeeming(&invite, &serving.request("alice"));
    let ledger = serving.ledger();
    let path = format!("/i/{}", invite.word("id"));
    let connect = || Phone::connect(&serving.at_page(), serving.server.port).unwrap();
    let half = &inner.as_bytes()[..inner.len() - 9];
    let mut slow = connect();
    slow.send(half).unwrap();
    for _ in 0..3 {
        let mut cut = connect();
        cut.send(half).unwrap();
        drop(cut);
        let mut ended = connect();
        ended.send(half).unwrap();
        ended.hang_up();
        let told = statuses(&ended.answers());
        assert!(told.is_empty() || told == [400], "{told:?}");
    }
    // By what it says of its length, before any of it, and by what comes.
    let head = format!("POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n");
    let mut long = connect();
    long.send(format!("{head}Content-Length: 16385\r\n\r\n").as_bytes())
        .unwrap();
    assert_eq!(long.answer().unwrap().status, 413);
    let mut chunks = connect();
    chunks
        .send(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes())
        .unwrap();
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(4096));
    for _ in 0..5 {
        let _ = chunks.send(chunk.as_bytes());
    }
    assert_eq!(chunks.answer().unwrap().status, 413);
    let mut wrong = connect();
    for media_type in ["text/plain", "application/jsonx", "application/json\u{a0}", ""] {
        assert_eq!(wrong.post(&path, media_type, "").unwrap().status, 415);
        wrong = connect();
    }
    // Whoever is slow is told after ten seconds.
    assert_eq!(slow.answer().unwrap().status, 408);
    goes_on(&serving, &ledger, &inner);
}

#[test]
fn what_is_no_tls_of_today_is_not_spoken() {
    let Some((serving, device)) = with_est() else {
        return;
    };
    let inner = redeeming(&serving.invite(&["alice"]), &serving.request("alice"));
    let ledger = serving.ledger();
    for port in [serving.server.port, device] {
        let address = format!("127.0.0.1:{port}");
        let talk = |version: &str, input: &str| {
            let mut openssl = program("openssl");
            openssl.args(["s_client", "-connect", &address, "-servername", HOST, version]);
            openssl.args(["-cipher", "ALL:@SECLEVEL=0"]);
            finish(&mut openssl, input.as_bytes()).text()
        };
        for version in ["-tls1", "-tls1_1"] {
            let said = talk(version, "");
            assert!(
                said.contains("SSL alert number") && said.contains("Cipher is (NONE)"),
                "{said}"
            );
        }
        // `R` on a line has openssl ask for a new handshake.
        let said = talk("-tls1_2", "R\n");
        assert!(
            said.contains("RENEGOTIATING") && said.contains("no renegotiation"),
            "{said}"
        );
        for octets in [
            &b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"[..],
            &[0; 600],
            // A handshake in the form of SSL 2, and a record of TLS that says it is longer than any may be.
            &[0x80, 0x2E, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10, 1, 0, 0x80],
            &[0x16, 3, 1, 0xFF, 0xFF, 1, 2, 3],
        ] {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            stream.write_all(octets).unwrap();
            let mut said = Vec::new();
            // A reset is an answer, too.
            if let Err(why) = stream.read_to_end(&mut said) {
                assert_eq!(why.kind(), std::io::ErrorKind::ConnectionReset, "{octets:?}");
            }
            assert!(said.is_empty() || said[0] == 0x15, "{octets:?}: {said:?}");
        }
    }
    goes_on(&serving, &ledger, &inner);
}
