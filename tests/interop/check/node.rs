//! Node.js: what keeps connections alive, and what answers in odd ways.

use std::process::Stdio;

use super::{Follower, answers, canaries, check_path, codes};
use crate::support::{Home, Server, ServerCertificate, need, program};

/// Reads the publication anew on SIGHUP. Its second argument: whether it asks the list at each request
/// (`asks`), resumes each session but once and gives no other for it (`once`), or what it does once somebody
/// is revoked: it refuses every request, it closes every connection, or it does so for a second, as one that
/// starts anew.
const SERVER: &str = r#"
const fs = require("fs"), https = require("https"), { constants } = require("crypto");
const [home, asks, started] = process.argv.slice(2);
const read = (name) => fs.readFileSync(home + "/public/" + name);
const once = asks === "once" ? { maxVersion: "TLSv1.2", secureOptions: constants.SSL_OP_NO_TICKET } : {};
const context = () => ({
  cert: fs.readFileSync("server.crt"), key: fs.readFileSync("server.key"),
  ca: [read("ca/root.crt"), read("ca/issuing.crt")], crl: [read("crl/root.pem"), read("crl/issuing.pem")],
  requestCert: true, rejectUnauthorized: true, ...once,
});
const list = () => new Set(JSON.parse(fs.readFileSync(home + "/server/devices.json", "utf8")).devices.map((d) => d.serial));
let devices = list();
const revoked = () => fs.readFileSync(home + "/server/revoked.map", "utf8").split("\n").length;
const before = revoked();
let shut = () => false;
const readAgain = () => {
  server.setSecureContext(context()); devices = list();
  const since = revoked() > before ? Date.now() : Infinity;
  if (!shut()) shut = () => Date.now() >= since && (asks !== "restarts" || Date.now() < since + 1000);
};
const server = https.createServer(context(), (request, response) => {
  if (asks === "refuses" && shut()) {
    response.writeHead(403);
    return response.end("closed\n");
  }
  if (asks === "asks" && !devices.has(request.socket.getPeerCertificate().serialNumber)) {
    response.writeHead(403, { Connection: "close" });
    return response.end("locked out\n");
  }
  if (request.url === "/redirect") {
    response.writeHead(302, { Location: "http://127.0.0.1:1/" });
    return response.end();
  }
  if (request.url === "/endless") {
    response.writeHead(200, { "Content-Length": 2 ** 31 });
    const pour = () => { while (response.write(Buffer.alloc(1 << 16))) {} };
    response.on("drain", pour);
    return pour();
  }
  response.end("hello\n");
});
const sessions = new Map();
server.on("newSession", (id, session, done) => { if (asks === "once") sessions.set(id.toString("hex"), session); done(); });
server.on("resumeSession", (id, done) => {
  const session = sessions.get(id.toString("hex"));
  sessions.delete(id.toString("hex"));
  done(null, session || null);
});
server.on("connection", (socket) => { if (["closes", "restarts"].includes(asks) && shut()) socket.destroy(); });
process.on("SIGHUP", readAgain);
server.listen(0, "127.0.0.1", () => {
  fs.writeFileSync(started + ".new", String(server.address().port));
  fs.renameSync(started + ".new", started);
});
"#;

pub(super) fn start(home: &Home, asks: &str) -> (Server, Follower) {
    ServerCertificate::make(home);
    std::fs::write(home.path("server.cjs"), SERVER).unwrap();
    let started = home.path("node.port");
    let mut command = program("node");
    command.arg("server.cjs").arg(home.home()).arg(asks).arg(&started);
    command.current_dir(home.path("")).stdin(Stdio::null());
    let server = Server::telling_port(&mut command, &started).unwrap();
    let follower = Follower::of(home, server.pid());
    (server, follower)
}

#[test]
fn a_connection_that_is_kept_alive_is_a_hole_where_no_list_is_asked() {
    if !need(&["node", "openssl"]) {
        return;
    }
    let home = Home::staffed();
    let (node, follower) = start(&home, "trusts");
    let said = check_path(&home, node.port, "/", &[]).exits(3);
    assert_eq!(codes(&said), ["revoked-kept-alive"; 2], "{said}");
    assert!(said.stdout.contains("devices.json"), "{said}");
    drop((node, follower));

    let (node, _follower) = start(&home, "asks");
    let said = check_path(&home, node.port, "/", &[]).exits(0);
    assert_eq!(codes(&said), [""; 0], "{said}");
    let kept = answers(&said, "revoked_kept_alive");
    assert!(
        // Asked once more while the server was waited for, it has been refused already, and the connection
        // closed.
        kept.iter()
            .all(|answer| answer.ends_with("refused (HTTP 403)") || answer.ends_with("closed by the server")),
        "{said}"
    );
}

/// Who looks whether a session is resumed has used it.
#[test]
fn a_session_that_serves_once_is_a_hole_as_well() {
    if !need(&["node", "openssl"]) {
        return;
    }
    let home = Home::staffed();
    let (node, _follower) = start(&home, "once");
    let said = check_path(&home, node.port, "/", &[]).exits(3);
    assert_eq!(
        answers(&said, "revoked_resumed"),
        ["TLS 1.2: resumed, let in (HTTP 200)"],
        "{said}"
    );
    assert!(codes(&said).contains(&"revoked-resumed".to_owned()), "{said}");
}

#[test]
fn redirects_are_not_followed_and_no_body_is_read_to_its_end() {
    if !need(&["node", "openssl"]) {
        return;
    }
    let home = Home::staffed();
    let (node, _follower) = start(&home, "asks");
    for (path, status) in [("/redirect", 302), ("/endless", 200)] {
        // What has no end in reach says nothing of connections that are kept alive: that is no good news.
        let (code, found): (i32, &[&str]) = match path {
            "/endless" => (3, &["unclear"; 2]),
            _ => (0, &[]),
        };
        let said = check_path(&home, node.port, path, &[]).exits(code);
        assert_eq!(
            answers(&said, "valid"),
            [format!("let in (HTTP {status})")],
            "{said}"
        );
        assert_eq!(codes(&said), found, "{said}");
    }
}

/// Otherwise a server that reads a broken CRL, or goes down, would look like one that acts on the revocation.
#[test]
fn a_server_that_lets_in_nobody_any_more_is_found() {
    if !need(&["node", "openssl"]) {
        return;
    }
    for (way, told) in [("refuses", "HTTP 403"), ("closes", "connection closed")] {
        let home = Home::staffed();
        let (node, _follower) = start(&home, way);
        let said = check_path(&home, node.port, "/", &["--patience", "2s"]).exits(3);
        assert_eq!(codes(&said), ["shut-for-everyone"], "{way}: {said}");
        assert_eq!(
            answers(&said, "still_valid"),
            [format!("refused ({told})")],
            "{way}: {said}"
        );
        assert_eq!(canaries(&home), ["revoked"; 2], "{way}");
    }
}

/// It closes everything for a second when it is told of the CRL: that is waited for.
#[test]
fn a_server_that_starts_anew_for_each_publication_is_waited_for() {
    if !need(&["node", "openssl"]) {
        return;
    }
    let home = Home::staffed();
    let (node, _follower) = start(&home, "restarts");
    let said = check_path(&home, node.port, "/", &[]);
    assert_eq!(answers(&said, "still_valid"), ["let in (HTTP 200)"], "{said}");
    assert!(!codes(&said).contains(&"shut-for-everyone".to_owned()), "{said}");
    assert!(
        answers(&said, "revoked_fresh")
            .iter()
            .all(|answer| answer.contains("refused")),
        "{said}"
    );
}
