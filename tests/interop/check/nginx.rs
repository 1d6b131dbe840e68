//! nginx: as its how-to has it, and with each thing that can be wrong.

use std::fmt::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::{Follower, answers, canaries, check, codes, messages};
use crate::support::{
    EC, HOST, Home, Server, ServerCertificate, copy_of, finish, free_port, need, program, self_signed,
};

const PROGRAMS: [&str; 2] = ["nginx", "openssl"];
/// Both versions of today, with suites of today.
const MODERN: &str = "ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20;";
/// Sessions are kept over a reload, and resumed.
const RESUMES: &str = "ssl_session_cache shared:devices:1m; ssl_session_timeout 1h; ssl_session_tickets off;";
const DEMANDS: &str = "ssl_verify_client on;";
const DENIES: &str = "if ($revoked) { return 403; }";

pub(super) struct Nginx {
    pub server: Server,
    /// Its directory in the home's.
    place: &'static str,
}

impl Nginx {
    /// Starts one with these lines in its `server`.
    pub fn start(home: &Home, lines: &[&str]) -> Self {
        Self::start_in(home, "nginx", lines, program("nginx"))
    }

    pub fn start_in(
        home: &Home,
        place: &'static str,
        lines: &[&str],
        mut command: std::process::Command,
    ) -> Self {
        if !home.path("server.key").exists() {
            ServerCertificate::make(home);
        }
        let prefix = home.path(place);
        std::fs::create_dir_all(prefix.join("temp")).unwrap();
        command
            .arg("-p")
            .arg(&prefix)
            .args(["-e", "error.log", "-c", "nginx.conf"])
            .current_dir(&prefix);
        command.stdin(Stdio::null());
        for _ in 0..10 {
            let port = free_port();
            std::fs::write(prefix.join("nginx.conf"), configuration(home, lines, port)).unwrap();
            let pid = prefix.join("nginx.pid");
            let _ = std::fs::remove_file(&pid);
            let ready = || {
                std::fs::read_to_string(&pid)
                    .is_ok_and(|pid| !pid.trim().is_empty())
                    .then_some(port)
            };
            if let Some(server) = Server::start(&mut command, ready) {
                let server = server.with_workers();
                return Self { server, place };
            }
            let log = std::fs::read_to_string(prefix.join("error.log")).unwrap_or_default();
            assert!(
                log.contains("Address already in use"),
                "nginx does not start: {log}"
            );
        }
        panic!("no port is free");
    }

    pub fn port(&self) -> u16 {
        self.server.port
    }

    pub fn follow(&self, home: &Home) -> Follower {
        let pid = std::fs::read_to_string(home.path(self.place).join("nginx.pid")).unwrap();
        Follower::of(home, pid.trim().parse().unwrap())
    }
}

fn configuration(home: &Home, lines: &[&str], port: u16) -> String {
    let mut text = String::from(
        "daemon off;\nworker_processes 1;\npid nginx.pid;\nerror_log error.log info;\nworker_shutdown_timeout 10s;\n",
    );
    text.push_str("events { worker_connections 64; }\nhttp {\naccess_log off;\n");
    for temp in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        writeln!(text, "{temp}_temp_path temp/{temp};").unwrap();
    }
    let [revoked, allowed] =
        ["revoked.map", "allowed.map"].map(|file| home.server(file).display().to_string());
    let [bundle, crl] =
        ["ca/bundle.pem", "crl/bundle.pem"].map(|file| home.public(file).display().to_string());
    let [certificate, key] = ["server.crt", "server.key"].map(|file| home.path(file).display().to_string());
    let lines = lines.join("\n    ").replace("PORT", &port.to_string());
    // What stands before the mark is of the server with the location, and what follows of another one of the
    // same port.
    let (lines, others) = lines.split_once("DEFAULT").unwrap_or((&lines, ""));
    // Who takes anybody's certificate has no CRL for it.
    let crl = if lines.contains("optional_no_ca") {
        String::new()
    } else {
        format!("ssl_crl \"{crl}\";")
    };
    write!(
        text,
        r#"map $ssl_client_serial $revoked {{ default 0; include "{revoked}"; }}
map $ssl_client_serial $device {{ default "-"; include "{allowed}"; }}
server {{
    listen 127.0.0.1:{port} ssl http2;
    ssl_certificate "{certificate}";
    ssl_certificate_key "{key}";
    ssl_verify_depth 2;
    ssl_client_certificate "{bundle}";
    {crl}
    {lines}
    location / {{ return 200 "device=$device\n"; }}
{others}}}
}}
"#
    )
    .unwrap();
    text
}

