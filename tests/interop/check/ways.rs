//! Every way in: a server that is shut by one of them may be open by another.

use std::process::Stdio;

use super::nginx::Nginx;
use super::{Follower, answers, canaries, check, codes, messages};
use crate::support::{EC, HOST, Home, Server, ServerCertificate, need, program, self_signed};

const PROGRAMS: [&str; 2] = ["nginx", "openssl"];
const MODERN: &str = "ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20;";

/// Demands a certificate that is good, but where `variable` is like `pattern`.
fn open_where(variable: &str, pattern: &str) -> String {
    format!(
        "ssl_verify_client optional_no_ca;\n\
         set $shut 0; if ($ssl_client_verify != SUCCESS) {{ set $shut 1; }}\n\
         set $way \"${variable}\"; if ($way ~ \"{pattern}\") {{ set $shut 0; }}\n\
         if ($shut) {{ return 403; }}"
    )
}

#[test]
fn a_server_that_is_open_by_one_way_alone_is_found_and_the_way_is_named() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    for (variable, pattern, way) in [
        ("ssl_protocol", "^TLSv1.2$", "over TLS 1.2"),
        ("ssl_protocol", "^TLSv1.3$", "over TLS 1.3"),
        ("ssl_server_name", "^$", "without SNI"),
        ("ssl_server_name", "invalid$", "with another host's SNI"),
        ("server_protocol", "^HTTP/2", "by h2"),
        ("ssl_alpn_protocol", "^$", "without ALPN"),
        ("ssl_alpn_protocol", "^http/1.1$", "by http/1.1"),
    ] {
        let nginx = Nginx::start(&home, &[MODERN, &open_where(variable, pattern)]);
        let said = check(&home, nginx.port(), &["--no-canary"]).exits(3);
        assert_eq!(codes(&said), ["certificate-not-demanded"], "{way}: {said}");
        let told = format!("who shows no certificate is let in (HTTP 200) {way}");
        assert_eq!(messages(&said, "certificate-not-demanded"), [told], "{said}");
    }
    // It gives sessions and takes up none: who comes back with one has come by the host's own name, and not
    // by a session.
    let takes_none = "ssl_session_cache none; ssl_session_tickets off;";
    let nginx = Nginx::start(
        &home,
        &[MODERN, takes_none, &open_where("ssl_server_name", "^api")],
    );
    let said = check(&home, nginx.port(), &["--no-canary"]).exits(3);
    let told = "who shows no certificate is let in (HTTP 200) with the host's own SNI";
    assert_eq!(messages(&said, "certificate-not-demanded"), [told], "{said}");
    // Two at once are two findings, and one corner of all is found.
    let nginx = Nginx::start(
        &home,
        &[
            MODERN,
            &open_where("ssl_protocol:$ssl_server_name", "^TLSv1.2|:$"),
        ],
    );
    let said = check(&home, nginx.port(), &["--no-canary"]).exits(3);
    assert_eq!(codes(&said), ["certificate-not-demanded"; 2], "{said}");
    let corner = open_where(
        "ssl_protocol:$ssl_server_name:$server_protocol",
        "^TLSv1.3:pki-check.invalid:HTTP/2",
    );
    let nginx = Nginx::start(&home, &[MODERN, &corner]);
    let said = check(&home, nginx.port(), &["--no-canary"]).exits(3);
    let found = messages(&said, "certificate-not-demanded");
    assert!(
        found[0].ends_with("over TLS 1.3 with another host's SNI by h2"),
        "{said}"
    );
}

/// Verifies by itself, and passes over what its second argument is like: version, error and subject of a
/// client's certificate.
const LENIENT: &str = r#"
const fs = require("fs"), https = require("https");
const [home, pattern, started] = process.argv.slice(2);
const read = (name) => fs.readFileSync(home + "/public/" + name);
const context = () => ({
  cert: fs.readFileSync("server.crt"), key: fs.readFileSync("server.key"),
  ca: [read("ca/root.crt"), read("ca/issuing.crt")], crl: [read("crl/root.pem"), read("crl/issuing.pem")],
  requestCert: true, rejectUnauthorized: false,
});
const server = https.createServer(context(), ({ socket }, response) => {
  const { subject } = socket.getPeerCertificate();
  const who = [socket.getProtocol(), socket.authorizationError, JSON.stringify(subject)].join(" ");
  response.writeHead(socket.authorized || new RegExp(pattern).test(who) ? 200 : 403, { Connection: "close" });
  response.end("hello\n");
});
process.on("SIGHUP", () => server.setSecureContext(context()));
server.listen(0, "127.0.0.1", () => {
  fs.writeFileSync(started + ".new", String(server.address().port));
  fs.renameSync(started + ".new", started);
});
"#;

