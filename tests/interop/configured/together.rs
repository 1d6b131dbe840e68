//! Several hosts behind one server, from one command.

use serde_json::{Value, json};

use super::servers::{self, Kind, Running};
use super::upstream::Upstream;
use super::wire::{Answer, http2, raw, say};
use super::{is_refused, with};
use crate::support::{
    Bundle, EC, HOST, Home, Server, finish, free_port, need_hypercorn, program, self_signed,
};

on_every_server!(what_could_be_two_hosts_reaches_no_application);

/// The other host.
const SECOND: &str = "b-2.acme.example";

#[test]
fn haproxy_serves_two_hosts_from_one_configuration() {
    with(Kind::Haproxy, each_host_has_its_certificate_and_its_application);
}

#[test]
fn envoy_serves_two_hosts_from_one_configuration() {
    with(Kind::Envoy, each_host_has_its_certificate_and_its_application);
}

#[test]
fn caddy_serves_two_hosts_from_one_configuration() {
    with(Kind::Caddy, each_host_has_its_certificate_and_its_application);
}

#[test]
fn node_serves_two_hosts_from_one_module() {
    with(Kind::Node, each_host_has_its_certificate_and_its_application);
}

fn each_host_has_its_certificate_and_its_application(kind: Kind, home: &Home) {
    let applications = [Upstream::start(), Upstream::start()];
    let mut server = start(kind, home, &[HOST, SECOND], &applications);
    let served = || applications.each_ref().map(Upstream::served);
    let certificate = |file: &str| std::fs::read_to_string(home.path(file)).unwrap();
    let alice = home.alice();
    let ask = |server: &Server, bundle: &Bundle, name: Option<&str>, host: &str| {
        ask(home, server, bundle, name, host)
    };

    for (at, host, file) in [(0, HOST, "first.crt"), (1, SECOND, "second.crt")] {
        let before = served();
        let ways = [
            host.to_owned(),
            host.to_uppercase(),
            format!("{host}:{}", server.port),
        ];
        let requests = ways.each_ref().map(|said| request(Some(host), said));
        for (said, answer) in ways.iter().zip(say(home, &server, &alice, &requests)) {
            assert_eq!(answer.status(), Some(200), "{said}: {answer:?}");
            assert_eq!(answer.certificate.trim(), certificate(file).trim(), "{said}");
            assert!(answer.text.contains("device=[alice/phone]"), "{answer:?}");
        }
        if kind != Kind::Node {
            assert_eq!(served()[at], before[at] + 3);
            assert_eq!(
                served()[1 - at],
                before[1 - at],
                "the other application was asked"
            );
        }
    }
    // A host that is not here, by whatever name the handshake had.
    let mut nowhere = Vec::new();
    for name in [Some(HOST), Some(SECOND), Some("other.acme.example"), None] {
        nowhere.extend(
            [
                "other.acme.example",
                "api.acme.example.other.example",
                "xapi.acme.example",
                "api.acme.example:80@evil.example",
                "api.acme.example:80:90",
                "",
            ]
            .map(|host| (name, host)),
        );
    }
    let requests: Vec<_> = nowhere.iter().map(|(name, host)| request(*name, host)).collect();
    let before = served();
    for ((name, host), answer) in nowhere.iter().zip(say(home, &server, &alice, &requests)) {
        // Caddy answers whoever names no host at all with an empty 200.
        let empty = host.is_empty() && answer.text.contains("Content-Length: 0\r\n");
        assert!(
            empty || matches!(answer.status(), None | Some(400 | 421)),
            "{name:?} {host}: {answer:?}"
        );
    }
    assert_eq!(served(), before, "an application was asked");
    // One of ours, by the handshake of the other: refused, or answered for the one that was asked for. Both
    // let in the same devices.
    for (name, host, at) in [
        (Some(HOST), SECOND, 1),
        (Some(SECOND), HOST, 0),
        (None, SECOND, 1),
        (Some("x.example"), HOST, 0),
    ] {
        let before = served();
        let answer = ask(&server, &alice, name, host);
        match answer.status() {
            Some(200) => {
                assert!(answer.text.contains("device=[alice/phone]"), "{answer:?}");
                assert_eq!(
                    served()[1 - at],
                    before[1 - at],
                    "the other application was asked"
                );
            }
            status => assert!(matches!(status, None | Some(421)), "{name:?} {host}: {answer:?}"),
        }
    }
    home.run(&["revoke", "alice", "--yes"]);
    server.end();
    let server = again(kind, home, server.port);
    let stranger = Home::bare();
    let mallory = stranger.issue("alice", &[]);
    for host in [HOST, SECOND] {
        let before = served();
        for bundle in [&alice, &mallory] {
            let answer = ask(&server, bundle, Some(host), host);
            assert!(is_refused(answer.status()), "{host}: {answer:?}");
        }
        assert_eq!(served(), before, "{host}: the application was asked");
        assert_eq!(
            ask(&server, &home.bob(), Some(host), host).status(),
            Some(200),
            "{host}"
        );
    }
}

