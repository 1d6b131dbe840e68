//! Connections that are kept alive by one protocol and not by another.

use std::process::Stdio;

use super::{Follower, answers, check, codes, messages};
use crate::support::{Home, Server, ServerCertificate, need, program};

/// Closes each connection of HTTP/1.1 after its answer, and none of HTTP/2. Reads the publication anew on
/// SIGHUP. Its second argument: whether it asks the list at each request (`asks`), or does so on connections
/// that resume no session (`resumed`), or closes those that stand, one of each version at once and the others
/// some seconds later, as an old process does that is in the midst of them (`ends`).
const SERVER: &str = r#"
const fs = require("fs"), http2 = require("http2");
const [home, asks, started] = process.argv.slice(2);
const read = (name) => fs.readFileSync(home + "/public/" + name);
const context = () => ({
  cert: fs.readFileSync("server.crt"), key: fs.readFileSync("server.key"),
  ca: [read("ca/root.crt"), read("ca/issuing.crt")], crl: [read("crl/root.pem"), read("crl/issuing.pem")],
  requestCert: true, rejectUnauthorized: true,
});
const list = () => new Set(JSON.parse(fs.readFileSync(home + "/server/devices.json", "utf8")).devices.map((d) => d.serial));
let devices = list();
const server = http2.createSecureServer({ ...context(), allowHTTP1: true }, (request, response) => {
  if (request.httpVersion === "1.1") response.setHeader("Connection", "close");
  const { serialNumber } = request.socket.getPeerCertificate();
  const isAsked = asks === "asks" || (asks === "resumed" && !request.socket.isSessionReused());
  response.statusCode = isAsked && !devices.has(serialNumber) ? 403 : 200;
  response.end(response.statusCode === 200 ? "hello\n".repeat(2000) : "locked out\n");
});
const sessions = new Set();
server.on("session", (session) => { sessions.add(session); session.on("close", () => sessions.delete(session)); });
process.on("SIGHUP", () => {
  server.setSecureContext(context());
  devices = list();
  const locked = [...sessions].filter(({ socket }) => !devices.has(socket?.getPeerCertificate().serialNumber));
  if (asks !== "ends") return;
  for (const version of ["TLSv1.2", "TLSv1.3"]) {
    const [first, ...others] = locked.filter(({ socket }) => socket?.getProtocol() === version);
    first?.destroy();
    setTimeout(() => others.forEach((session) => session.destroy()), 4000);
  }
});
server.listen(0, "127.0.0.1", () => {
  fs.writeFileSync(started + ".new", String(server.address().port));
  fs.renameSync(started + ".new", started);
});
"#;

fn start(home: &Home, asks: &str) -> (Server, Follower) {
    ServerCertificate::make(home);
    std::fs::write(home.path("kept.cjs"), SERVER).unwrap();
    let started = home.path("kept.port");
    let mut command = program("node");
    command.arg("kept.cjs").arg(home.home()).arg(asks).arg(&started);
    command.current_dir(home.path("")).stdin(Stdio::null());
    let server = Server::telling_port(&mut command, &started).unwrap();
    let follower = Follower::of(home, server.pid());
    (server, follower)
}

#[test]
fn a_connection_of_http_2_that_is_kept_is_a_hole_where_those_of_http_1_are_closed() {
    if !need(&["node", "openssl"]) {
        return;
    }
    let home = Home::staffed();
    let (server, follower) = start(&home, "trusts");
    let said = check(&home, server.port, &[]).exits(3);
    let found = messages(&said, "revoked-kept-alive");
    assert_eq!(found.len(), 2, "{said}");
    for (told, version) in found.iter().zip(["TLS 1.2", "TLS 1.3"]) {
        let place = format!("is let in on a {version} connection by h2");
        assert!(told.contains(&place) && !told.contains("http/1.1"), "{said}");
    }
    for told in answers(&said, "revoked_kept_alive") {
        assert!(told.contains("by http/1.1 closed by the server; by h2"), "{said}");
    }
    drop((server, follower));

    let (server, _follower) = start(&home, "asks");
    let said = check(&home, server.port, &[]).exits(0);
    assert_eq!(codes(&said), [""; 0], "{said}");
    let kept = answers(&said, "revoked_kept_alive");
    assert!(
        kept.iter().all(|told| told.contains("refused (HTTP 403)")),
        "{said}"
    );
}

#[test]
fn a_connection_that_is_kept_on_a_resumed_session_is_a_hole_where_others_are_not() {
    if !need(&["node", "openssl"]) {
        return;
    }
    let home = Home::staffed();
    let (server, _follower) = start(&home, "resumed");
    let said = check(&home, server.port, &[]).exits(3);
    let found = messages(&said, "revoked-kept-alive");
    assert_eq!(found.len(), 2, "{said}");
    for (told, version) in found.iter().zip(["TLS 1.2", "TLS 1.3"]) {
        let place = format!("is let in on a {version} connection by h2 on a resumed session that");
        assert!(told.contains(&place), "{said}");
    }
}

#[test]
fn a_connection_that_an_old_process_goes_on_with_is_waited_for() {
    if !need(&["node", "openssl"]) {
        return;
    }
    let home = Home::staffed();
    let (server, _follower) = start(&home, "ends");
    let said = check(&home, server.port, &[]).exits(0);
    assert_eq!(codes(&said), [""; 0], "{said}");
    for told in answers(&said, "revoked_kept_alive") {
        assert!(told.ends_with(": closed by the server"), "{said}");
    }
}
