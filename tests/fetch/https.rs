//! From an https server: one question where nothing is new, and bounds to all that a server can do.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use pki::publish::Manifest;
use rcgen::SanType;

use crate::forge::Forge;
use crate::server::{Answer, Asked, HttpsServer};
use crate::support::{Finished, finish, need, program};

fn fetch(forge: &Forge, server: &HttpsServer, more: &[&str]) -> Finished {
    let more = [&["--ca", "ca.pem"], more].concat();
    finish(&mut forge.command_from(&server.url(), &more), b"")
}

/// A forge with publication 5 in place, and publication 6 at a server that behaves so.
fn at(behaviour: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> (Forge, HttpsServer) {
    let forge = Forge::new();
    forge.publish(&forge.public(5));
    forge.fetch(&["--exec", "true"]).ok();
    forge.publish(&forge.public(6));
    let server = HttpsServer::start(&forge, behaviour);
    (forge, server)
}

/// The fetch is refused, says why, at once, and leaves everything as it was.
#[track_caller]
fn refused(forge: &Forge, server: &HttpsServer, why: &str) {
    refused_within(forge, server, "5m", why);
}

/// The same of a fetch that may take so long. Half a minute more is what a busy machine is given.
#[track_caller]
fn refused_within(forge: &Forge, server: &HttpsServer, timeout: &str, why: &str) {
    let before = forge.traces();
    let begun = Instant::now();
    let said = fetch(forge, server, &["--timeout", timeout, "--exec", "touch reloaded"]).exits(1);
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "{:?}: {said}",
        begun.elapsed()
    );
    assert!(said.stderr.contains(why), "{why}: {said}");
    assert!(said.stderr.lines().count() >= 2, "no hint: {said}");
    assert_eq!(forge.traces(), before);
    assert!(!forge.path("reloaded").exists());
}

#[test]
fn what_is_not_new_is_asked_for_once() {
    let forge = Forge::new();
    forge.publish(&forge.public(5));
    let server = HttpsServer::start(&forge, |_| Answer::Tagged);
    fetch(&forge, &server, &["--exec", "true"]).ok();
    assert!(forge.holds(&forge.public(5)));
    let first = server.asked();
    assert_eq!(first.len(), 12, "{first:?}");
    assert!(first.iter().all(|asked| asked.etag.is_none()), "{first:?}");

    let before = forge.traces();
    fetch(&forge, &server, &["--exec", "touch reloaded"]).ok();
    let again = server.asked();
    assert_eq!(again.len(), 1, "{again:?}");
    assert_eq!(again[0].path, Manifest::JWS);
    assert!(again[0].etag.is_some());
    assert_eq!(forge.traces(), before);
    assert!(!forge.path("reloaded").exists());

    // Of a new one only what has changed is read.
    forge.publish(&forge.public(6));
    fetch(&forge, &server, &["--exec", "true"]).ok();
    let paths: Vec<String> = server.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(
        paths,
        [
            Manifest::JWS,
            "crl/issuing.crl",
            "crl/bundle.pem",
            "crl/issuing.pem",
            Manifest::JSON
        ]
    );
    assert!(forge.holds(&forge.public(6)));

    // What is damaged here is no answer to "is it still the same?".
    std::fs::remove_file(forge.path("out/crl/root.crl")).unwrap();
    fetch(&forge, &server, &["--exec", "true"]).ok();
    assert!(forge.holds(&forge.public(6)));
    assert_eq!(server.asked()[0].etag, None);
}

#[test]
fn a_server_without_etags_is_held_against_the_octets_that_are_there() {
    let forge = Forge::new();
    forge.publish(&forge.public(5));
    let server = HttpsServer::start(&forge, |_| Answer::Plain);
    fetch(&forge, &server, &[]).ok();
    server.asked();
    let before = forge.traces();
    fetch(&forge, &server, &[]).ok();
    assert_eq!((server.asked().len(), forge.traces() == before), (1, true));
}