/// The server takes it for one of them, and the application for the other.
fn what_could_be_two_hosts_reaches_no_application(kind: Kind, home: &Home) {
    let running = Running::start(kind, home);
    let hosts = [
        format!("{HOST}:80@evil.example"),
        format!("{HOST}:@evil.example"),
        format!("{HOST}@evil.example"),
        format!("evil.example@{HOST}"),
        format!("{HOST},evil.example"),
        format!("{HOST}, evil.example"),
        format!("{HOST} evil.example"),
        format!("{HOST}/evil.example"),
        format!("{HOST}?evil.example"),
        format!("{HOST}#evil.example"),
        format!("{HOST}\\evil.example"),
        format!("{HOST};evil.example"),
        format!("{HOST}:80:evil.example"),
        "[::1]evil.example".into(),
        format!("{HOST}\r\nHost: evil.example"),
        format!("evil.example\r\nHost: {HOST}"),
    ];
    let mut attempts: Vec<_> = hosts
        .iter()
        .map(|host| {
            let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            (host, raw(&[&request]))
        })
        .collect();
    if kind.speaks_http2() && need_hypercorn() {
        attempts.extend(hosts.iter().filter(|host| !host.contains('\n')).map(|host| {
            let pseudo = [
                (":method", "GET"),
                (":scheme", "https"),
                (":path", "/"),
                (":authority", host.as_str()),
            ];
            (host, http2(&pseudo))
        }));
    }
    let requests: Vec<_> = attempts.iter().map(|(_, request)| request.clone()).collect();
    for ((host, _), answer) in attempts
        .iter()
        .zip(say(home, &running.server, &home.alice(), &requests))
    {
        assert!(
            answer.status() != Some(200) || !answer.text.contains("evil.example"),
            "{host:?}: {answer:?}"
        );
        assert!(
            matches!(answer.status(), None | Some(200 | 400 | 421)),
            "{host:?}: {answer:?}"
        );
    }
    let plain = raw(&[&format!(
        "GET / HTTP/1.1\r\nHost: {HOST}:443\r\nConnection: close\r\n\r\n"
    )]);
    let answer = say(home, &running.server, &home.alice(), &[plain]).remove(0);
    assert_eq!(answer.status(), Some(200), "{answer:?}");
}

fn ask(home: &Home, server: &Server, bundle: &Bundle, name: Option<&str>, host: &str) -> Answer {
    say(home, server, bundle, &[request(name, host)]).remove(0)
}

/// A request for this host, by a handshake with this name.
fn request(name: Option<&str>, host: &str) -> Value {
    let text = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    json!({ "raw": [text], "name": name })
}

/// What `pki config` prints for these hosts, started by itself.
fn start(kind: Kind, home: &Home, hosts: &[&str], applications: &[Upstream; 2]) -> Server {
    self_signed(home, "first", &format!("DNS:{HOST}"), 30, &EC);
    self_signed(
        home,
        "second",
        &format!("DNS:{SECOND},IP:127.0.0.1,IP:::1"),
        30,
        &EC,
    );
    for _ in 0..5 {
        let port = free_port();
        let text = printed(kind, home, hosts, port, applications);
        servers::put(kind, home, &text, "");
        if kind == Kind::Caddy {
            assert!(servers::make_list_for_caddy(home));
        }
        if let Some(server) = servers::run(kind, home, port) {
            return server;
        }
    }
    panic!("{kind:?} does not start");
}

fn again(kind: Kind, home: &Home, port: u16) -> Server {
    if kind == Kind::Caddy {
        assert!(servers::make_list_for_caddy(home));
    }
    servers::run(kind, home, port).unwrap()
}

