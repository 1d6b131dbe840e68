//! nginx with mutual TLS, both CRLs and the maps of a publication; curl and `openssl s_client` as the phones.

use std::fmt::Write;

use crate::session::{Client, Seen};
use crate::support::{
    Bundle, Finished, Home, Server, ServerCertificate, finish, free_port, need, program, wait_until,
};

const PROGRAMS: [&str; 4] = ["nginx", "curl", "openssl", "timeout"];

#[test]
fn every_issued_phone_gets_in_and_is_known_by_its_address_and_serial() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    let nginx = Nginx::start(&home);
    for (bundle, address) in [(home.alice(), "alice/phone"), (home.bob(), "bob/phone")] {
        let (status, said) = nginx.curl(&home, Some(&bundle), "/");
        assert_eq!(status, Some(200), "{address}: {said}");
        let known = format!("device={address} serial={} revoked=0", bundle.serial);
        assert!(said.stdout.contains(&known), "{known}: {said}");
    }
}

#[test]
fn nobody_gets_in_without_a_certificate() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    let nginx = Nginx::start(&home);
    let (status, said) = nginx.curl(&home, None, "/");
    assert_eq!(status, Some(400), "{said}");
}

#[test]
fn a_certificate_of_another_authority_of_the_same_name_does_not_get_in() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    let other_home = Home::bare();
    let stranger = other_home.issue("alice", &["--name", "Alice Doe"]);
    let nginx = Nginx::start(&home);
    let (status, said) = nginx.curl(&home, Some(&stranger), "/");
    assert_eq!(status, Some(400), "{said}");
}

#[test]
fn a_revoked_phone_is_refused_after_a_reload_and_the_others_are_not() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    let nginx = Nginx::start(&home);
    nginx.lets_in(&home, &home.alice());
    home.run(&["revoke", "alice", "--yes"]);
    nginx.reload(&home);
    let (status, said) = nginx.curl(&home, Some(&home.alice()), "/");
    assert_eq!(status, Some(400), "{said}");
    assert!(
        nginx.log(&home).contains("(23:certificate revoked)"),
        "{}",
        nginx.log(&home)
    );
    let (status, said) = nginx.curl(&home, Some(&home.bob()), "/");
    assert_eq!(status, Some(200), "{said}");
}

#[test]
fn a_revoked_phone_is_refused_on_a_resumed_session_of_tls_1_2() {
    refused_on_a_resumed_session("-tls1_2");
}

#[test]
fn a_revoked_phone_is_refused_on_a_resumed_session_of_tls_1_3() {
    refused_on_a_resumed_session("-tls1_3");
}

/// A resumed session skips the CRL: the location without the map shows the hole, and the map closes it.
fn refused_on_a_resumed_session(version: &'static str) {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    let nginx = Nginx::start(&home);
    let alice = Client::new(&home, &nginx, &home.alice(), version);
    let bob = Client::new(&home, &nginx, &home.bob(), version);
    let sessions = ["one", "two", "three"].map(|name| home.path(format!("alice-{name}.session")));
    for session in &sessions {
        assert_eq!(
            alice.begin(session),
            Seen {
                status: Some(200),
                reused: false
            }
        );
    }
    let session_of_bob = home.path("bob.session");
    assert_eq!(
        bob.begin(&session_of_bob),
        Seen {
            status: Some(200),
            reused: false
        }
    );
    assert_eq!(
        alice.resume(&sessions[0], "/"),
        Seen {
            status: Some(200),
            reused: true
        }
    );

    home.run(&["revoke", "alice", "--yes", "--reason", "stolen"]);
    nginx.reload(&home);
    assert_eq!(
        alice.resume(&sessions[1], "/no-map"),
        Seen {
            status: Some(200),
            reused: true
        },
        "no hole to close"
    );
    assert_eq!(
        alice.resume(&sessions[2], "/"),
        Seen {
            status: Some(403),
            reused: true
        }
    );
    assert_eq!(
        bob.resume(&session_of_bob, "/"),
        Seen {
            status: Some(200),
            reused: true
        }
    );
}