#[test]
fn nothing_is_found_at_a_server_as_the_how_to_has_it() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    let nginx = Nginx::start(&home, &[MODERN, RESUMES, DEMANDS, DENIES]);
    let _follower = nginx.follow(&home);
    let begun = Instant::now();
    let said = check(&home, nginx.port(), &[]).exits(0);
    let took = begun.elapsed();
    assert_eq!(codes(&said), [""; 0], "{said}");
    assert_eq!(answers(&said, "versions"), ["TLS 1.2, TLS 1.3"]);
    assert_eq!(answers(&said, "weak_suites"), ["none"]);
    assert_eq!(answers(&said, "no_certificate"), ["refused (HTTP 400)"]);
    assert_eq!(answers(&said, "other_authority"), ["refused (HTTP 400)"]);
    assert_eq!(answers(&said, "self_signed"), ["refused (HTTP 400)"]);
    assert_eq!(answers(&said, "valid"), ["let in (HTTP 200)"]);
    let resumed = ["TLS 1.2", "TLS 1.3"].map(|version| format!("{version}: resumed, refused (HTTP 403)"));
    assert_eq!(answers(&said, "revoked_resumed"), resumed, "{said}");
    assert_eq!(answers(&said, "revoked_fresh").len(), 2);
    assert_eq!(answers(&said, "revoked_kept_alive").len(), 2);
    // By far: the bound is 3 s for the release build, on a machine that does nothing else.
    assert!(took < Duration::from_secs(20), "{took:?}");

    assert_eq!(answers(&said, "still_valid"), ["let in (HTTP 200)"]);

    // The canary and its control are in the ledger, revoked, and among no devices.
    assert_eq!(canaries(&home), ["revoked"; 2]);
    let listed = home.run(&["list"]).stdout;
    assert!(
        listed.contains("alice/phone") && !listed.contains("pki-check"),
        "{listed}"
    );
    let revoked = std::fs::read_to_string(home.server("revoked.map")).unwrap();
    assert_eq!(revoked.lines().count(), 2, "{revoked}");
    finish(&mut home.pki(&["audit", "verify"]), b"").ok();
}

#[test]
fn a_list_of_devices_is_waited_for() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    let nginx = Nginx::start(
        &home,
        &[
            MODERN,
            RESUMES,
            DEMANDS,
            DENIES,
            "if ($device = \"-\") { return 403; }",
        ],
    );
    let _follower = nginx.follow(&home);
    let said = check(&home, nginx.port(), &[]).exits(0);
    assert_eq!(answers(&said, "valid"), ["let in (HTTP 200)"]);
}

#[test]
fn resumption_without_the_map_is_a_hole() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    let nginx = Nginx::start(&home, &[MODERN, RESUMES, DEMANDS]);
    let _follower = nginx.follow(&home);
    let said = check(&home, nginx.port(), &[]).exits(3);
    assert_eq!(codes(&said), ["revoked-resumed"; 2], "{said}");
    assert!(said.stdout.contains("include revoked.map"), "{said}");
    assert_eq!(canaries(&home), ["revoked"; 2]);
}

#[test]
fn no_resumption_is_no_hole() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    let nginx = Nginx::start(
        &home,
        &[MODERN, "ssl_session_cache off; ssl_session_tickets off;", DEMANDS],
    );
    let _follower = nginx.follow(&home);
    let said = check(&home, nginx.port(), &[]).exits(0);
    let nothing = ["TLS 1.2", "TLS 1.3"].map(|version| format!("{version}: nothing to resume"));
    assert_eq!(answers(&said, "revoked_resumed"), nothing, "{said}");
}

#[test]
fn who_demands_no_certificate_or_anybodys_is_found() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    for (verify, found) in [
        (
            "ssl_verify_client off;",
            vec!["certificate-not-asked", "certificate-not-demanded"],
        ),
        ("ssl_verify_client optional;", vec!["certificate-not-demanded"]),
        (
            "ssl_verify_client optional_no_ca; if ($ssl_client_verify = NONE) { return 403; }",
            vec!["impostor-accepted"],
        ),
    ] {
        let nginx = Nginx::start(&home, &[MODERN, RESUMES, verify]);
        let said = check(&home, nginx.port(), &["--no-canary"]).exits(3);
        assert_eq!(codes(&said), found, "{verify}: {said}");
    }
    assert_eq!(canaries(&home), [""; 0]);
}