fn printed(kind: Kind, home: &Home, hosts: &[&str], port: u16, applications: &[Upstream; 2]) -> String {
    let mut arguments: Vec<String> = ["config", kind.word()].map(str::to_owned).into();
    arguments.extend(hosts.iter().map(|host| (*host).to_owned()));
    arguments.extend(["--port".to_owned(), port.to_string()]);
    for host in hosts {
        let (file, application) = if *host == HOST {
            ("first", &applications[0])
        } else {
            ("second", &applications[1])
        };
        for (flag, value) in [
            ("--cert", home.path(format!("{file}.crt")).display().to_string()),
            ("--key", home.path(format!("{file}.key")).display().to_string()),
            ("--upstream", format!("http://127.0.0.1:{}", application.port)),
        ] {
            arguments.extend([flag.to_owned(), value]);
        }
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    home.run(&arguments).stdout
}

#[test]
fn a_host_among_others_may_be_an_address() {
    for kind in [Kind::Haproxy, Kind::Envoy, Kind::Caddy, Kind::Node] {
        with(kind, |kind, home| {
            let applications = [Upstream::start(), Upstream::start()];
            let alone = start(kind, home, &["127.0.0.1"], &applications);
            let answer = ask(home, &alone, &home.alice(), None, "127.0.0.1");
            assert!(
                answer.text.contains("device=[alice/phone]"),
                "{kind:?}: {answer:?}"
            );
            drop(alone);
            let server = start(kind, home, &[HOST, "127.0.0.1", "::1"], &applications);
            for (name, host, at) in [(Some(HOST), HOST, 0), (None, "127.0.0.1", 1), (None, "[::1]", 1)] {
                for said in [host.to_owned(), format!("{host}:{}", server.port)] {
                    let before = applications.each_ref().map(Upstream::served);
                    let answer = ask(home, &server, &home.alice(), name, &said);
                    assert_eq!(answer.status(), Some(200), "{kind:?} {said}: {answer:?}");
                    if kind != Kind::Node {
                        assert_eq!(applications[at].served(), before[at] + 1, "{kind:?} {said}");
                    }
                }
            }
            let stranger = Home::bare();
            let mallory = stranger.issue("alice", &[]);
            for (name, host) in [
                (Some(HOST), HOST),
                (None, "127.0.0.1"),
                (Some("x.example"), "[::1]"),
            ] {
                let answer = ask(home, &server, &mallory, name, host);
                assert!(is_refused(answer.status()), "{kind:?} {host}: {answer:?}");
            }
            let answer = ask(home, &server, &home.alice(), None, "127.0.0.2");
            assert!(
                answer.status() != Some(200) || !answer.text.contains("device="),
                "{kind:?}: {answer:?}"
            );
        });
    }
}

/// HAProxy takes a directory of files, and puts them together: no name is in two of them.
#[test]
fn haproxy_takes_two_configurations_side_by_side_and_one_that_is_not_ours() {
    with(Kind::Haproxy, |kind, home| {
        let applications = [Upstream::start(), Upstream::start()];
        for (file, host) in [("first", HOST), ("second", SECOND)] {
            self_signed(home, file, &format!("DNS:{host}"), 30, &EC);
        }
        std::fs::create_dir(home.path("haproxy.d")).unwrap();
        for _ in 0..5 {
            let ports = [free_port(), free_port(), free_port()];
            for (host, port) in [(HOST, ports[0]), (SECOND, ports[1])] {
                let text = printed(kind, home, &[host], port, &applications);
                servers::put(kind, home, &text, "");
                std::fs::rename(
                    home.path("haproxy.cfg"),
                    home.path(format!("haproxy.d/{host}.cfg")),
                )
                .unwrap();
            }
            let other = format!(
                "defaults\n    mode http\n    timeout connect 5s\n    timeout client 5s\n    timeout server 5s\n\n\
                 frontend devices\n    bind 127.0.0.1:{}\n    default_backend application\n\n\
                 backend application\n    http-request return status 410\n",
                ports[2]
            );
            std::fs::write(home.path("haproxy.d/00-other.cfg"), other).unwrap();
            let mut command = program("haproxy");
            command.args(["-W", "-f", "haproxy.d"]).current_dir(home.path(""));
            let ready = || {
                std::net::TcpStream::connect(("127.0.0.1", ports[1]))
                    .is_ok()
                    .then_some(ports[1])
            };
            let Some(server) = Server::start(&mut command, ready) else {
                continue;
            };
            let answer = ask(home, &server, &home.alice(), Some(SECOND), SECOND);
            assert!(answer.text.contains("device=[alice/phone]"), "{answer:?}");
            let mut curl = program("curl");
            curl.args([
                "-s",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
                &format!("http://127.0.0.1:{}/", ports[2]),
            ]);
            assert_eq!(finish(&mut curl, b"").stdout, "410");
            assert_eq!(applications.each_ref().map(Upstream::served), [0, 1]);
            return;
        }
        panic!("HAProxy does not start");
    });
}
