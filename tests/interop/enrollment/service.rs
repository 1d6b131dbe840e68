//! The service as a process: killed, restored, reloaded, and told to end.

use std::process::Stdio;

use serde_json::json;

use super::status::ocsp;
use super::{Serving, TOOLS, kind_of};
use crate::support::{HOST, Home, ServerCertificate, free_port, need, wait_until};

#[test]
fn what_was_issued_is_published_by_a_service_that_was_killed_meanwhile() {
    let Some(mut serving) = Serving::start() else {
        return;
    };
    let invite = serving.invite(&["alice"]);
    let body = json!({ "secret": invite.word("secret"), "csr": serving.request("alice") });
    assert_eq!(serving.redeem(invite.word("id"), &body).0, 200);
    serving.server.signal(rustix::process::Signal::KILL);
    serving.server.end();
    let serial = serving.home.serial_of("alice/phone");
    assert!(!serving.is_published(&serial));
    let Some(serving) = Serving::of(serving.home) else {
        return;
    };
    assert!(
        serving.is_published(&serial),
        "it is there before anybody is answered"
    );
}

#[test]
fn a_home_from_an_older_backup_knows_what_was_published_before_it_answers() {
    if !need(&TOOLS) {
        return;
    }
    let home = Home::with_server();
    let web = home.path("web").display().to_string();
    home.configure_table(&format!(
        "[[publish]]\npublic = \"{web}/public\"\nserver = \"{web}/server\"\n"
    ));
    let port = free_port();
    home.configure("status", &format!("\"127.0.0.1:{port}\""));
    home.issue("bob", &[]);
    let bob = home.serial_of("bob/phone");
    let Some(serving) = Serving::of(home) else { return };
    let invite = serving.invite(&["alice"]);
    let backup = crate::support::copy_of(&serving.home);
    let body = |name: &str| json!({ "secret": invite.word("secret"), "csr": serving.request(name) });
    let (first, second) = (body("first"), body("second"));
    assert_eq!(serving.redeem(invite.word("id"), &first).0, 200);
    let alice = serving.home.serial_of("alice/phone");
    serving.home.run(&["revoke", "bob", "--yes"]);
    wait_until("the servers' lists", || {
        let list = std::fs::read_to_string(serving.home.path("web/server/allowed.map"));
        list.is_ok_and(|list| list.contains(&alice)).then_some(())
    });
    // The home of yesterday in its place, and what servers have as it is.
    let Serving { home, mut server, .. } = serving;
    server.end();
    for file in ["ledger.jsonl", "index"] {
        let place = home.home().join(file);
        let _ = std::fs::remove_dir_all(&place);
        let from = backup.home().join(file).display().to_string();
        home.foreign("cp", &["-a", &from, place.to_str().unwrap()]).ok();
    }
    let Some(serving) = Serving::of(home) else { return };
    assert!(ocsp(&serving.home, port, &bob, &[]).contains(": revoked"));
    // Nor is an invite open again that was used in what is lost.
    let (status, told) = serving.redeem(invite.word("id"), &second);
    assert_eq!((status, kind_of(&told).as_str()), (410, "invite-ended"), "{told}");
    let told = serving.log.text();
    assert!(
        told.contains("cancelled 1 open invite") && told.contains(invite.word("id")),
        "{told}"
    );
}

#[test]
fn a_new_certificate_of_the_page_is_used_without_a_dropped_connection() {
    let Some(serving) = Serving::start() else { return };
    let home = &serving.home;
    let shown = || {
        let address = format!("127.0.0.1:{}", serving.server.port);
        let asked = ["s_client", "-connect", &address, "-servername", HOST];
        let said = home.foreign("openssl", &asked);
        std::fs::write(home.path("shown.pem"), &said.stdout).unwrap();
        home.foreign("openssl", &["x509", "-in", "shown.pem", "-noout", "-fingerprint"])
            .ok()
            .stdout
    };
    let before = shown();
    // Half of a renewal is none: the key is another's for a moment.
    let key = std::fs::read(home.path("server.key")).unwrap();
    ServerCertificate::make(home);
    let new = std::fs::read(home.path("server.key")).unwrap();
    std::fs::write(home.path("server.key"), key).unwrap();
    serving.server.hang_up();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(shown(), before);
    std::fs::write(home.path("server.key"), new).unwrap();
    serving.server.hang_up();
    wait_until("the new certificate", || (shown() != before).then_some(()));
    let invite = serving.invite(&["alice"]);
    let body = json!({ "secret": invite.word("secret"), "csr": serving.request("alice") });
    assert_eq!(serving.redeem(invite.word("id"), &body).0, 200);
}

#[test]
fn systemd_is_told_when_everything_listens_and_the_service_ends_when_it_is_asked() {
    if !need(&TOOLS) {
        return;
    }
    let home = Home::with_server();
    let page = ServerCertificate::make(&home);
    for (key, file) in [("page_certificate", &page.certificate), ("page_key", &page.key)] {
        home.configure(key, &format!("\"{}\"", file.display()));
    }
    let port = free_port();
    home.configure("host", &format!("\"{HOST}:{port}\""));
    let socket = std::os::unix::net::UnixDatagram::bind(home.path("notify")).unwrap();
    socket
        .set_read_timeout(Some(std::time::Duration::from_secs(30)))
        .unwrap();
    let mut command = home.pki(&["serve", "--page", &format!("127.0.0.1:{port}")]);
    let mut child = command
        .env("NOTIFY_SOCKET", home.path("notify"))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut told = [0; 64];
    let length = socket.recv(&mut told).unwrap();
    assert_eq!(&told[..length], b"READY=1");
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&child),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