/// A serial number is no secret, and who has not checked the signature knows nothing else.
#[test]
fn a_list_of_serial_numbers_alone_keeps_no_stranger_out() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    let listed = "if ($device = \"-\") { return 403; }";
    let lines = [
        MODERN,
        "ssl_session_cache off; ssl_session_tickets off; ssl_verify_client optional_no_ca;",
        DENIES,
        listed,
    ];
    let nginx = Nginx::start(&home, &lines);
    let _follower = nginx.follow(&home);
    let said = check(&home, nginx.port(), &[]).exits(3);
    // While nginx follows, a worker of before may turn away by its old list who comes by one of the ways.
    let found = messages(&said, "impostor-accepted");
    let told =
        "who shows a stranger's certificate with a device's name and serial number is let in (HTTP 200)";
    assert!(!found.is_empty(), "{said}");
    assert!(found.iter().all(|found| found.starts_with(told)), "{said}");
    let answered = answers(&said, "copy");
    assert!(
        answered
            .iter()
            .any(|answer| answer.ends_with("let in (HTTP 200)")),
        "{said}"
    );
}

#[test]
fn old_versions_and_weak_suites_are_found_by_name() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    let rsa = ["-newkey", "rsa:2048"];
    self_signed(&home, "server", &format!("DNS:{HOST}"), 800, &rsa);
    let weak = "ssl_protocols TLSv1 TLSv1.1 TLSv1.2; ssl_ciphers ALL:NULL:aNULL:@SECLEVEL=0;";
    let nginx = Nginx::start(&home, &[weak, RESUMES, DEMANDS]);
    let said = check(&home, nginx.port(), &["--no-canary"]).exits(3);
    assert_eq!(
        codes(&said),
        ["old-protocol", "suites-broken", "suites-weak"],
        "{said}"
    );
    assert_eq!(answers(&said, "versions"), ["TLS 1.0, TLS 1.1, TLS 1.2"]);
    for suite in [
        "RSA_WITH_NULL_SHA256",
        "ECDH_anon_WITH_AES_128_CBC_SHA",
        "RSA_WITH_AES_128_GCM_SHA256",
    ] {
        assert!(said.stdout.contains(suite), "{suite}: {said}");
    }

    // What speaks nothing of today is told as such, and asked no more.
    let nginx = Nginx::start(
        &home,
        &["ssl_protocols TLSv1.1; ssl_ciphers ALL:@SECLEVEL=0;", DEMANDS],
    );
    let said = check(&home, nginx.port(), &[]).exits(3);
    assert_eq!(
        codes(&said),
        [
            "no-modern-protocol",
            "old-protocol",
            "suites-broken",
            "suites-weak"
        ],
        "{said}"
    );
}

#[test]
fn a_server_that_reads_no_publication_is_found() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    let nginx = Nginx::start(&home, &[MODERN, RESUMES, DEMANDS, DENIES]);
    let said = check(&home, nginx.port(), &["--patience", "1s"]).exits(3);
    assert_eq!(codes(&said), ["revoked-accepted"], "{said}");
    assert!(said.stdout.contains("the one before it ends on"), "{said}");
    assert_eq!(canaries(&home), ["revoked"; 2]);
}

#[test]
fn a_server_whose_crl_has_ended_lets_nobody_in() {
    if !need(&["nginx", "openssl", "faketime"]) {
        return;
    }
    let home = Home::staffed();
    // faketime itself would stay between, and not hand on what ends a server: it only says what it loads.
    let library = home
        .foreign(
            "faketime",
            &["-f", "+31d", "sh", "-c", "printf %s \"$LD_PRELOAD\""],
        )
        .ok();
    let mut command = program("nginx");
    command
        .env("LD_PRELOAD", library.stdout)
        .env("FAKETIME", "+31d")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let nginx = Nginx::start_in(&home, "nginx", &[MODERN, RESUMES, DEMANDS, DENIES], command);
    let url = super::url(nginx.port(), "/");
    let mut command = home.pki_at("+31d", &["check", &url, "--json", "--yes"]);
    let said = finish(command.args(super::arguments(nginx.port())), b"").exits(3);
    assert_eq!(codes(&said), ["issuing-crl-ended", "valid-refused"], "{said}");
}

