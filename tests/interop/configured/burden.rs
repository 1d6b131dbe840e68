//! What one client makes a server do must not keep it from the others.

use std::io::Write;
use std::net::TcpStream;

use serde_json::{Value, json};

use super::servers::{Kind, Running, Setting};
use super::wire::{Answer, http2, raw, say_in_turn};
use super::{HOST, with};
use crate::support::{Home, need_hypercorn};

on_every_server!(
    a_long_header_is_answered_at_once_and_so_is_whoever_asks_meanwhile,
    a_long_header_of_http2_is_answered_at_once,
    handshakes_that_somebody_has_begun_and_left_keep_nobody_out,
);

const LENGTH: usize = 50 * 1024;
/// Within so many a request is answered, whatever it says, and so is whoever asks meanwhile. It takes a tenth
/// of that; what grows with the square of what was sent takes minutes.
const SECONDS: f64 = 1.0;
/// How often a request is made that is answered later: another program may have had the machine. Who is slow
/// because of what the request says is slow each time.
const TRIES: usize = 4;

/// `part`, again and again.
fn long(part: &str) -> String {
    part.repeat(LENGTH / part.len())
}

/// Makes each of these requests, by its name, and demands that it is answered in time.
fn answered_at_once(home: &Home, running: &Running, requests: &[(String, Value)]) -> Vec<Answer> {
    let ask = |requests: &[Value]| say_in_turn(home, &running.server, &home.alice(), requests);
    let all: Vec<Value> = requests.iter().map(|(_, request)| request.clone()).collect();
    let mut answers = ask(&all);
    for (answer, (what, request)) in answers.iter_mut().zip(requests) {
        for _ in 1..TRIES {
            if slowest(answer) < SECONDS {
                break;
            }
            *answer = ask(std::slice::from_ref(request)).remove(0);
        }
        assert!(slowest(answer) < SECONDS, "{what}: {answer:?}");
    }
    answers
}

/// How long the client waited, or who asked meanwhile.
fn slowest(answer: &Answer) -> f64 {
    let beside = answer.beside.as_ref().map_or(0.0, |(_, took)| *took);
    answer.took.max(beside)
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
    // The end is unlike the rest: what looks for it from each place in turn finds it from none.
    let mut heads: Vec<(String, String)> = Vec::new();
    for (name, values) in parts {
        heads.extend(values.iter().map(|part| {
            (
                format!("{name}: {part}…"),
                format!("{name}: x{},;x\r\n", long(part)),
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
    let mut requests: Vec<(String, Value)> = heads
        .into_iter()
        .map(|(what, lines)| {
            let closing = if lines.starts_with("Connection") {
                ""
            } else {
                "Connection: close\r\n"
            };
            let text = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n{closing}{lines}\r\n");
            (what, raw(&[&text]))
        })
        .collect();
    let host = format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        long("a.")
    );
    requests.push(("Host".into(), raw(&[&host])));
    for (_, request) in &mut requests {
        request["beside"] = json!(format!(
            "GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
        ));
        request["once"] = true.into();
    }
    for ((what, _), answer) in requests.iter().zip(answered_at_once(home, &running, &requests)) {
        // What is too long is refused; some close the connection while it is still being sent.
        assert!(
            matches!(
                answer.status(),
                None | Some(200 | 400 | 403 | 404 | 413 | 414 | 417 | 421 | 431)
            ),
            "{what}: {answer:?}"
        );
        let (beside, _) = answer.beside.as_ref().unwrap();
        assert!(
            beside.starts_with("HTTP/1.1 200"),
            "{what}: {beside}: {}",
            running.log()
        );
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
        ("x-forwarded-for", format!("{},;x", long("a"))),
        ("x-client-device", long("bob/phone")),
        ("forwarded", long(", ")),
        ("cookie", long("a=b; ")),
        ("x.client.device", long("a")),
        (":authority", long("a.")),
        (":path", format!("/{}", long("a/"))),
    ];
    let requests = values.each_ref().map(|(name, value)| {
        let mut headers = vec![
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "/"),
            (":authority", HOST),
        ];
        headers.retain(|(given, _)| given != name);
        let place = if name.starts_with(':') { 0 } else { headers.len() };
        headers.insert(place, (name, value));
        ((*name).to_owned(), http2(&headers))
    });
    answered_at_once(home, &running, &requests);
    running.lets_in(home, &home.alice());
}

/// More than Apache has workers (150), where nobody has told it otherwise.
const BEGUN: usize = 170;

/// Where each occupies a worker, who has begun a handshake is turned out after five seconds.
fn handshakes_that_somebody_has_begun_and_left_keep_nobody_out(kind: Kind, home: &Home) {
    let running = Running::start(kind, home);
    running.lets_in(home, &home.alice());
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