#[test]
fn offboarding_locks_out_every_device_of_the_person() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    let tablet = home.issue("alice/tablet", &[]);
    let nginx = Nginx::start(&home);
    nginx.lets_in(&home, &tablet);
    home.run(&["offboard", "alice", "--confirm", "alice"]);
    nginx.reload(&home);
    for bundle in [home.alice(), tablet] {
        let (status, said) = nginx.curl(&home, Some(&bundle), "/");
        assert_eq!(status, Some(400), "{said}");
    }
    nginx.lets_in(&home, &home.bob());
}

#[test]
fn after_a_renewal_both_certificates_get_in_and_with_revoke_old_only_the_new_one() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    let nginx = Nginx::start(&home);
    let renewed = home.renew("alice", &[]);
    let renewed_bob = home.renew("bob", &["--revoke-old"]);
    nginx.reload(&home);
    let statuses =
        [home.alice(), renewed, home.bob(), renewed_bob].map(|b| nginx.curl(&home, Some(&b), "/").0);
    assert_eq!(statuses, [Some(200), Some(200), Some(400), Some(200)]);
}

/// An nginx of its own: its process, its files, its port.
struct Nginx(Server);

impl Nginx {
    /// Starts one that reads the home's own publication.
    fn start(home: &Home) -> Self {
        let certificate = ServerCertificate::make(home);
        for directory in ["nginx", "nginx/temp"] {
            std::fs::create_dir(home.path(directory)).unwrap();
        }
        // Between the choice of a port and its use another program may take it.
        for _ in 0..10 {
            let port = free_port();
            std::fs::write(
                home.path("nginx/nginx.conf"),
                configuration(home, &certificate, port),
            )
            .unwrap();
            let pid = home.path("nginx/nginx.pid");
            // The file is written when the ports are taken.
            let ready = || {
                std::fs::read_to_string(&pid)
                    .is_ok_and(|pid| !pid.trim().is_empty())
                    .then_some(port)
            };
            if let Some(server) = Server::start(&mut nginx(home), ready) {
                return Self(server.with_workers());
            }
            let log = log(home);
            assert!(
                log.contains("Address already in use"),
                "nginx does not start: {log}"
            );
        }
        panic!("no port is free");
    }

    /// Reloads, and waits until nobody is served with the old configuration any more.
    fn reload(&self, home: &Home) {
        let mut test = nginx(home);
        test.arg("-t");
        finish(&mut test, b"").ok();
        let exits = || log(home).matches("exited with code 0").count();
        let before = exits();
        self.0.hang_up();
        wait_until("nginx to reload", || (exits() > before).then_some(()));
    }

    fn curl(&self, home: &Home, bundle: Option<&Bundle>, path: &str) -> (Option<u16>, Finished) {
        self.0.curl(home, bundle, path)
    }

    fn log(&self, home: &Home) -> String {
        log(home)
    }
}

impl std::ops::Deref for Nginx {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

fn nginx(home: &Home) -> std::process::Command {
    let mut command = program("nginx");
    let prefix = home.path("nginx");
    command
        .arg("-p")
        .arg(&prefix)
        .args(["-e", "error.log", "-c", "nginx.conf"])
        .current_dir(prefix);
    command.stdin(std::process::Stdio::null());
    command
}

fn log(home: &Home) -> String {
    std::fs::read_to_string(home.path("nginx/error.log")).unwrap_or_default()
}

fn configuration(home: &Home, certificate: &ServerCertificate, port: u16) -> String {
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
    let (server, key) = (certificate.certificate.display(), certificate.key.display());
    // Session tickets off: what is resumed is in the shared cache, which stays over a reload in every version
    // of nginx.
    write!(
        text,
        r#"map $ssl_client_serial $revoked {{ default 0; include "{revoked}"; }}
map $ssl_client_serial $device {{ default "unknown"; include "{allowed}"; }}
server {{
    listen 127.0.0.1:{port} ssl;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_certificate "{server}";
    ssl_certificate_key "{key}";
    ssl_verify_client on;
    ssl_verify_depth 2;
    ssl_client_certificate "{bundle}";
    ssl_crl "{crl}";
    ssl_session_cache shared:devices:1m;
    ssl_session_timeout 1h;
    ssl_session_tickets off;
    location / {{
        if ($revoked) {{ return 403; }}
        return 200 "device=$device serial=$ssl_client_serial revoked=$revoked\n";
    }}
    location /no-map {{ return 200 "device=$device\n"; }}
}}
}}
"#
    )
    .unwrap();
    text
}
