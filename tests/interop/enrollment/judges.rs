//! What the service answers by OCSP and EST, as programs of others judge it: GnuTLS, nginx, Apache, Java and
//! Bouncy Castle.

use std::path::Path;
use std::process::Command;

use super::{Serving, later, with_est, with_status};
use crate::session::Client;
use crate::support::{Bundle, Finished, HOST, Home, Server, finish, need, program, wait_until};

#[test]
fn gnutls_reads_what_the_responder_says_and_that_it_may_say_so() {
    if !need(&["ocsptool"]) {
        return;
    }
    let Some((serving, port)) = with_status() else {
        return;
    };
    let home = &serving.home;
    let [alice, _, _] = home.opened(&home.issue("alice", &[])).map(|path| shown(&path));
    let ask = format!("--ask=http://127.0.0.1:{port}/ocsp");
    let issuing = "home/public/ca/issuing.crt";
    let asked = |more: &[&str]| {
        let all = [&[&ask, "--load-issuer", issuing, "--load-cert", &alice], more].concat();
        home.foreign("ocsptool", &all)
    };
    // With the CA as the signer, or as whom to trust: then it looks for the signer in the answer.
    let ways = [
        &["--load-signer", issuing][..],
        &["--load-trust", issuing],
        &["--load-trust", issuing, "--nonce"],
    ];
    for way in ways {
        let said = asked(way).ok().stdout;
        assert!(
            said.contains("Certificate Status: good") && said.contains("Verifying OCSP Response: Success."),
            "{way:?}: {said}"
        );
        assert_eq!(said.contains("Nonce: "), way.contains(&"--nonce"), "{said}");
    }
    // It is a judge that finds fault.
    asked(&["--load-signer", "home/public/ca/root.crt"]).exits(1);
    home.run(&["revoke", "alice", "--yes", "--reason", "stolen"]);
    for way in ways {
        let said = asked(way).ok().stdout;
        assert!(
            said.contains("Certificate Status: revoked")
                && said.contains("Verifying OCSP Response: Success."),
            "{way:?}: {said}"
        );
    }
}

#[test]
fn nginx_asks_the_responder_and_lets_a_revoked_device_in_no_more() {
    if !need(&["nginx"]) {
        return;
    }
    let Some((serving, port)) = with_status() else {
        return;
    };
    a_revoked_device_is_refused_by_whom_asks(&serving, "phone", |name, asks| {
        let ocsp = format!("ssl_ocsp leaf;\nssl_ocsp_responder http://127.0.0.1:{port}/ocsp;\n");
        let ocsp = if asks { &ocsp } else { "" };
        nginx(&serving.home, name, |_| {
            format!(
                "ssl_protocols TLSv1.2 TLSv1.3;\nssl_verify_client on;\nssl_verify_depth 2;\nssl_client_certificate home/public/ca/bundle.pem;\n{ocsp}return 200 in;\n"
            )
        })
    });
}

#[test]
fn apache_asks_the_responder_with_a_nonce_and_without_one() {
    if !need(&["apache2"]) {
        return;
    }
    let Some((serving, port)) = with_status() else {
        return;
    };
    for nonce in ["on", "off"] {
        a_revoked_device_is_refused_by_whom_asks(&serving, nonce, |name, asks| {
            // A session that is resumed is asked about no more.
            let ocsp = format!(
                "SSLSessionTickets off\nSSLOCSPEnable leaf\nSSLOCSPDefaultResponder http://127.0.0.1:{port}/ocsp\nSSLOCSPOverrideResponder on\n\
                 SSLOCSPUseRequestNonce {nonce}\n"
            );
            apache(&serving.home, name, if asks { &ocsp } else { "" })
        });
    }
}

