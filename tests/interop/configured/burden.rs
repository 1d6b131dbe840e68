//! What one client makes a server do must not keep it from the others.

use std::io::Write;
use std::net::TcpStream;

use serde_json::{Value, json};

use super::servers::{Kind, Running, Setting};
use super::wire::{http2, raw, say};
use super::{HOST, with};
use crate::support::{Home, need_hypercorn};

on_every_server!(
    a_long_header_is_answered_at_once_and_so_is_whoever_asks_meanwhile,
    a_long_header_of_http2_is_answered_at_once,
    handshakes_that_somebody_has_begun_and_left_keep_nobody_out,
);

const LENGTH: usize = 50 * 1024;
/// What is done by then has not grown with the square of what was sent: that took minutes. It is done within a second; tests share
/// their machine.
const SECONDS: f64 = 5.0;

/// `part`, again and again.
fn long(part: &str) -> String {
    part.repeat(LENGTH / part.len())
}

fn a_long_header_is_answered_at_once_and_so_is_whoever_asks_meanwhile(kind: Kind, home: &Home) {
    let running = Running::start(kind, home);
    let parts: [(&str, &[&str]); 12] = [
        ("X-Forwarded-For", &["a", ", ", "192.0.2.1,", "\t", "[::1]:"]),
        ("X-Client-Device", &["a", "bob/phone", ";\"", ","]),
        ("Connection", &["a", "a,", "x-", "x-client-devic,", ", "]),
        ("Upgrade", &["a", "websocket", "websocket,", ", ", " "]),
        ("Forwarded", &["for=192.0.2.1,", ";"]),
        ("X-Real-IP", &["1", "."]),
        ("Cookie", &["a=b; ", "=", ";"]),
        ("X.Client.Device", &["a"]),
        ("X_Forwarded_For", &["a, "]),
        ("Expect", &["100-"]),
        ("Content-Type", &["a/b;"]),
        ("Authorization", &["Basic "]),
    ];
    let mut heads: Vec<(String, String)> = Vec::new();
    for (name, values) in parts {
        heads.extend(values.iter().map(|part| {
            (
                format!("{name}: {part}…"),
                format!("{name}: x{}x\r\n", long(part)),
            )
        }));
    }
    heads.push(("a long name".into(), format!("{}: x\r\n", long("X-a"))));
    heads.push((
        "a long name that is folded".into(),
        format!("{}: x\r\n", long("X_a.")),
    ));
    heads.push((
        "many".into(),
        (0..LENGTH / 10).map(|at| format!("x{at}: a\r\n")).collect(),
    ));
    heads.push(("many of one name".into(), long("X-Client-Device: a\r\n")));
    heads.push(("many that are folded".into(), long("X_Client.Device: a\r\n")));
    heads.push(("many who forward".into(), long("X-Forwarded-For: a\r\n")));
    let mut attempts: Vec<Value> = heads
        .iter()
        .map(|(_, lines)| {
            let closing = if lines.starts_with("Connection") {
                ""
            } else {
                "Connection: close\r\n"
            };
            raw(&[&format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n{closing}{lines}\r\n")])
        })
        .collect();
    heads.push(("Host".into(), String::new()));
    attempts.push(raw(&[&format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        long("a.")
    )]));
    for attempt in &mut attempts {
        attempt["beside"] = json!(format!(
            "GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
        ));
        attempt["once"] = true.into();
    }
    for ((what, _), answer) in heads
        .iter()
        .zip(say(home, &running.server, &home.alice(), &attempts))
    {
        let status = answer.status();
        // What is too long is refused; some close the connection while it is still being sent.
        assert!(
            matches!(
                status,
                None | Some(200 | 400 | 403 | 404 | 413 | 414 | 417 | 421 | 431)
            ),
            "{what}: {answer:?}"
        );
        assert!(answer.took < SECONDS, "{what}: {} s, {status:?}", answer.took);
        let (beside, took) = answer.beside.as_ref().unwrap();
        assert!(
            beside.starts_with("HTTP/1.1 200"),
            "{what}: {beside}: {}",
            running.log()
        );
        assert!(*took < SECONDS, "somebody else, while {what}: {took} s");
    }
}

/// The same by HTTP/2, where a server speaks it.
fn a_long_header_of_http2_is_answered_at_once(kind: Kind, home: &Home) {
    if !kind.speaks_http2() || !need_hypercorn() {
        return;
    }
    let running = Running::start(kind, home);
    let values = [
        ("x-forwarded-for", long("192.0.2.1,")),
        ("x-client-device", long("bob/phone")),
        ("forwarded", long(", ")),
        ("cookie", long("a=b; ")),
        ("x.client.device", long("a")),
        (":authority", long("a.")),
        (":path", format!("/{}", long("a/"))),
    ];
    let attempts: Vec<Value> = values
        .iter()
        .map(|(name, value)| {
            let mut headers = vec![
                (":method", "GET"),
                (":scheme", "https"),
                (":path", "/"),
                (":authority", HOST),
            ];
            headers.retain(|(given, _)| given != name);
            let place = if name.starts_with(':') { 0 } else { headers.len() };
            headers.insert(place, (name, value));
            http2(&headers)
        })
        .collect();
    for ((name, _), answer) in values
        .iter()
        .zip(say(home, &running.server, &home.alice(), &attempts))
    {
        assert!(
            answer.took < SECONDS,
            "{name}: {} s: {:?}",
            answer.took,
            answer.status()
        );
    }
    assert_eq!(
        running.server.curl(home, Some(&home.alice()), "/").0,
        Some(200),
        "{}",
        running.log()
    );
}

/// More than Apache has workers (150), where nobody has told it otherwise.
const BEGUN: usize = 170;

/// Where each occupies a worker, who has begun a handshake is turned out after five seconds.
fn handshakes_that_somebody_has_begun_and_left_keep_nobody_out(kind: Kind, home: &Home) {
    let running = Running::start(kind, home);
    assert_eq!(running.server.curl(home, Some(&home.alice()), "/").0, Some(200));
    // The beginning of a record with a ClientHello, and of that its type and no more.
    let begun: Vec<TcpStream> = (0..BEGUN)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", running.server.port)).unwrap();
            stream.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).unwrap();
            stream
        })
        .collect();
    // It waits for thirty seconds.
    let (status, said) = running.server.curl(home, Some(&home.alice()), "/");
    drop(begun);
    assert_eq!(status, Some(200), "{said}: {}", running.log());
}

/// Envoy goes on with a request whose script has failed, unless the script itself sees to it.
#[test]
fn an_error_in_envoys_script_lets_nobody_in() {
    with(Kind::Envoy, |kind, home| {
        for (place, broken) in [
            (
                "local device = devices[serial]",
                "local device = devices[serial] .. nil",
            ),
            (
                "headers:replace(\"x-client-device\", device)",
                "headers:replace(\"x-client-device\", nil)",
            ),
            ("local headers, said = request:headers(), {}", "error({})"),
        ] {
            let edit = |text: &str| {
                assert!(text.contains(place), "{text}");
                text.replacen(place, broken, 1)
            };
            let running = Running::start_as(
                kind,
                home,
                &Setting {
                    edit: &edit,
                    ..Setting::PLAIN
                },
            );
            let (status, said) = running.server.curl(home, Some(&home.alice()), "/");
            assert_eq!(status, Some(500), "{broken}: {said}: {}", running.log());
            assert_eq!(running.served(), 0, "{broken}: the application was asked");
        }
    });
}
