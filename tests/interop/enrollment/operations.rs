//! The service as those who run it see it: readiness, metrics, its log, proxies before it, sockets of
//! systemd, and a machine that issues nothing.

use serde_json::{Value, json};

use super::{Log, Serving, TOOLS, kind_of, with_status};
use crate::support::{HOST, Home, Server, free_port, need, program, self_signed, wait_until};

/// What the face for status answers at this path: the status, and the body.
fn ask_status(home: &Home, port: u16, path: &str, more: &[&str]) -> (u16, String) {
    let url = format!("http://127.0.0.1:{port}{path}");
    let mut arguments = vec!["--disable", "--silent", "--max-time", "20", "--noproxy", "*"];
    arguments.extend(["--write-out", "\n%{http_code}"]);
    arguments.extend(more);
    arguments.push(&url);
    let said = home.foreign("curl", &arguments).ok().stdout;
    let (body, status) = said.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

/// The entries of the service's log, once there is one of this event.
pub(super) fn logged(home: &Home, event: &str) -> Vec<Value> {
    wait_until(&format!("{event} in the log"), || {
        let log = Log::of(home).text();
        let entries: Vec<Value> = log
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{line}: {why}")))
            .collect();
        entries
            .iter()
            .any(|entry| entry["event"] == event)
            .then_some(entries)
    })
}

#[test]
fn readiness_and_metrics_are_told_to_this_machine_and_through_no_proxy_that_is_unknown() {
    let Some((serving, port)) = with_status() else {
        return;
    };
    let home = &serving.home;
    let (status, body) = ask_status(home, port, "/readyz", &[]);
    let told: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, told), (200, json!({ "ready": true, "troubles": [] })));
    assert_eq!(serving.ask("/readyz", "").0, 200);
    // A page has no metrics.
    assert_eq!(serving.ask("/metrics", "").0, 404);
    let invite = serving.invite(&["alice"]);
    for (name, status) in [("first", 200), ("second", 409)] {
        let body = json!({ "secret": invite.word("secret"), "csr": serving.request(name) });
        assert_eq!(serving.redeem(invite.word("id"), &body).0, status);
    }
    let (status, text) = ask_status(home, port, "/metrics", &[]);
    assert_eq!(status, 200, "{text}");
    for line in [
        "pki_attempts_total{outcome=\"enrolled\"} 1",
        "pki_attempts_total{outcome=\"another-key\"} 1",
        "pki_requests_total{face=\"page\",status=\"409\"} 1",
        "pki_ready 1",
    ] {
        assert!(text.lines().any(|one| one == line), "{line}: {text}");
    }
    assert!(
        !text.contains("alice") && !text.contains(invite.word("id")),
        "{text}"
    );
    // Whoever came through a proxy that nobody has named has the proxy's address, which is this machine's.
    for header in [
        "X-Forwarded-For: 192.0.2.7",
        "Forwarded: for=192.0.2.7",
        "Via: 1.1 proxy",
    ] {
        for path in ["/metrics", "/readyz"] {
            assert_eq!(
                ask_status(home, port, path, &["--header", header]).0,
                403,
                "{header}"
            );
        }
    }
    assert_eq!(
        ask_status(home, port, "/healthz", &["--header", "Via: 1.1 proxy"]).0,
        200
    );
}

#[test]
fn readiness_and_metrics_are_told_to_nobody_else() {
    if !need(&TOOLS) {
        return;
    }
    let home = Home::with_server();
    let port = free_port();
    home.configure("status", &format!("\"127.0.0.1:{port}\""));
    home.configure("metrics_from", "[\"192.0.2.0/24\"]");
    let Some(serving) = Serving::of(home) else { return };
    for path in ["/metrics", "/readyz"] {
        assert_eq!(ask_status(&serving.home, port, path, &[]).0, 403, "{path}");
    }
    assert_eq!(serving.ask("/readyz", "").0, 403);
}