fn lenient(home: &Home, pattern: &str) -> (Server, Follower) {
    std::fs::write(home.path("lenient.cjs"), LENIENT).unwrap();
    let started = home.path("lenient.port");
    let mut command = program("node");
    command
        .arg("lenient.cjs")
        .arg(home.home())
        .arg(pattern)
        .arg(&started);
    command.current_dir(home.path("")).stdin(Stdio::null());
    let server = Server::telling_port(&mut command, &started).unwrap();
    let follower = Follower::of(home, server.pid());
    (server, follower)
}

#[test]
fn each_impostor_is_found_by_the_way_that_is_open_to_him() {
    if !need(&["node", "openssl"]) {
        return;
    }
    let home = Home::staffed();
    ServerCertificate::make(&home);
    for (pattern, code, told) in [
        (
            "^TLSv1.2 .*pki-check/canary",
            "impostor-accepted",
            "who shows a certificate of another CA of the same names is let in (HTTP 200) over TLS 1.2",
        ),
        (
            "^TLSv1.3 .*Root CA",
            "impostor-accepted",
            "who shows a self-signed certificate with the root's name is let in (HTTP 200) over TLS 1.3",
        ),
        (
            "^TLSv1.2 (INVALID_CA|UNABLE_TO_GET_CRL)",
            "device-as-ca",
            "who shows a certificate that a device's key has signed is let in (HTTP 200) over TLS 1.2",
        ),
        (
            "^TLSv1.3 CERT_HAS_EXPIRED",
            "ended-accepted",
            "who shows a certificate that has ended is let in (HTTP 200) over TLS 1.3",
        ),
    ] {
        let (server, _follower) = lenient(&home, pattern);
        let said = check(&home, server.port, &[]).exits(3);
        let found = messages(&said, code);
        assert!(
            found.iter().any(|found| found.starts_with(told)),
            "{pattern}: {said}"
        );
        assert!(
            !canaries(&home).contains(&"valid".to_owned()),
            "{pattern}: {said}"
        );
    }
    // The ledger has what was made to end, and nobody had to take it back.
    let listed = home.run(&["list", "--employee", "pki-check", "--json"]).stdout;
    assert!(
        listed.contains("pki-check/ended") && listed.contains("expired"),
        "{listed}"
    );
}

/// Its own certificate is one of this PKI: as a client's it must be worth nothing.
#[test]
fn a_servers_certificate_is_no_devices() {
    if !need(&["node", "openssl"]) {
        return;
    }
    let home = Home::staffed();
    home.run(&["server", "add", HOST, "--out", "tls"]);
    home.run(&["server", "issue", HOST, "--out", "tls"]);
    for ending in ["crt", "key"] {
        let made = home.path(format!("tls/{HOST}.{ending}"));
        std::fs::copy(made, home.path(format!("server.{ending}"))).unwrap();
    }
    for (pattern, found) in [
        ("^nobody$", &[][..]),
        (
            "INVALID_PURPOSE|UNABLE_TO_GET_CRL|CN.*api.acme.example",
            &[
                "who shows a server's certificate is let in (HTTP 200): every server of this PKI can come as a device",
            ],
        ),
    ] {
        let (server, _follower) = lenient(&home, pattern);
        let said = check(&home, server.port, &[]);
        assert_eq!(messages(&said, "server-as-client"), found, "{said}");
        assert!(!answers(&said, "servers_certificate").is_empty(), "{said}");
    }
}

/// A server for all names beside the right one, on the same port.
fn beside(home: &Home, lines: &str) -> String {
    format!(
        "}}\nserver {{\n    listen 127.0.0.1:PORT ssl http2 default_server;\n    ssl_certificate \"{}\";\n    \
         ssl_certificate_key \"{}\";\n    {MODERN}\n    {lines}\n",
        home.path("other.crt").display(),
        home.path("other.key").display()
    )
}

/// HAProxy demands a certificate by the name in the handshake, and goes by that of the request afterwards.
fn haproxy(home: &Home, answer: &str) -> Server {
    beside_by_haproxy(home, "verify none", answer)
}

/// HAProxy whose default host has these options, and the right one those that it should have.
pub(super) fn beside_by_haproxy(home: &Home, default: &str, answer: &str) -> Server {
    self_signed(home, "other", "DNS:other.example", 90, &EC);
    for name in ["server", "other"] {
        let [crt, key] = ["crt", "key"].map(|ending| home.path(format!("{name}.{ending}")));
        let both = [std::fs::read(crt).unwrap(), std::fs::read(key).unwrap()].concat();
        std::fs::write(home.path(format!("{name}.pem")), both).unwrap();
    }
    let [bundle, crl] =
        ["ca/bundle.pem", "crl/bundle.pem"].map(|file| home.public(file).display().to_string());
    let list = format!(
        "other.pem [{default}] other.example\nserver.pem [verify required ca-file {bundle} crl-file {crl}] {HOST}\n"
    );
    std::fs::write(home.path("crt.list"), list).unwrap();
    let started = Server::on_free_port(|port| {
        let text = format!(
            "defaults\n mode http\n timeout connect 5s\n timeout client 10s\n timeout server 10s\n\
             frontend api\n bind 127.0.0.1:{port} ssl crt-list crt.list alpn h2,http/1.1\n {answer}\n"
        );
        std::fs::write(home.path("api.cfg"), text).unwrap();
        let mut command = program("haproxy");
        command
            .args(["-W", "-db", "-f", "api.cfg"])
            .current_dir(home.path(""));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    });
    started.expect("haproxy does not start")
}

