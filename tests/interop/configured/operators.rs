//! What an operator adds to a printed configuration: WebSockets, sessions, rules of his own. None of it is a
//! way in.

use super::servers::Kind;
use super::side_by_side::{Printed, SideBySide};
use super::{HOST, wire, with};
use crate::support::Home;

/// What tells the application that bob asks, and comes through where the connection has become a pipe.
const INSIDE: &str = "GET /inside HTTP/1.1\r\nHost: api.acme.example\r\nX-Client-Device: bob/phone\r\n\r\n";

/// What has the application answer, and end the connection.
const END: &str = "GET /end HTTP/1.1\r\nHost: api.acme.example\r\n\r\n";

/// What every page on WebSockets behind this server says. Apache can be told to let everything through, and
/// here it is.
fn with_websockets(kind: Kind, text: &str) -> String {
    let every = |found: &str, instead: &str| {
        assert_eq!(text.matches(found).count(), 2, "{text}");
        text.replace(found, instead)
    };
    match kind {
        Kind::Nginx => every(
            "proxy_http_version 1.1;",
            "proxy_http_version 1.1;\n proxy_set_header Upgrade $http_upgrade;\n \
             proxy_set_header Connection $connection_upgrade;",
        ),
        Kind::Apache => every(
            "/\"\n    ProxyPassReverse",
            "/\" upgrade=ANY\n    ProxyPassReverse",
        ),
        Kind::Haproxy | Kind::Envoy | Kind::Node | Kind::Caddy => panic!("{kind:?} is tried elsewhere"),
    }
}

/// Without the lines that let nothing but a WebSocket through.
fn unguarded(kind: Kind, text: &str) -> String {
    let (guard, nothing) = match kind {
        Kind::Nginx => ("if ($http_upgrade !~*", "if ($http_upgrade = never) { } #"),
        Kind::Apache => ("RewriteCond \"%{HTTP:Upgrade}\"", "RewriteCond never =always\n#"),
        Kind::Haproxy | Kind::Envoy | Kind::Node | Kind::Caddy => panic!("{kind:?} is tried elsewhere"),
    };
    assert_eq!(text.matches(guard).count(), 2, "{text}");
    with_websockets(kind, text).replace(guard, nothing)
}

#[test]
fn nginx_that_knows_websockets_makes_a_pipe_for_a_websocket_alone() {
    with(Kind::Nginx, a_pipe_is_made_for_a_websocket_alone);
}

#[test]
fn apache_that_knows_websockets_makes_a_pipe_for_a_websocket_alone() {
    with(Kind::Apache, a_pipe_is_made_for_a_websocket_alone);
}

fn a_pipe_is_made_for_a_websocket_alone(kind: Kind, home: &Home) {
    let opening = |upgrade: &str| {
        format!(
            "GET / HTTP/1.1\r\nHost: {HOST}\r\n{upgrade}Connection: Upgrade, HTTP2-Settings\r\n\
             HTTP2-Settings: AAMAAABk\r\n\r\n"
        )
    };
    let refused = [
        "Upgrade: h2c\r\n",
        "Upgrade: H2C\r\n",
        "Upgrade: websocket, h2c\r\n",
        "Upgrade: h2c, websocket\r\n",
        "Upgrade: h2c\r\nUpgrade: websocket\r\n",
        "Upgrade: websocket/13\r\n",
        "Upgrade: \twebsocket;h2c \r\n",
        "Upgrade: TLS/1.0\r\n",
    ];
    let running = SideBySide::start(kind, home, Printed::ByTwo, |text| with_websockets(kind, text));
    let openings: Vec<String> = refused.iter().map(|upgrade| opening(upgrade)).collect();
    let attempts: Vec<_> = openings.iter().map(|text| wire::raw(&[text, INSIDE])).collect();
    let say =
        |running: &SideBySide, attempts: &[_]| wire::say(home, &running.server, &home.alice(), attempts);
    for (answer, upgrade) in say(&running, &attempts).iter().zip(refused) {
        assert_eq!(answer.status(), Some(400), "{upgrade}: {answer:?}");
    }
    assert_eq!(running.served(), 0, "an application was asked");
    // Whatever stands behind the first, the application is told of a WebSocket or of nothing.
    let twice = opening("Upgrade: websocket\r\nUpgrade: h2c\r\n");
    let answers = say(&running, &[wire::raw(&[&twice, END])]);
    assert!(!answers[0].text.contains("Upgrade: h2c"), "{answers:?}");
    assert!(!running.applications[0].heard("h2c"), "{answers:?}");
    let websocket = opening("Upgrade:  WebSocket \r\n");
    let answers = say(&running, &[wire::raw(&[&websocket, END])]);
    assert_eq!(answers[0].status(), Some(101), "{answers:?}\n{}", running.log());
    drop(running);

    // The application would have been deceived.
    let running = SideBySide::start(kind, home, Printed::ByTwo, |text| unguarded(kind, text));
    let answers = say(&running, &attempts[..1]);
    assert_eq!(answers[0].status(), Some(101), "{answers:?}\n{}", running.log());
    assert!(running.applications[0].heard("bob/phone"), "{answers:?}");
}

#[test]
fn nginx_takes_up_no_session_where_somebody_has_switched_sessions_on() {
    with(Kind::Nginx, |kind, home| {
        no_session_is_taken_up(kind, home, "ssl_session_tickets off;", "ssl_session_tickets on;");
    });
}

#[test]
fn apache_takes_up_no_session_where_somebody_has_switched_sessions_on() {
    with(Kind::Apache, |kind, home| {
        no_session_is_taken_up(kind, home, "SSLSessionTickets off", "SSLSessionTickets on");
    });
}

/// It has passed no CRL, and perhaps another server's check.
fn no_session_is_taken_up(kind: Kind, home: &Home, off: &str, on: &str) {
    let switched = |text: &str| {
        assert!(text.contains(off), "{text}");
        // The server that is not ours would have to have them, too: it is the default one.
        text.replace(off, on)
    };
    let running = SideBySide::start(kind, home, Printed::ByOneCommand, switched);
    let session = home.path("alice.session").display().to_string();
    for version in ["-tls1_2", "-tls1_3"] {
        let ask =
            |flag| running.status_with(home, &home.alice(), Some(HOST), HOST, &[version, flag, &session]);
        assert_eq!(ask("-sess_out"), Some(200), "{version}: {}", running.log());
        assert!(
            std::fs::exists(&session).unwrap(),
            "{version}: no session was given away"
        );
        assert_eq!(ask("-sess_in"), Some(421), "{version}: {}", running.log());
        std::fs::remove_file(&session).unwrap();
    }
    assert_eq!(running.served(), 2, "an application was asked");
}

/// A rule that ends all others skips the printed ones: who has passed none of them has no name.
#[test]
fn apache_lets_in_nobody_whom_a_rule_of_somebody_else_has_led_past_its_own() {
    with(Kind::Apache, |kind, home| {
        let led_past = |text: &str| {
            let found = "    RewriteEngine on\n";
            text.replace(found, &format!("{found}    RewriteRule \"^/\" \"-\" [L]\n"))
        };
        let running = SideBySide::start(kind, home, Printed::ByTwo, led_past);
        let status = running.status_with(home, &home.alice(), Some(HOST), HOST, &[]);
        assert_eq!(status, Some(403), "{}", running.log());
        assert_eq!(running.served(), 0, "an application was asked");
    });
}