#[test]
fn java_takes_a_device_for_valid_until_the_responder_says_revoked() {
    if !need(&["java", "javac"]) {
        return;
    }
    let Some((serving, port)) = with_status() else {
        return;
    };
    let home = &serving.home;
    let [alice, _, _] = home.opened(&home.issue("alice", &[])).map(|path| shown(&path));
    let [bob, _, _] = home.opened(&home.issue("bob", &[])).map(|path| shown(&path));
    home.run(&["revoke", "bob", "--yes", "--reason", "stolen"]);
    let url = format!("http://127.0.0.1:{port}/ocsp");
    let judged = |leaf: &str| {
        let mut command = java(home);
        command.arg("-Djdk.security.certpath.ocspNonce=true");
        command.args([&java_source("Status.java"), &url]);
        command.args(["home/public/ca/root.crt", leaf, "home/public/ca/issuing.crt"]);
        finish(&mut command, b"").ok().stdout
    };
    assert_eq!(judged(&alice), "valid\n");
    let said = judged(&bob);
    assert!(
        said.starts_with("REVOKED: ") && said.contains("KEY_COMPROMISE"),
        "{said}"
    );
}

#[test]
fn bouncy_castle_enrolls_by_an_invite_and_renews_by_its_certificate() {
    if !need(&["java", "javac", "faketime", BOUNCY_CASTLE[0]]) {
        return;
    }
    let Some((serving, port)) = with_est() else { return };
    let invite = serving.invite(&["alice", "--days", "90"]);
    let right = format!("{}:{}", invite.word("id"), invite.word("secret"));
    let said = bouncy_castle(&serving, port, &right).ok().stdout;
    let first = serving.home.serial_of("alice/phone");
    let expected = [
        "CA O=Acme Ltd,CN=Acme Ltd Root CA",
        "CA O=Acme Ltd,CN=Acme Ltd Issuing CA",
        // id-ecPublicKey, ecdsa-with-SHA256
        "wanted 1.2.840.10045.2.1",
        "wanted 1.2.840.10045.4.3.2",
        &format!("certificate {first}"),
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
    let early = bouncy_castle(&serving, port, "").exits(1);
    assert!(early.stderr.contains("HTTP Status Code: 403"), "{early}");

    let Some((serving, port)) = later(serving, "+65d") else {
        return;
    };
    let said = bouncy_castle(&serving, port, "").ok().stdout;
    let second = said.trim().strip_prefix("certificate ").unwrap();
    assert_ne!(second, first);
    wait_until("the publication", || serving.is_published(second).then_some(()));
}

const BOUNCY_CASTLE: [&str; 3] = [
    "/usr/share/java/bcpkix.jar",
    "/usr/share/java/bcprov.jar",
    "/usr/share/java/bcutil.jar",
];

/// Bouncy Castle as the device of `device.p12`. Its clock stays where it is: Java takes half a minute with
/// one that is not its own.
fn bouncy_castle(serving: &Serving, port: u16, invite: &str) -> Finished {
    let home = &serving.home;
    let mut command = java(home);
    command.args(["-cp", &BOUNCY_CASTLE.join(":")]);
    command.arg(java_source("Enroll.java"));
    command.args([&format!("{HOST}:{port}"), "home/public/ca/root.crt", "device.p12"]);
    finish(&mut command, invite.as_bytes())
}

/// How Java starts fastest: its second compiler is for what runs longer than this.
pub const SHORT_LIVED: &str = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC";

/// Java, which finds the service by its name.
pub fn java(home: &Home) -> Command {
    std::fs::write(home.path("hosts"), format!("127.0.0.1 {HOST}\n")).unwrap();
    let mut command = program("java");
    command
        .args(SHORT_LIVED.split(' '))
        .arg("-Djdk.net.hosts.file=hosts");
    command.current_dir(home.path(""));
    command
}

/// A program in Java, which Java compiles as it starts it.
fn java_source(name: &str) -> String {
    format!("{}/tests/data/java/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The story of two servers that demand certificates, of which one asks the responder: `start` is given a
/// name for its files, and which of the two it is to start. The devices are called so.
fn a_revoked_device_is_refused_by_whom_asks(
    serving: &Serving,
    device: &str,
    start: impl Fn(&str, bool) -> Server,
) {
    let home = &serving.home;
    let (asking, control) = (start("asking", true), start("control", false));
    let enters = |server: &Server, bundle: &Bundle| server.curl(home, Some(bundle), "/in").0 == Some(200);
    let [lost, kept] = ["alice", "bob"].map(|who| home.issue(&format!("{who}/{device}"), &[]));
    for server in [&asking, &control] {
        assert!(enters(server, &lost) && enters(server, &kept));
    }
    let versions = ["-tls1_2", "-tls1_3"];
    let client = |version| Client::new(home, &asking, &lost, version);
    let sessions = versions.map(|version| home.path(format!("session{version}")));
    for (version, session) in versions.iter().zip(&sessions) {
        client(version).begin(session);
    }
    home.run(&["revoke", &format!("alice/{device}"), "--yes"]);
    assert!(!enters(&asking, &lost) && enters(&asking, &kept));
    for (version, session) in versions.iter().zip(&sessions) {
        let seen = client(version).resume(session, "/in");
        assert_ne!(seen.status, Some(200), "{version}: {seen:?}");
    }
    assert!(
        enters(&control, &lost),
        "something else than the responder keeps her out"
    );
}

/// nginx, with these directives for its server on a port.
pub fn nginx(home: &Home, name: &str, directives: impl Fn(u16) -> String) -> Server {
    let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {name}-{kind};\n"))
        .concat();
    let started = Server::on_free_port(|port| {
        let text = format!(
            "daemon off;\nworker_processes 1;\npid {name}.pid;\nevents {{ worker_connections 64; }}\nhttp {{\naccess_log off;\n{temp}\
             server {{\nlisten 127.0.0.1:{port} ssl;\nssl_certificate server.crt;\nssl_certificate_key server.key;\n{}}}\n}}\n",
            directives(port)
        );
        let mut command = program("nginx");
        command.arg("-p").arg(home.path(""));
        command.args(["-e", &format!("{name}.log"), "-c"]);
        command.arg(home.write_private(format!("{name}.conf"), &text));
        command
    });
    started.unwrap_or_else(|| panic!("nginx does not start: {}", log(home, name)))
}

/// Apache, with more directives for its virtual host.
fn apache(home: &Home, name: &str, directives: &str) -> Server {
    std::fs::write(home.path("in"), "in").unwrap();
    let modules = ["mpm_event", "authz_core", "ssl", "socache_shmcb"]
        .map(|module| format!("LoadModule {module}_module /usr/lib/apache2/modules/mod_{module}.so\n"))
        .concat();
    let started = Server::on_free_port(|port| {
        let text = format!(
            "{modules}ServerName localhost\nSSLSessionCache none\nPidFile {name}.pid\nListen 127.0.0.1:{port}\nErrorLog {name}.log\nDocumentRoot \"{root}\"\n\
             <VirtualHost 127.0.0.1:{port}>\nSSLEngine on\nSSLCertificateFile server.crt\nSSLCertificateKeyFile server.key\n\
             SSLCACertificateFile home/public/ca/bundle.pem\nSSLVerifyClient require\nSSLVerifyDepth 2\n{directives}</VirtualHost>\n",
            root = home.path("").display(),
        );
        home.write_private(format!("{name}.conf"), &text);
        let mut command = program("apache2");
        command.arg("-d").arg(home.path(""));
        command.args(["-f", &format!("{name}.conf"), "-D", "FOREGROUND"]);
        command
    });
    started.unwrap_or_else(|| panic!("apache2 does not start: {}", log(home, name)))
}

fn log(home: &Home, name: &str) -> String {
    std::fs::read_to_string(home.path(format!("{name}.log"))).unwrap_or_default()
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
