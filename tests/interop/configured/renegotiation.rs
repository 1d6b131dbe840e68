//! A second handshake on a connection that stands, which TLS 1.2 has and TLS 1.3 has not. It costs a server
//! more than a client: who asks for one is heard no more.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use super::HOST;
use super::servers::{Kind, Running};
use crate::support::{Home, program};

on_every_server!(a_connection_has_no_second_handshake);

fn a_connection_has_no_second_handshake(kind: Kind, home: &Home) {
    let running = Running::start(kind, home);
    let said = ask(home, &running, Asks::AtOnce);
    assert!(said.contains("device=[alice/phone]"), "{said}: {}", running.log());
    let said = ask(home, &running, Asks::AfterASecondHandshake);
    assert!(
        said.contains("RENEGOTIATING") && !said.contains("device="),
        "{said}: {}",
        running.log()
    );
}

/// When alice's phone makes its request.
#[derive(PartialEq, Eq)]
enum Asks {
    AtOnce,
    AfterASecondHandshake,
}

/// What `s_client` says, until the server has closed the connection.
fn ask(home: &Home, running: &Running, asks: Asks) -> String {
    let [leaf, chain, key] = home.opened(&home.alice());
    // What it does is told on stderr, and what it hears on stdout.
    let script = r#"exec timeout 30 openssl s_client -tls1_2 "$@" 2>&1"#;
    let mut command = program("sh");
    command.args(["-c", script, "sh", "-servername", HOST, "-connect"]);
    command.arg(format!("127.0.0.1:{}", running.server.port));
    for (flag, file) in [("-cert", leaf), ("-cert_chain", chain), ("-key", key)] {
        command.arg(flag).arg(file);
    }
    let mut client = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut writes = client.stdin.take().unwrap();
    let mut reads = BufReader::new(client.stdout.take().unwrap());
    let mut said = String::new();
    // A client that has been turned away no longer reads.
    let mut write = |text: &str| writes.write_all(text.as_bytes()).is_ok();
    let mut told = |words: &str| {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            if reads.read_line(&mut line).unwrap() == 0 {
                break;
            }
            said.push_str(&line);
        }
    };
    told("Verify return code");
    if asks == Asks::AfterASecondHandshake {
        assert!(write("R\n"));
        told("RENEGOTIATING");
    }
    write(&format!(
        "GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
    ));
    reads.read_to_string(&mut said).unwrap();
    client.wait().unwrap();
    said
}
