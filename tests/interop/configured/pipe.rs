//! What makes a pipe of a connection: whoever has one tells the application what he likes, the name of
//! another device too.

use std::process::Stdio;

use serde_json::{Value, json};

use super::servers::{Kind, Running, Setting};
use super::wire::{Answer, http2, raw, say};
use super::{HOST, with};
use crate::support::{Home, Server, need_hypercorn, python};

on_every_server!(
    nobody_gets_a_pipe_to_the_application,
    an_application_that_accepts_h2c_hears_nobody_by_another_name,
);

/// What alice's phone says once it has a pipe.
const FORGED: &str = "GET /piped HTTP/1.1\r\nHost: api.acme.example\r\nX-Client-Device: bob/phone\r\nConnection: close\r\n\r\n";

/// A request for another protocol, as headers have it.
pub(super) fn upgrade(headers: &str) -> Value {
    let more = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    raw(&[
        &format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n{headers}{more}\r\n"),
        FORGED,
    ])
}

/// Everything but a WebSocket, by HTTP/1.1.
pub(super) const UPGRADES: [&str; 14] = [
    "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\nConnection: Upgrade, HTTP2-Settings\r\n",
    "Upgrade: h2c\r\nConnection: Upgrade\r\n",
    "Upgrade: H2C\r\nConnection: upgrade, close\r\n",
    "Upgrade: h2c\r\n",
    "Upgrade: websocket, h2c\r\nConnection: Upgrade\r\n",
    "Upgrade: h2c, websocket\r\nConnection: Upgrade\r\n",
    "Upgrade: websocket\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n",
    "Upgrade: h2c\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
    "Upgrade: websocket/13\r\nConnection: Upgrade\r\n",
    "Upgrade: TLS/1.2\r\nConnection: Upgrade\r\n",
    "Upgrade: anything\r\nConnection: Upgrade\r\n",
    "Upgrade: websocket,\r\nConnection: Upgrade\r\n",
    "Upgrade:\th2c \r\nConnection: Upgrade\r\n",
    "uPGRADE: raw\r\ncONNECTION: uPGRADE\r\n",
];

/// CONNECT as HTTP/1.1 has it, and in letters that some applications take for it. What follows comes once
/// there is an answer, or at once as a body: a CONNECT has none (RFC 9110 §9.3.6), and it goes into the pipe.
fn connects() -> Vec<Value> {
    let mut all = Vec::new();
    for method in ["CONNECT", "connect", "cOnnect"] {
        for target in ["api.acme.example:443", "/"] {
            let head = format!("{method} {target} HTTP/1.1\r\nHost: {HOST}\r\n");
            let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
            let length = format!("Content-Length: {}\r\n", FORGED.len());
            all.push(raw(&[&format!("{head}\r\n"), FORGED]));
            all.push(raw(&[&format!("{head}{upgrade}\r\n"), FORGED]));
            all.push(raw(&[&format!("{head}{length}\r\n{FORGED}")]));
        }
    }
    all
}

/// CONNECT as HTTP/2 has it, with the extension of RFC 8441 and without.
fn http2_connects() -> Vec<Value> {
    let with_pipe = |headers: &[(&str, &str)]| {
        let mut attempt = http2(headers);
        attempt["pipe"] = FORGED.into();
        attempt
    };
    let mut all = vec![with_pipe(&[(":method", "CONNECT"), (":authority", HOST)])];
    all.push(with_pipe(&[
        (":method", "connect"),
        (":scheme", "https"),
        (":path", "/"),
        (":authority", HOST),
    ]));
    for protocol in [
        "h2c",
        "anything",
        "websocket, h2c",
        "h2c, websocket",
        "connect-udp",
        "",
    ] {
        let head = [
            (":method", "CONNECT"),
            (":protocol", protocol),
            (":scheme", "https"),
        ];
        all.push(with_pipe(
            &[&head[..], &[(":path", "/"), (":authority", HOST)]].concat(),
        ));
    }
    let plain = [
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/"),
        (":authority", HOST),
    ];
    for more in [
        &[(":protocol", "h2c")][..],
        &[("upgrade", "h2c"), ("connection", "upgrade")],
    ] {
        all.push(with_pipe(&[&plain[..], more].concat()));
    }
    all
}