#[test]
fn a_key_that_is_not_pinned_is_a_man_in_the_middle_and_is_shown_nothing() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    ServerCertificate::make(&home);
    home.run(&["server", "import", HOST, "--cert", "server.crt"]);
    let nginx = Nginx::start(&home, &[MODERN, RESUMES, DEMANDS, DENIES]);
    {
        let _follower = nginx.follow(&home);
        let said = check(&home, nginx.port(), &[]).exits(0);
        assert!(answers(&said, "pins")[0].starts_with("the active key"), "{said}");
    }
    drop(nginx);
    // Whoever stands between has a certificate that is as good, for another key.
    ServerCertificate::make(&home);
    let nginx = Nginx::start(&home, &[MODERN, RESUMES, DEMANDS, DENIES]);
    let said = check(&home, nginx.port(), &[]).exits(3);
    assert_eq!(codes(&said), ["man-in-the-middle"], "{said}");
    assert_eq!(answers(&said, "chain").len(), 1);
    assert_eq!(answers(&said, "no_certificate"), [""; 0]);
    assert_eq!(canaries(&home).len(), 2, "no canary is made for it");
}

#[test]
fn a_server_of_the_servers_ca_is_trusted_by_the_homes_root_and_known_by_its_pin() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    home.run(&["server", "add", HOST, "--out", "tls"]);
    home.run(&["server", "issue", HOST, "--out", "tls"]);
    for ending in ["crt", "key"] {
        let made = home.path(format!("tls/{HOST}.{ending}"));
        std::fs::copy(made, home.path(format!("server.{ending}"))).unwrap();
    }
    let nginx = Nginx::start(&home, &[MODERN, DEMANDS, DENIES]);
    let _follower = nginx.follow(&home);
    let url = super::url(nginx.port(), "/");
    let resolve = format!("{HOST}:{}:127.0.0.1", nginx.port());
    let check = ["check", &url, "--json", "--resolve", &resolve];
    let said = finish(&mut home.pki(&check), b"").ok();
    assert_eq!(codes(&said), [""; 0], "{said}");
    assert!(answers(&said, "pins")[0].starts_with("the active key"), "{said}");
    assert!(answers(&said, "chain")[0].starts_with("trusted"), "{said}");
    // The reserve takes over, and this server goes on with the old key: it retires, or is nobody's any more.
    let robbed = copy_of(&home);
    let rotate = ["server", "rotate", HOST, "--out", "tls", "--confirm", HOST];
    home.run(&rotate);
    let said = finish(home.pki(&check).arg("--no-canary"), b"").exits(3);
    assert!(answers(&said, "pins")[0].starts_with("a retiring key"), "{said}");
    assert_eq!(codes(&said), ["key-retiring"], "{said}");
    robbed.run(&[&rotate[..], &["--compromised"]].concat());
    let said = finish(robbed.pki(&check).arg("--no-canary"), b"").exits(3);
    assert_eq!(codes(&said), ["man-in-the-middle"], "{said}");
}

#[test]
fn a_chain_that_nobody_trusts_or_of_another_host_is_asked_nothing() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    let nginx = Nginx::start(&home, &[MODERN, RESUMES, DEMANDS, DENIES]);
    let port = nginx.port();
    let url = super::url(port, "/");
    let resolve = format!("{HOST}:{port}:127.0.0.1");
    let said = finish(
        &mut home.pki(&["check", &url, "--json", "--resolve", &resolve]),
        b"",
    )
    .exits(3);
    assert_eq!(codes(&said), ["chain-untrusted"], "{said}");
    assert!(
        said.stdout.contains("is self-signed: nobody vouches for it"),
        "{said}"
    );
    assert_eq!(answers(&said, "no_certificate"), [""; 0]);
    assert!(
        said.stderr
            .contains("no certificate shown: it is not known for the right one"),
        "{said}"
    );

    let (url, resolve) = (
        format!("https://www.acme.example:{port}/"),
        format!("www.acme.example:{port}:127.0.0.1"),
    );
    let said = finish(
        &mut home.pki(&[
            "check",
            &url,
            "--json",
            "--ca",
            "server.crt",
            "--resolve",
            &resolve,
        ]),
        b"",
    );
    assert_eq!(codes(&said.exits(3)), ["host-name"]);
    assert_eq!(canaries(&home), [""; 0]);
}