#[test]
fn a_certificate_that_nothing_renewed_is_told_before_it_ends_and_after_it_the_service_is_not_ready() {
    if !need(&["faketime"]) {
        return;
    }
    let Some((serving, port)) = with_status() else {
        return;
    };
    let Serving { home, mut server, .. } = serving;
    server.end();
    self_signed(&home, "short", &format!("DNS:{HOST}"), 20, &crate::support::EC);
    for ending in ["crt", "key"] {
        std::fs::copy(
            home.path(format!("short.{ending}")),
            home.path(format!("server.{ending}")),
        )
        .unwrap();
    }
    let mut home = Some(home);
    for (ahead, status, word) in [("+17d", 200, "ends on"), ("+21d", 503, "ended on")] {
        let Some(serving) = Serving::prepared(home.take().unwrap(), ahead, &["--json"]) else {
            return;
        };
        let (told, body) = ask_status(&serving.home, port, "/readyz", &[]);
        assert_eq!(told, status, "{body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["troubles"][0]["part"], "page-certificate");
        assert!(
            body["troubles"][0]["message"].as_str().unwrap().contains(word),
            "{body}"
        );
        let log = logged(&serving.home, "message");
        assert!(
            log.iter().any(|entry| entry["level"] == "warning"
                && entry["message"]
                    .as_str()
                    .is_some_and(|message| message.contains(word))),
            "{log:?}"
        );
        let Serving {
            home: there,
            mut server,
            ..
        } = serving;
        server.end();
        home = Some(there);
    }
}

#[test]
fn the_log_has_a_line_of_json_for_each_event_and_neither_secrets_nor_names() {
    for has_names in [false, true] {
        let home = Home::with_server();
        if has_names {
            home.configure("log_names", "true");
        }
        let Some(serving) = Serving::told(home, "+0d", &["--json"]) else {
            return;
        };
        let invite = serving.invite(&["alice", "--code"]);
        let (id, secret, code) = (invite.word("id"), invite.word("secret"), invite.word("code"));
        let csr = serving.request("phone");
        let body = json!({ "secret": "0".repeat(26), "csr": csr });
        assert_eq!(serving.redeem(id, &body).0, 403);
        let wrong = if code == "000000" { "111111" } else { "000000" };
        let body = json!({ "secret": secret, "csr": csr, "code": wrong });
        assert_eq!(kind_of(&serving.redeem(id, &body).1), "wrong-code");
        let body = json!({ "secret": secret, "csr": csr, "code": code });
        assert_eq!(serving.redeem(id, &body).0, 200);
        assert_eq!(serving.redeem(id, &body).0, 200);
        let other = json!({ "secret": secret, "csr": serving.request("other"), "code": code });
        assert_eq!(serving.redeem(id, &other).0, 409);
        let entries = logged(&serving.home, "another-key");
        let of = |event: &str| {
            let found = entries.iter().find(|entry| entry["event"] == event);
            found.unwrap_or_else(|| panic!("no {event}: {entries:?}"))
        };
        let serial = serving.home.serial_of("alice/phone");
        let enrolled = of("enrolled");
        assert_eq!(
            (&enrolled["invite"], &enrolled["serial"]),
            (&json!(id), &json!(serial))
        );
        assert_eq!(enrolled["from"], "127.0.0.0/24");
        assert_eq!(enrolled["device"].as_str(), has_names.then_some("alice/phone"));
        assert_eq!(of("again")["serial"], json!(serial));
        assert_eq!(of("another-key")["level"], "warning");
        assert_eq!(of("wrong-code")["invite"], json!(id));
        // Whoever lacks the secret may name any invite.
        assert!(of("no-right").get("invite").is_none());
        assert_eq!(of("listens")["face"], "page");
        let log = serving.log.text();
        assert!(!log.contains(secret) && !log.contains(code), "{log}");
        assert_eq!(log.contains("alice"), has_names, "{log}");
        assert!(
            entries
                .iter()
                .all(|entry| entry["time"].is_string() && entry["level"].is_string())
        );
    }
}

/// Asks as a stranger at this port, from this address: what is counted and logged is the address.
fn stranger(serving: &Serving, port: u16, from: &str, more: &[&str]) -> u16 {
    let body = json!({ "secret": "0".repeat(26), "csr": serving.request("stranger") });
    let file = serving.home.write_private("stranger.json", &body.to_string());
    let (resolve, data) = (format!("{HOST}:{port}:127.0.0.1"), format!("@{}", file.display()));
    let url = format!("https://{HOST}:{port}/i/ZZZZZZZZ");
    let mut arguments = vec!["--disable", "--silent", "--max-time", "20", "--noproxy", "*"];
    arguments.extend([
        "--cacert",
        "server.crt",
        "--interface",
        from,
        "--resolve",
        &resolve,
    ]);
    arguments.extend([
        "--header",
        "Content-Type: application/json",
        "--data-binary",
        &data,
    ]);
    arguments.extend(["--output", "answer", "--write-out", "%{http_code}"]);
    arguments.extend(more);
    arguments.push(&url);
    let said = serving.home.foreign("curl", &arguments);
    said.stdout.parse().unwrap_or_else(|_| panic!("{said}"))
}

/// The networks that strangers came from, by the log.
fn seen(home: &Home, how_many: usize) -> Vec<String> {
    wait_until("the log", || {
        let entries = logged(home, "no-right");
        let seen: Vec<String> = entries
            .iter()
            .filter(|entry| entry["event"] == "no-right")
            .map(|entry| entry["from"].as_str().unwrap().to_owned())
            .collect();
        (seen.len() >= how_many).then_some(seen)
    })
}

#[test]
fn a_proxy_that_is_known_says_whose_connection_it_is_and_nobody_else_does() {
    if !need(&["haproxy"]) {
        return;
    }
    let home = Home::with_server();
    home.configure("proxies", "[\"127.0.0.1/32\"]");
    let Some(serving) = Serving::told(home, "+0d", &["--json"]) else {
        return;
    };
    let page = serving.server.port;
    for (n, sends) in ["send-proxy", "send-proxy-v2"].into_iter().enumerate() {
        let place = serving.home.path("haproxy.cfg");
        let proxy = Server::on_free_port(|port| {
            let text = format!(
                "defaults\n mode tcp\n timeout connect 5s\n timeout client 20s\n timeout server 20s\n\
                 listen page\n bind 127.0.0.1:{port}\n server one 127.0.0.1:{page} {sends}\n"
            );
            std::fs::write(&place, text).unwrap();
            let mut command = program("haproxy");
            command.arg("-f").arg(&place);
            command
        });
        let proxy = proxy.expect("haproxy ended at once");
        let from = format!("127.0.{}.1", 20 + n);
        assert_eq!(stranger(&serving, proxy.port, &from, &[]), 403);
        assert_eq!(
            seen(&serving.home, n + 1)[n],
            format!("127.0.{}.0/24", 20 + n),
            "{sends}"
        );
    }
    // A proxy that speaks HTTP says it in each request; a phone that says it is not believed.
    let header = ["--header", "X-Forwarded-For: 198.51.100.9, 192.0.2.9"];
    assert_eq!(stranger(&serving, page, "127.0.0.1", &header), 403);
    assert_eq!(stranger(&serving, page, "127.0.30.1", &header), 403);
    assert_eq!(seen(&serving.home, 4)[2..], ["192.0.2.0/24", "127.0.30.0/24"]);
    // So one phone behind it that fails keeps no other out.
    let of = |client: &str| {
        let header = format!("X-Forwarded-For: {client}");
        stranger(&serving, page, "127.0.0.1", &["--header", &header])
    };
    let last = (0..70).map(|_| of("203.0.113.7")).find(|status| *status != 403);
    assert_eq!(last, Some(429));
    assert_eq!(of("203.0.113.8"), 403);
}

/// The messages of the troubles that the face for status tells.
fn troubles(home: &Home, port: u16) -> Vec<String> {
    let (_, body) = ask_status(home, port, "/readyz", &[]);
    let body: Value = serde_json::from_str(&body).unwrap();
    let troubles = body["troubles"].as_array().unwrap().iter();
    troubles
        .map(|trouble| trouble["message"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn what_keeps_all_phones_out_although_the_service_works_is_told() {
    let Some((serving, port)) = with_status() else {
        return;
    };
    let home = &serving.home;
    // A proxy that nobody has named.
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", serving.server.port)).unwrap();
    std::io::Write::write_all(&mut stream, b"PROXY TCP4 192.0.2.7 10.0.0.1 4 443\r\n").unwrap();
    wait_until("what is told of the proxy", || {
        let told = troubles(home, port);
        told.iter().any(|one| one.contains("`proxies`")).then_some(())
    });
    // Somebody who guesses from an address that others have, too.
    let asked = (0..61).map(|_| stranger(&serving, serving.server.port, "127.0.50.1", &[]));
    assert_eq!(asked.collect::<Vec<_>>().last(), Some(&429));
    let told = troubles(home, port);
    assert!(told.iter().any(|one| one.contains("127.0.50.0/24")), "{told:?}");
    let (_, text) = ask_status(home, port, "/metrics", &[]);
    assert!(
        text.contains("pki_attempts_total{outcome=\"too-many\"} 1"),
        "{text}"
    );
    // A certificate for another name.
    let Serving { home, mut server, .. } = serving;
    server.end();
    self_signed(&home, "other", "DNS:other.example", 80, &crate::support::EC);
    for ending in ["crt", "key"] {
        std::fs::copy(
            home.path(format!("other.{ending}")),
            home.path(format!("server.{ending}")),
        )
        .unwrap();
    }
    let Some(serving) = Serving::prepared(home, "+0d", &[]) else {
        return;
    };
    let told = troubles(&serving.home, port);
    assert!(
        told.iter().any(|one| one.contains(&format!("is not for {HOST}"))),
        "{told:?}"
    );
    let found = serving.home.pki(&["doctor", "--json"]).output().unwrap().stdout;
    assert!(String::from_utf8(found).unwrap().contains("page-certificate"));
}

#[test]
fn nginx_hands_on_connections_by_name_as_the_page_on_servers_says() {
    if !need(&["nginx"]) {
        return;
    }
    let home = Home::with_certified_server();
    home.configure("proxies", "[\"127.0.0.1/32\"]");
    let device = free_port();
    home.configure("device", &format!("\"127.0.0.1:{device}\""));
    let Some(serving) = Serving::told(home, "+0d", &["--json"]) else {
        return;
    };
    let page = include_str!("../../../docs/how-to/serve.md");
    let (_, rest) = page.split_once("```nginx\n").unwrap();
    let (stream, _) = rest.split_once("```").unwrap();
    assert!(stream.starts_with("stream {"), "{stream}");
    let place = serving.home.path("stream.conf");
    let proxy = Server::on_free_port(|port| {
        // The names and ports of the page are those of this test.
        let stream = stream
            .replace("enroll.acme.example", "enroll.example")
            .replace("devices.acme.example", HOST)
            .replace("127.0.0.1:8443", "127.0.0.1:1")
            .replace("127.0.0.1:8444", &format!("127.0.0.1:{device}"))
            .replace("127.0.0.1:8445", &format!("127.0.0.1:{}", serving.server.port))
            .replace("listen 443", &format!("listen 127.0.0.1:{port}"));
        let dir = serving.home.path("").display().to_string();
        let text = format!(
            "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\ndaemon off;\npid {dir}/stream.pid;\n\
             error_log {dir}/stream.log;\nevents {{}}\n{stream}"
        );
        std::fs::write(&place, text).unwrap();
        let mut command = program("nginx");
        command.arg("-c").arg(&place);
        command
    });
    let proxy = proxy.expect("nginx ended at once");
    // The device's own certificate reaches the service, and so does where it comes from.
    let (status, told) = serving.est(proxy.port, "cacerts", "interface = \"127.0.40.1\"\n");
    assert_eq!(status, 200, "{told}");
    let csr = serving
        .home
        .write_private("request.csr", &serving.request("phone"));
    let config = format!(
        "interface = \"127.0.40.1\"\nheader = \"Content-Type: application/pkcs10\"\n\
         data-binary = \"@{}\"\nuser = \"ZZZZZZZZ:{}\"\n",
        csr.display(),
        "0".repeat(26)
    );
    assert_eq!(serving.est(proxy.port, "simpleenroll", &config).0, 403);
    assert_eq!(seen(&serving.home, 1), ["127.0.40.0/24"]);
}

#[test]
fn no_header_names_a_certificate() {
    let Some((serving, port)) = super::with_est() else {
        return;
    };
    let certificate = std::fs::read_to_string(serving.home.public("ca/issuing.crt")).unwrap();
    let escaped = certificate.replace('\n', "%0A");
    let csr = serving
        .home
        .write_private("request.csr", &serving.request("phone"));
    for name in [
        "X-SSL-Client-Cert",
        "X-Client-Cert",
        "Client-Cert",
        "X-Forwarded-Client-Cert",
    ] {
        let config = format!(
            "header = \"Content-Type: application/pkcs10\"\nheader = \"{name}: {escaped}\"\ndata-binary = \"@{}\"\n",
            csr.display()
        );
        let (status, told) = serving.est(port, "simplereenroll", &config);
        assert_eq!(
            (status, told.contains("show the certificate")),
            (403, true),
            "{name}: {told}"
        );
    }
}

#[test]
fn systemd_hands_over_a_socket_that_it_has_opened() {
    if !need(&["systemd-socket-activate"]) {
        return;
    }
    let Some(serving) = Serving::start() else { return };
    let Serving { home, mut server, .. } = serving;
    server.end();
    let start = |name: &'static str, port: u16| {
        let mut command = program("systemd-socket-activate");
        let pki = home.pki(&["serve"]);
        command.args(["--listen", &format!("127.0.0.1:{port}"), "--fdname", name]);
        for (key, value) in pki.get_envs() {
            if let Some(value) = value {
                let pair = format!("{}={}", key.to_str().unwrap(), value.to_str().unwrap());
                command.args(["--setenv", &pair]);
                command.env(key, value);
            }
        }
        command.arg(pki.get_program()).args(pki.get_args());
        command
            .current_dir(home.path(""))
            .stderr(std::fs::File::create(home.path("activated.log")).unwrap());
        command
    };
    let text = std::fs::read_to_string(home.home().join("pki.toml")).unwrap();
    let port = free_port();
    home.configure("host", &format!("\"{HOST}:{port}\""));
    let mut server = Server::start(&mut start("page", port), || Some(port)).unwrap();
    let (status, said) = wait_until("an answer", || {
        let (status, said) = server.curl_with(&home, None, "/i/ZZZZZZZZ", "");
        status.map(|status| (status, said))
    });
    assert_eq!(status, 200, "{said}");
    assert!(
        said.stdout.contains("<!doctype html>") || said.stdout.contains("<html"),
        "{said}"
    );
    server.end();
    std::fs::write(home.home().join("pki.toml"), text).unwrap();
    // One for nobody is a mistake of whoever wrote the unit.
    let port = free_port();
    let mut server = Server::start(&mut start("pages", port), || Some(port)).unwrap();
    server.curl_with(&home, None, "/", "");
    wait_until("the refusal", || {
        let log = std::fs::read_to_string(home.path("activated.log")).unwrap();
        log.contains("the socket pages").then_some(())
    });
    server.end();
}

#[test]
fn without_an_issuing_key_all_is_served_that_needs_none() {
    let Some((serving, port)) = with_status() else {
        return;
    };
    serving.home.issue("alice", &[]);
    let invite = serving.invite(&["bob"]);
    let Serving { home, mut server, .. } = serving;
    server.end();
    std::fs::rename(
        home.home().join("issuing/issuing.key"),
        home.path("elsewhere.key"),
    )
    .unwrap();
    let Some(serving) = Serving::told(home, "+0d", &["--no-issue"]) else {
        return;
    };
    let home = &serving.home;
    assert_eq!(serving.ask(&format!("/i/{}", invite.word("id")), "").0, 200);
    let body = json!({ "secret": invite.word("secret"), "csr": serving.request("bob") });
    let (status, told) = serving.redeem(invite.word("id"), &body);
    assert_eq!((status, kind_of(&told).as_str()), (503, "elsewhere"), "{told}");
    assert_eq!(ask_status(home, port, "/crl/issuing.crl", &[]).0, 200);
    assert_eq!(ask_status(home, port, "/readyz", &[]).0, 200);
    let said = super::status::ocsp(home, port, &home.serial_of("alice/phone"), &[]);
    assert!(said.contains("trylater"), "{said}");
    assert!(!serving.ledger().contains("invite_redeemed"));
}