#[test]
fn another_source_is_not_asked_by_the_mark_of_the_first() {
    let (forge, server) = at(|_| Answer::Tagged);
    fetch(&forge, &server, &[]).ok();
    let other = HttpsServer::start(&forge, |_| Answer::Tagged);
    fetch(&forge, &other, &[]).ok();
    fetch(&forge, &other, &[]).ok();
    let marks: Vec<bool> = other.asked().iter().map(|asked| asked.etag.is_some()).collect();
    assert_eq!(marks, [false, true]);
}

#[test]
fn a_date_does_where_there_is_no_etag() {
    let forge = Forge::new();
    forge.publish(&forge.public(5));
    let source = forge.path("source");
    let server = HttpsServer::start(&forge, move |asked| {
        if asked.since.is_some() {
            return Answer::Raw("HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n".into());
        }
        let Ok(text) = std::fs::read(source.join(&asked.path))
            .map(|octets| String::from_utf8_lossy(&octets).into_owned())
        else {
            return Answer::Plain;
        };
        if asked.path != Manifest::JWS {
            return Answer::Plain;
        }
        let date = "Date: Sun, 22 Nov 2026 14:00:00 GMT\r\nLast-Modified: Sun, 22 Nov 2026 13:00:00 GMT";
        Answer::Raw(format!(
            "HTTP/1.1 200 OK\r\n{date}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
            text.len()
        ))
    });
    fetch(&forge, &server, &[]).ok();
    server.asked();
    fetch(&forge, &server, &[]).ok();
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].since.as_deref(), Some("Sun, 22 Nov 2026 13:00:00 GMT"));
}

#[test]
fn a_redirect_is_followed_to_the_same_server_by_https_and_nowhere_else() {
    let redirect = |to: String| {
        format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    };
    for (to, why) in [
        ("http://127.0.0.1/manifest.jws", "which is not https"),
        ("https://evil.example/manifest.jws", "which is another server"),
        ("//evil.example/manifest.jws", "which is another server"),
        ("https://127.0.0.1:1/manifest.jws", "which is another server"),
        ("/manifest.jws", "one redirect too many"),
        ("ftp://127.0.0.1/", "which is not https"),
        ("https://a b/", "which is no URL"),
    ] {
        let (forge, server) = at(move |_| Answer::Raw(redirect(to.to_owned())));
        refused(&forge, &server, why);
    }
    for absolute in [true, false] {
        let port = Arc::new(AtomicU16::new(0));
        let known = port.clone();
        let (forge, server) = at(move |asked| match asked.path.strip_prefix("moved/") {
            Some(_) => Answer::Raw(String::new()),
            None if asked.path.starts_with("there/") => Answer::Tagged,
            None => {
                let base = if absolute {
                    format!("https://127.0.0.1:{}", known.load(Ordering::Relaxed))
                } else {
                    String::new()
                };
                Answer::Raw(redirect(format!("{base}/there/{}", asked.path)))
            }
        });
        port.store(server.port, Ordering::Relaxed);
        std::os::unix::fs::symlink(".", forge.path("source/there")).unwrap();
        fetch(&forge, &server, &[]).ok();
        assert!(forge.holds(&forge.public(6)));
    }
}

#[test]
fn a_server_that_says_nothing_or_an_octet_from_time_to_time() {
    for path in [Manifest::JWS, "crl/issuing.crl"] {
        for answer in [|| Answer::Silence, || Answer::Drip] {
            let (forge, server) = at(move |asked| {
                if asked.path == path {
                    answer()
                } else {
                    Answer::Tagged
                }
            });
            refused_within(&forge, &server, "2s", "the server did not answer in time");
        }
    }
}

