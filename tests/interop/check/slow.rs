//! Servers that are slow on purpose: all of it ends within a minute, and what was not asked is said not to
//! have been.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::{answers, canaries, check, messages};
use crate::support::{Home, Server, ServerCertificate, need, program, soak};

/// Demands a certificate. `heads`: drips its answers, one octet a second. `handshakes`: drips what it says in
/// the handshake. `pauses`: takes two seconds over each answer. `later`: drips its answers from when the file
/// of its last argument is there.
const SLOW: &str = r#"
import os, socket, ssl, sys, threading, time
mode, bundle, port_file, mark = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("server.crt", "server.key")
context.load_verify_locations(bundle)
context.verify_mode = ssl.CERT_REQUIRED

def drip(send, octets, pause):
    for octet in octets:
        send(bytes([octet]))
        time.sleep(pause)

def answer(connection):
    tls = context.wrap_socket(connection, server_side=True)
    tls.recv(4096)
    text = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    if mode == "heads" or (mode == "later" and os.path.exists(mark)):
        drip(tls.send, text, 1)
    else:
        time.sleep(2 if mode == "pauses" else 0)
        tls.send(text)
    tls.close()

def shake(connection):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    while True:
        incoming.write(connection.recv(4096))
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        drip(connection.send, outgoing.read(), 0.03)

def serve(connection):
    try:
        shake(connection) if mode == "handshakes" else answer(connection)
    except OSError:
        pass

listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(100)
with open(port_file + ".new", "w") as file:
    file.write(str(listener.getsockname()[1]))
os.rename(port_file + ".new", port_file)
while True:
    connection, _ = listener.accept()
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
"#;

fn slow(home: &Home, mode: &str) -> Server {
    ServerCertificate::make(home);
    std::fs::write(home.path("slow.py"), SLOW).unwrap();
    let started = home.path("slow.port");
    let mut command = program("python3");
    command
        .arg("slow.py")
        .arg(mode)
        .arg(home.public("ca/bundle.pem"))
        .arg(&started);
    // It is there once the canary is.
    command.arg(home.path("slow.mark"));
    command
        .current_dir(home.path(""))
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    Server::telling_port(&mut command, &started).unwrap()
}

/// What `check` promises with its usual patience, which is 30 s: 25 s for asking, and some for what is taken
/// back.
const MINUTE: Duration = Duration::from_secs(60);

/// A server is waited for as long as somebody is patient, and then left. To see that, a second is as good as
/// the usual patience, which is for `make soak`. Says how long all of it may take.
fn patience() -> (&'static [&'static str], Duration) {
    if soak() {
        (&[], MINUTE)
    } else {
        (&["--patience", "1s"], MINUTE - Duration::from_secs(30 - 1))
    }
}

#[test]
fn a_server_that_drips_its_answers_is_left_in_time_and_not_said_to_be_well() {
    a_server_that_drips_is_left_in_time_and_not_said_to_be_well("heads", "no answer within 10 s");
}

#[test]
fn a_server_that_drips_its_handshakes_is_left_in_time_and_not_said_to_be_well() {
    // The versions alone take longer than whoever has a second's patience has time.
    let told = if soak() {
        "no answer within 10 s"
    } else {
        "the time for this server is up"
    };
    a_server_that_drips_is_left_in_time_and_not_said_to_be_well("handshakes", told);
}

fn a_server_that_drips_is_left_in_time_and_not_said_to_be_well(mode: &str, told: &str) {
    if !need(&["python3", "openssl"]) {
        return;
    }
    let home = Home::staffed();
    let server = slow(&home, mode);
    let (patience, limit) = patience();
    let begun = Instant::now();
    let said = check(&home, server.port, patience).exits(3);
    assert!(begun.elapsed() < limit, "{:?}", begun.elapsed());
    let unclear = messages(&said, "unclear");
    assert!(unclear.iter().any(|message| message.contains(told)), "{said}");
    assert!(!said.stderr.contains("nothing is wrong"), "{said}");
    assert!(!canaries(&home).contains(&"valid".to_owned()));
}

/// It answers well until the canary is shown: then the time runs out on the way, and the canary is revoked
/// all the same.
#[test]
fn what_was_issued_is_revoked_when_the_time_is_up() {
    if !need(&["python3", "openssl"]) {
        return;
    }
    let home = Home::staffed();
    let server = slow(&home, "later");
    let mark = home.path("slow.mark");
    let ledger = home.home().join("ledger.jsonl");
    let begun = Instant::now();
    let said = std::thread::scope(|scope| {
        let examination = scope.spawn(|| check(&home, server.port, &[]));
        // Once it has let in both, it begins to drip.
        crate::support::wait_until("a canary", || {
            std::fs::read_to_string(&ledger)
                .unwrap()
                .contains("pki-check/canary")
                .then_some(())
        });
        std::fs::write(&mark, "").unwrap();
        examination.join().unwrap()
    });
    assert!(begun.elapsed() < MINUTE, "{:?}", begun.elapsed());
    let said = said.exits(3);
    assert!(!messages(&said, "unclear").is_empty(), "{said}");
    assert_eq!(canaries(&home), ["revoked"; 2], "{said}");
}

/// The time runs out while the canary gathers sessions: whether the server acts on its revocation was not
/// seen, and it is not waited for any longer.
#[test]
fn a_server_that_there_was_no_time_to_ask_is_not_said_to_have_acted_or_not() {
    if !need(&["python3", "openssl"]) {
        return;
    }
    let home = Home::staffed();
    let server = slow(&home, "pauses");
    let patience = if soak() { 10 } else { 1 };
    let begun = Instant::now();
    let said = check(&home, server.port, &["--patience", &format!("{patience}s")]).exits(3);
    // 25 s for asking, some for waiting, and less than ten more for what is taken back.
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(25 + patience + 9), "{took:?}");
    let told = "whether a revoked device is refused was not asked: the server took too long over the rest";
    assert!(messages(&said, "unclear").contains(&told.to_owned()), "{said}");
    let [seen] = answers(&said, "new_crl").try_into().unwrap();
    assert!(seen.ends_with("not seen, the time was up"), "{said}");
    assert_eq!(messages(&said, "revoked-accepted"), [""; 0], "{said}");
    assert_eq!(canaries(&home), ["revoked"; 2], "{said}");
}
