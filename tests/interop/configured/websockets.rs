//! The one kind of a pipe that is let through, for those whom the lists know.

use serde_json::Value;

use super::pipe::{UPGRADES, ask_hypercorn, upgrade};
use super::servers::{Kind, Running, Setting};
use super::wire::{http2, raw, say};
use super::{HOST, with};
use crate::support::need_hypercorn;

#[test]
fn websockets_pass_haproxy_caddy_and_node_and_envoy_where_its_line_for_them_is_put_in() {
    let uncommented = |text: &str| {
        let line = "# upgrade_configs: [{ upgrade_type: websocket }]";
        assert!(text.contains(line), "{text}");
        text.replace(line, line.trim_start_matches("# "))
    };
    for kind in [Kind::Haproxy, Kind::Caddy, Kind::Node, Kind::Envoy] {
        with(kind, |kind, home| {
            let setting = Setting {
                edit: if kind == Kind::Envoy {
                    &uncommented
                } else {
                    Setting::PLAIN.edit
                },
                ..Setting::PLAIN
            };
            let running = Running::start_as(kind, home, &setting);
            let inside = "GET /inside HTTP/1.1\r\nConnection: close\r\n\r\n";
            for name in ["websocket", "WebSocket"] {
                let head = format!(
                    "GET / HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: {name}\r\nConnection: keep-alive, Upgrade\r\n\
                     X-Client-Device: bob/phone\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                );
                let answer = say(home, &running.server, &home.alice(), &[raw(&[&head, inside])]).remove(0);
                assert_eq!(
                    answer.status(),
                    Some(101),
                    "{kind:?}: {answer:?}: {}",
                    running.log()
                );
                assert!(
                    answer.text.contains("HTTP/1.1 200 OK"),
                    "nothing comes through: {answer:?}"
                );
                match kind {
                    Kind::Node => assert!(answer.text.contains("device=[alice/phone]"), "{answer:?}"),
                    Kind::Nginx | Kind::Haproxy | Kind::Apache | Kind::Envoy | Kind::Caddy => {
                        assert!(
                            running.heard("alice/phone") && running.heard("/inside"),
                            "{answer:?}"
                        );
                    }
                }
                assert!(
                    !running.heard("bob/phone") && !answer.text.contains("bob/phone"),
                    "{answer:?}"
                );
            }
            // Nothing else passes with them.
            let others: Vec<Value> = UPGRADES.iter().map(|headers| upgrade(headers)).collect();
            for answer in say(home, &running.server, &home.alice(), &others) {
                assert!(
                    answer.status() != Some(101) && !answer.text.contains("bob/phone"),
                    "{kind:?}: {answer:?}"
                );
            }
            assert!(!running.heard("bob/phone"));
        });
    }
}

/// Over HTTP/2 a WebSocket is a CONNECT.
#[test]
fn websockets_pass_haproxy_over_http2() {
    with(Kind::Haproxy, |kind, home| {
        if need_hypercorn() {
            let head = [
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "https"),
                (":path", "/"),
                (":authority", HOST),
            ];
            let mut attempt = http2(
                &[
                    &head[..],
                    &[("sec-websocket-version", "13"), ("x-client-device", "bob/phone")],
                ]
                .concat(),
            );
            (attempt["pipe"], attempt["once"]) = ("\u{89}\u{80}mask".into(), true.into());
            let answer = ask_hypercorn(kind, home, &str::to_owned, &attempt);
            assert_eq!(answer.status(), Some(200), "{answer:?}");
            assert!(answer.text.contains("device=['alice/phone']"), "{answer:?}");
        }
    });
}

/// A phone that was let in once and is revoked now asks for a WebSocket on the connection that it has.
#[test]
fn node_gives_no_websocket_to_a_revoked_phone() {
    with(Kind::Node, |kind, home| {
        let mut running = Running::start(kind, home);
        let head =
            format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
        let answer = say(home, &running.server, &home.alice(), &[raw(&[&head, "x"])]).remove(0);
        assert_eq!(answer.status(), Some(101), "{answer:?}");
        home.run(&["revoke", "alice", "--yes", "--no-publish"]);
        let place = home.path(kind.place()).join("server");
        home.run(&["publish", place.to_str().unwrap()]);
        running.reload(home);
        // The list knows it, the CRL does not: the handshake passes.
        let answer = say(home, &running.server, &home.alice(), &[raw(&[&head, "x"])]).remove(0);
        assert_eq!(answer.status(), Some(403), "{answer:?}");
    });
}