#[test]
fn a_certificate_near_its_end_or_past_it_is_found() {
    if !need(&["nginx", "openssl", "faketime"]) {
        return;
    }
    let home = Home::staffed();
    self_signed(&home, "server", &format!("DNS:{HOST}"), 3, &EC);
    let nginx = Nginx::start(&home, &[MODERN, RESUMES, DEMANDS, DENIES]);
    let said = check(&home, nginx.port(), &["--no-canary"]).exits(3);
    assert_eq!(codes(&said), ["certificate-ending"], "{said}");
    let url = super::url(nginx.port(), "/");
    let mut command = home.pki_at("+4d", &["check", &url, "--json", "--no-canary"]);
    let said = finish(command.args(super::arguments(nginx.port())), b"").exits(3);
    assert_eq!(codes(&said), ["certificate-ended"], "{said}");
}

#[test]
fn an_identity_of_ones_own_is_tried_without_a_home() {
    if !need(&["nginx", "openssl", "faketime"]) {
        return;
    }
    let home = Home::staffed();
    let nginx = Nginx::start(&home, &[MODERN, RESUMES, DEMANDS, DENIES]);
    let [leaf, chain, key] = home.opened(&home.alice());
    let both = format!(
        "{}{}",
        std::fs::read_to_string(leaf).unwrap(),
        std::fs::read_to_string(chain).unwrap()
    );
    let cert = home.write_private("alice.pem", &both).display().to_string();
    let key = key.display().to_string();
    let said = check(
        &home,
        nginx.port(),
        &["--home", "nowhere", "--cert", &cert, "--key", &key],
    )
    .exits(0);
    assert_eq!(answers(&said, "valid"), ["let in (HTTP 200)"]);
    assert_eq!(answers(&said, "revoked_fresh"), [""; 0]);
    assert_eq!(canaries(&home), [""; 0]);
    // By a clock that stands after its end: nginx, which lets it in, is told to be the one that is wrong.
    let url = super::url(nginx.port(), "/");
    let mut command = home.pki_at(
        "+120d",
        &["check", &url, "--json", "--home", "nowhere", "--cert", &cert],
    );
    let said = finish(
        command.args(["--key", &key]).args(super::arguments(nginx.port())),
        b"",
    )
    .exits(3);
    assert!(codes(&said).contains(&"ended-accepted".to_owned()), "{said}");
    assert_eq!(answers(&said, "valid"), [""; 0]);
    let said = check(&home, nginx.port(), &["--home", "nowhere"]).exits(1);
    assert!(said.stderr.contains("--no-canary"), "{said}");
    check(&home, nginx.port(), &["--home", "nowhere", "--no-canary"]).exits(0);
    home.run(&["revoke", "alice", "--yes", "--quiet"]);
}

#[test]
fn an_interrupt_waits_until_the_canary_is_revoked() {
    if !need(&PROGRAMS) {
        return;
    }
    use rustix::process::{Pid, Signal, kill_process};
    let home = Home::staffed();
    // It knows nobody, so that the canary waits to be let in.
    let nginx = Nginx::start(&home, &[MODERN, RESUMES, DEMANDS, "return 403;"]);
    let start = || {
        let mut command = home.pki(&["check", &super::url(nginx.port(), "/")]);
        command.args(super::arguments(nginx.port()));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let before = canaries(&home).len();
        let child = command.spawn().unwrap();
        crate::support::wait_until("a canary", || (canaries(&home).len() > before).then_some(()));
        std::thread::sleep(Duration::from_millis(300));
        child
    };
    let child = start();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert_eq!(canaries(&home), ["revoked"; 2]);

    // A kill leaves it; doctor tells, and its key is gone.
    let mut child = start();
    child.kill().unwrap();
    child.wait().unwrap();
    let said = finish(&mut home.pki(&["doctor", "--json"]), b"").exits(0);
    assert!(said.stdout.contains("\"canary\""), "{said}");
    assert_eq!(canaries(&home), ["revoked", "revoked", "valid", "valid"]);
    for of_the_killed in ["pki-check/canary", "pki-check/control"] {
        home.run(&["revoke", of_the_killed, "--yes"]);
    }
    assert_eq!(canaries(&home), ["revoked"; 4]);
}