#[test]
fn a_certificate_that_is_demanded_by_name_is_not_demanded_without_and_another_host_is_told_apart() {
    if !need(&["haproxy", "openssl"]) {
        return;
    }
    let home = Home::staffed();
    ServerCertificate::make(&home);
    let [leaf, chain, key] = home.opened(&home.alice());
    let both = [
        std::fs::read_to_string(leaf).unwrap(),
        std::fs::read_to_string(chain).unwrap(),
    ]
    .concat();
    let cert = home.write_private("alice.pem", &both).display().to_string();
    let key = key.display().to_string();
    let answers_all =
        "http-request return status 200 content-type text/plain lf-string \"device=%{+Q}[ssl_c_s_dn(UID)]\"";
    let welcomes = "http-request return status 200 content-type text/plain string welcome unless { ssl_c_used }\n \
                    http-request return status 200 content-type text/plain string hello";
    let sends_away = "http-request return status 404 unless { ssl_c_used }\n \
                      http-request return status 200 content-type text/plain string hello";
    for (answer, code, count) in [
        // What a device gets, but for its name.
        (answers_all, "certificate-not-demanded", 2),
        // Somebody else's page.
        (welcomes, "unclear", 2),
        (sends_away, "", 0),
    ] {
        let server = haproxy(&home, answer);
        let identity = ["--cert", &cert, "--key", &key];
        let said = check(&home, server.port, &identity).exits(if count == 0 { 0 } else { 3 });
        assert_eq!(codes(&said), vec![code; count], "{answer}: {said}");
        let told = messages(&said, code);
        assert!(told.iter().all(|told| told.contains("SNI")), "{answer}: {said}");
        assert!(
            answers(&said, "no_certificate")[0].starts_with("refused"),
            "{said}"
        );
    }
}

/// nginx takes the CRL of the virtual host that the handshake was for, and lets the request choose another.
#[test]
fn a_default_host_without_a_crl_lets_in_who_is_revoked() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    self_signed(&home, "other", "DNS:other.example", 90, &EC);
    let demands = format!("{MODERN} ssl_verify_client on; server_name {HOST};");
    let bundle = home.public("ca/bundle.pem").display().to_string();
    let knows = format!("ssl_verify_client on; ssl_verify_depth 2; ssl_client_certificate \"{bundle}\";");
    let nginx = Nginx::start(&home, &[&demands, "DEFAULT", &beside(&home, &knows)]);
    let _follower = nginx.follow(&home);
    let said = check(&home, nginx.port(), &[]).exits(3);
    assert_eq!(codes(&said), ["revoked-accepted"; 2], "{said}");
    let found = messages(&said, "revoked-accepted");
    assert!(found.iter().all(|told| told.contains("SNI")), "{said}");
}

/// HAProxy goes by the name in each handshake, and verifies again nobody who resumes: a session of the
/// default host opens the right one.
#[test]
fn a_session_of_another_host_that_opens_the_right_one_is_found_and_the_way_is_named() {
    if !need(&["haproxy", "openssl"]) {
        return;
    }
    let home = Home::staffed();
    ServerCertificate::make(&home);
    let by_name = format!(
        "http-request deny deny_status 421 unless {{ ssl_fc_sni -i {HOST} }}\n \
         http-request return status 200 content-type text/plain string hello"
    );
    let ways = ["without SNI", "another host's SNI"];
    let server = beside_by_haproxy(&home, "verify none", &by_name);
    let said = check(&home, server.port, &["--no-canary"]).exits(3);
    let told =
        ways.map(|way| format!("who shows no certificate is let in (HTTP 200) by a session from {way}"));
    assert_eq!(messages(&said, "certificate-not-demanded"), told, "{said}");
    assert_eq!(codes(&said), ["certificate-not-demanded"; 2], "{said}");
    drop(server);

    // The default host knows the CA and no CRL.
    let bundle = home.public("ca/bundle.pem").display().to_string();
    let server = beside_by_haproxy(&home, &format!("verify required ca-file {bundle}"), &by_name);
    let _follower = Follower::of_public(&home, server.pid());
    let said = check(&home, server.port, &[]).exits(3);
    let found = messages(&said, "revoked-accepted");
    let by_session = ways.map(|way| format!("is let in (HTTP 200) by a session from {way}"));
    for way in by_session {
        assert!(found.iter().any(|told| told.contains(&way)), "{way}: {said}");
    }
    // Who is no device is held by both.
    assert_eq!(messages(&said, "impostor-accepted"), [""; 0], "{said}");
}