fn nobody_gets_a_pipe_to_the_application(kind: Kind, home: &Home) {
    let running = Running::start(kind, home);
    let mut refused: Vec<Value> = UPGRADES.iter().map(|headers| upgrade(headers)).collect();
    refused.extend(connects());
    if kind.speaks_http2() && need_hypercorn() {
        refused.extend(http2_connects());
    }
    // An answer that nobody asked for.
    let unasked = format!("GET /101 HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let all: Vec<Value> = refused
        .iter()
        .cloned()
        .chain([raw(&[&unasked, FORGED])])
        .collect();
    let answers = say(home, &running.server, &home.alice(), &all);
    for (attempt, answer) in all.iter().zip(&answers) {
        assert!(!answer.text.contains("bob/phone"), "{attempt}: {answer:?}");
    }
    assert!(!running.heard("bob/phone"), "{answers:#?}");
    for (attempt, answer) in refused.iter().zip(&answers) {
        let by_http1 = attempt.get("raw").is_some();
        match kind {
            Kind::Haproxy | Kind::Node | Kind::Caddy if by_http1 => {
                assert_eq!(answer.status(), Some(400), "{attempt}: {answer:?}");
            }
            // What there is to say it in is another matter: a stream is reset, an Upgrade is passed over.
            Kind::Haproxy | Kind::Node | Kind::Caddy | Kind::Nginx | Kind::Apache | Kind::Envoy => {
                assert_ne!(answer.status(), Some(101), "{attempt}: {answer:?}");
            }
        }
    }
    // A WebSocket was asked for, and the application has something else in mind. Node.js is the application
    // itself, and nginx does not look at what an application switches to.
    if !matches!(kind, Kind::Node | Kind::Nginx) {
        let head = format!(
            "GET /101 HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        let answer = say(home, &running.server, &home.alice(), &[raw(&[&head, FORGED])]).remove(0);
        assert!(
            answer.status() != Some(101) && !running.heard("bob/phone"),
            "{answer:?}"
        );
    }
    // And whoever asks for nothing of the kind is served as before.
    running.lets_in(home, &home.alice());
}

/// The servers' own way is to hand on what the client asks for: these lines are between.
fn unmended(text: &str) -> String {
    let forbids = |line: &&str| {
        let line = line.trim();
        line.starts_with("http-request deny deny_status 400 if { method ")
            || line.starts_with("http-request deny deny_status 400 if { req.fhdr_cnt(upgrade)")
            || line.starts_with("http-response deny if { status 101 }")
            || line.starts_with("respond @pipe")
            || line.starts_with("RewriteCond \"%{REQUEST_METHOD}\" \"^connect$\"")
            || line.starts_with("if headers:get(\":method\"):upper() == \"CONNECT\"")
    };
    assert!(text.lines().any(|line| forbids(&line)), "{text}");
    text.lines()
        .filter(|line| !forbids(line))
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn haproxy_would_give_a_pipe_to_whoever_asks_were_it_not_told_otherwise() {
    with(Kind::Haproxy, |kind, home| {
        let mut attempts = vec![upgrade(UPGRADES[1]), connects()[0].clone(), in_small_letters()];
        if need_hypercorn() {
            attempts.extend(http2_connects().drain(..2));
        }
        gets_through(kind, home, &attempts);
    });
}

#[test]
fn caddy_would_give_a_pipe_to_whoever_asks_were_it_not_told_otherwise() {
    with(Kind::Caddy, |kind, home| {
        gets_through(
            kind,
            home,
            &[upgrade(UPGRADES[1]), upgrade(UPGRADES[4]), in_small_letters()],
        );
    });
}

#[test]
fn apache_would_hand_on_a_connect_were_it_not_told_otherwise() {
    with(Kind::Apache, |kind, home| {
        gets_through(kind, home, &[connects()[2].clone(), in_small_letters()]);
    });
}

#[test]
fn envoy_would_hand_on_a_connect_in_small_letters_were_it_not_told_otherwise() {
    with(Kind::Envoy, |kind, home| {
        if need_hypercorn() {
            gets_through(kind, home, &[http2_connects().remove(1)]);
        }
    });
}

/// CONNECT in small letters, with what follows it as a body.
fn in_small_letters() -> Value {
    let length = FORGED.len();
    let head = format!("connect / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {length}\r\n\r\n");
    raw(&[&format!("{head}{FORGED}")])
}

fn gets_through(kind: Kind, home: &Home, attempts: &[Value]) {
    let setting = Setting {
        edit: &unmended,
        ..Setting::PLAIN
    };
    for attempt in attempts {
        let running = Running::start_as(kind, home, &setting);
        // An application that answers before it has the body may be sent no more of it: whether the pipe
        // fills is a matter of luck then.
        let mut answers = Vec::new();
        let is_open = (0..6).any(|_| {
            answers = say(
                home,
                &running.server,
                &home.alice(),
                std::slice::from_ref(attempt),
            );
            running.heard("bob/phone")
        });
        assert!(is_open, "no hole to close: {attempt}: {answers:?}");
    }
}

/// A phone that speaks HTTP/2 inside of HTTP/1.1, to an application that wants it so.
fn h2c() -> Value {
    let head = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n{}\r\n", UPGRADES[0]);
    let inside = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", HOST),
        ("x-client-device", "bob/phone"),
    ];
    json!({ "h2c": head, "headers": inside, "name": HOST })
}

fn an_application_that_accepts_h2c_hears_nobody_by_another_name(kind: Kind, home: &Home) {
    // Node.js is the application itself, and speaks no HTTP/2.
    if kind == Kind::Node || !need_hypercorn() {
        return;
    }
    let answer = ask_hypercorn(kind, home, &str::to_owned, &h2c());
    assert!(
        !answer.text.contains("bob/phone") && answer.status() != Some(101),
        "{answer:?}"
    );
}

#[test]
fn an_application_that_accepts_h2c_would_hear_haproxys_and_caddys_clients_by_another_name() {
    for kind in [Kind::Haproxy, Kind::Caddy] {
        with(kind, |kind, home| {
            if need_hypercorn() {
                let answer = ask_hypercorn(kind, home, &unmended, &h2c());
                assert!(
                    answer.text.contains("device=['bob/phone']"),
                    "no hole to close: {answer:?}"
                );
            }
        });
    }
}

/// What hypercorn says to alice's phone behind this server.
pub(super) fn ask_hypercorn(
    kind: Kind,
    home: &Home,
    edit: &dyn Fn(&str) -> String,
    attempt: &Value,
) -> Answer {
    let hypercorn = hypercorn(home);
    let setting = Setting {
        edit,
        application: Some(hypercorn.port),
        ..Setting::PLAIN
    };
    let running = Running::start_as(kind, home, &setting);
    let told = running.server.curl(home, Some(&home.alice()), "/").1;
    assert!(
        told.stdout.contains("device=['alice/phone']"),
        "{told}: {}",
        running.log()
    );
    say(
        home,
        &running.server,
        &home.alice(),
        std::slice::from_ref(attempt),
    )
    .remove(0)
}

fn hypercorn(home: &Home) -> Server {
    std::fs::write(home.path("application.py"), include_str!("application.py")).unwrap();
    let started = Server::on_free_port(|port| {
        let mut command = python();
        command.args([
            "-m",
            "hypercorn",
            "application:app",
            "--bind",
            &format!("127.0.0.1:{port}"),
        ]);
        command.current_dir(home.path("")).stdin(Stdio::null());
        command
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(home.path("hypercorn.log")).unwrap());
        command
    });
    started.unwrap_or_else(|| {
        panic!(
            "hypercorn does not start: {}",
            std::fs::read_to_string(home.path("hypercorn.log")).unwrap()
        )
    })
}