#[test]
fn two_gigabytes_are_refused_and_not_held() {
    if !need(&["prlimit"]) {
        return;
    }
    for path in [Manifest::JWS, Manifest::JSON, "crl/issuing.crl"] {
        for length in [Some(2 << 30), None] {
            let answer = move |asked: &Asked| {
                if asked.path == path {
                    Answer::Endless(length)
                } else {
                    Answer::Tagged
                }
            };
            let (forge, server) = at(answer);
            let before = forge.traces();
            let pki = forge.command_from(&server.url(), &["--ca", "ca.pem", "--timeout", "2m"]);
            let mut limited = program("prlimit");
            limited
                .arg("--as=600000000")
                .arg(pki.get_program())
                .args(pki.get_args());
            let said = finish(limited.current_dir(forge.path("")), b"").exits(1);
            // And not because the time was over.
            assert!(said.stderr.contains("more than"), "{said}");
            assert_eq!(forge.traces(), before);
        }
    }
}

#[test]
fn what_is_no_answer() {
    for (answer, why) in [
        ("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "status 500"),
        (
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
            "status 403",
        ),
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            "there is no such file",
        ),
        ("HTTP/1.1 304 Not Modified\r\n\r\n", "status 304"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", "manifest.jws: "),
        ("SSH-2.0-OpenSSH\r\n\r\n", "manifest.jws: "),
        ("", "manifest.jws: "),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<html>404</html",
            "it is no JWS",
        ),
    ] {
        let (forge, server) = at(move |_| Answer::Raw(answer.into()));
        refused(&forge, &server, why);
    }
}

#[test]
fn a_server_that_is_not_trusted_or_not_there() {
    let (forge, server) = at(|_| Answer::Tagged);
    let before = forge.traces();
    std::fs::write(forge.path("empty.pem"), "").unwrap();
    let refused = |url: &str, more: &[&str], why: &str, hint: &str| {
        let said = finish(&mut forge.command_from(url, more), b"").exits(1);
        let line = format!("pki: {url}{why}\n");
        assert!(
            said.stderr.starts_with(&line) && said.stderr.contains(hint),
            "{why}: {said}"
        );
    };
    let url = server.url();
    let shown = "manifest.jws: the server's certificate, of \"CN=127.0.0.1\", is issued by \"CN=A CA for servers\", \
                 and ";
    // The system trusts no such CA; and the root of the PKI is no CA for its web server.
    let is_trusted = "nobody whom this system trusts vouches for it";
    // A machine that trusts nobody at all says that instead.
    if std::path::Path::new("/etc/ssl/certs/ca-certificates.crt").exists() {
        refused(
            &url,
            &[],
            &format!("{shown}{is_trusted}"),
            "give its certificate with --ca FILE",
        );
    }
    let not_listed = format!("{shown}no certificate in root.crt vouches for it");
    refused(
        &url,
        &["--ca", "root.crt"],
        &not_listed,
        "which is not the PKI's root",
    );
    for (file, why) in [
        ("none.pem", "none.pem could not be read"),
        ("empty.pem", "empty.pem: it is empty"),
    ] {
        let said = finish(&mut forge.command_from(&url, &["--ca", file]), b"").exits(1);
        assert!(said.stderr.contains(why), "{said}");
    }
    let ca = ["--ca", "ca.pem"];
    refused(
        &format!("https://localhost:{}/", server.port),
        &ca,
        "manifest.jws: the server's certificate is for \"127.0.0.1\", and not for localhost",
        "--resolve",
    );
    let nobody = crate::support::free_port();
    refused(
        &format!("https://127.0.0.1:{nobody}/"),
        &ca,
        &format!("manifest.jws: nobody listens at 127.0.0.1:{nobody}"),
        "on which port",
    );
    let said = finish(&mut forge.command_from("https://nobody.invalid/", &ca), b"").exits(1);
    let line = "pki: https://nobody.invalid/manifest.jws: the host nobody.invalid has no address (";
    assert!(
        said.stderr.starts_with(line) && said.stderr.contains("--resolve"),
        "{said}"
    );
    assert_eq!(forge.traces(), before);
    for source in ["http://127.0.0.1/", "https://alice:secret@127.0.0.1/"] {
        let said = finish(&mut forge.command_from(source, &[]), b"").exits(2);
        assert!(
            !said.stderr.contains("secret") || source.starts_with("http://"),
            "{said}"
        );
    }
}

#[test]
fn what_is_wrong_with_a_servers_certificate_is_told_in_words() {
    type Change = fn(&mut rcgen::CertificateParams);
    let cases: [(Change, &str); 5] = [
        (
            |params| {
                let at = |seconds| time::OffsetDateTime::from_unix_timestamp(seconds).unwrap();
                (params.not_before, params.not_after) = (at(1_500_000_000), at(1_600_000_000));
            },
            "the server's certificate ended on 2020-09-13",
        ),
        (
            |params| params.not_after = time::OffsetDateTime::from_unix_timestamp(1_600_000_000).unwrap(),
            "the server's certificate cannot be believed: it ends before it begins",
        ),
        (
            |params| {
                let at = |seconds| time::OffsetDateTime::from_unix_timestamp(seconds).unwrap();
                (params.not_before, params.not_after) = (at(4_000_000_000), at(4_100_000_000));
            },
            "the server's certificate begins on 2096-10-02",
        ),
        (
            |params| params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained),
            "the server's certificate cannot be believed: it is a CA's own (basicConstraints with CA:TRUE)",
        ),
        (
            |params| params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth],
            "the server's certificate cannot be believed: it is not one for servers",
        ),
    ];
    for (change, why) in cases {
        let forge = Forge::new();
        forge.publish(&forge.public(5));
        let name = SanType::IpAddress("127.0.0.1".parse().unwrap());
        let server = HttpsServer::start_with(&forge, name, change, |_| Answer::Tagged);
        let said = fetch(&forge, &server, &[]).exits(1);
        assert!(said.stderr.contains(&format!("manifest.jws: {why}")), "{said}");
        assert!(said.stderr.lines().count() >= 2, "no hint: {said}");
    }
    let forge = Forge::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    std::fs::write(forge.path("ca.pem"), forge.root.certificate.pem()).unwrap();
    let url = format!("https://127.0.0.1:{port}/");
    let said = finish(&mut forge.command_from(&url, &["--ca", "ca.pem"]), b"").exits(1);
    let why = format!("what answers at 127.0.0.1:{port} speaks no TLS");
    assert!(said.stderr.contains(&why), "{said}");
}

#[test]
fn a_host_is_where_the_operator_says() {
    let forge = Forge::new();
    forge.publish(&forge.public(5));
    let name = SanType::DnsName("pki.acme.example".try_into().unwrap());
    let server = HttpsServer::start_with(&forge, name, |_| (), |_| Answer::Tagged);
    let url = format!("https://PKI.acme.example:{}/", server.port);
    let there = format!("pki.acme.example:{}:127.0.0.1", server.port);
    let elsewhere = format!("pki.acme.example:{}:127.0.0.1", server.port ^ 1);
    let other = format!("www.acme.example:{}:127.0.0.1", server.port);
    let ca = ["--ca", "ca.pem", "--resolve"];
    let fetch = |more: &[&str]| finish(&mut forge.command_from(&url, &[&ca[..], more].concat()), b"");
    for not_it in [&elsewhere, &other] {
        let said = fetch(&[not_it]).exits(1);
        assert!(said.stderr.contains("pki.acme.example has no address"), "{said}");
    }
    // Also who is not trusted is told of the one that was meant.
    let said = finish(
        &mut forge.command_from(&url, &["--ca", "root.crt", "--resolve", &there]),
        b"",
    )
    .exits(1);
    assert!(
        said.stderr.contains("is issued by \"CN=A CA for servers\""),
        "{said}"
    );
    fetch(&[&other, "--resolve", &there]).ok();
    assert!(forge.holds(&forge.public(5)));
    fetch(&["pki.acme.example:443"]).exits(2);
}
