//! A Node.js `https` server that demands a certificate, with the CRLs as an array and `devices.json` as the
//! list of who is who.

use std::process::Stdio;

use crate::session::{Client, Seen};
use crate::support::{Home, Server, ServerCertificate, need, program, wait_until};

const PROGRAMS: [&str; 4] = ["node", "curl", "openssl", "timeout"];

/// Loads the publication anew on SIGHUP. Tickets are encrypted with one key all along: a session outlives the
/// new CRL.
const SERVER: &str = r#"
const fs = require("fs"), https = require("https"), crypto = require("crypto");
const [publicDirectory, serverDirectory, started] = process.argv.slice(2);
const read = (name) => fs.readFileSync(publicDirectory + "/" + name);
const ticketKeys = crypto.randomBytes(48);
const context = () => ({
  cert: fs.readFileSync("server.crt"), key: fs.readFileSync("server.key"),
  ca: [read("ca/root.crt"), read("ca/issuing.crt")],
  crl: [read("crl/root.pem"), read("crl/issuing.pem")],
  requestCert: true, rejectUnauthorized: true, sessionIdContext: "devices", ticketKeys,
});
let devices;
const load = () => {
  const list = JSON.parse(fs.readFileSync(serverDirectory + "/devices.json", "utf8")).devices;
  devices = new Map(list.map((device) => [device.serial, device]));
};
load();
const server = https.createServer(context(), (request, response) => {
  const peer = request.socket.getPeerCertificate();
  const device = devices.get(peer.serialNumber);
  const found = device && device.status === "valid"
    && device["x5t#S256"] === crypto.createHash("sha256").update(peer.raw).digest("base64url")
    && device.spki_sha256 === crypto.createHash("sha256").update(
      new crypto.X509Certificate(peer.raw).publicKey.export({ type: "spki", format: "der" })).digest("base64");
  response.writeHead(found || request.url === "/no-list" ? 200 : 403, { Connection: "close" });
  response.end(found ? `device=${device.address} serial=${peer.serialNumber}\n` : "not on the list\n");
});
server.on("tlsClientError", (error, socket) => console.error(socket.authorizationError));
process.on("SIGHUP", () => {
  server.setSecureContext(context());
  load();
  fs.writeFileSync(started + ".reloaded", "");
});
server.listen(0, "127.0.0.1", () => {
  fs.writeFileSync(started + ".new", String(server.address().port));
  fs.renameSync(started + ".new", started);
});
"#;

#[test]
fn every_issued_phone_gets_in_and_is_found_in_the_device_list() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    let node = start(&home);
    for (bundle, address) in [(home.alice(), "alice/phone"), (home.bob(), "bob/phone")] {
        let (status, said) = node.curl(&home, Some(&bundle), "/");
        assert_eq!(status, Some(200), "{address}: {said}");
        assert!(
            said.stdout
                .contains(&format!("device={address} serial={}", bundle.serial)),
            "{said}"
        );
    }
}

#[test]
fn nobody_gets_in_without_a_certificate() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    let node = start(&home);
    let (status, said) = node.curl(&home, None, "/");
    assert_eq!(status, None, "{said}");
}

#[test]
fn a_revoked_phone_is_refused_by_the_crl_and_the_others_are_not() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    let node = start(&home);
    node.lets_in(&home, &home.alice());
    home.run(&["revoke", "alice", "--yes"]);
    reload(&home, &node);
    let (status, said) = node.curl(&home, Some(&home.alice()), "/no-list");
    assert_eq!(status, None, "{said}");
    // It says so when the phone has been turned away already.
    let errors = || std::fs::read_to_string(home.path("node.err")).unwrap();
    wait_until("Node to say why", || {
        errors().contains("CERT_REVOKED").then_some(())
    });
    let (status, said) = node.curl(&home, Some(&home.bob()), "/");
    assert_eq!(status, Some(200), "{said}");
}

#[test]
fn a_revoked_phone_is_refused_on_a_resumed_session_by_the_device_list() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    let node = start(&home);
    for version in ["-tls1_2", "-tls1_3"] {
        let bob = Client::new(&home, &node, &home.bob(), version);
        let session = home.path(format!("bob{version}.session"));
        assert_eq!(
            bob.begin(&session),
            Seen {
                status: Some(200),
                reused: false
            }
        );
    }
    let alice = ["-tls1_2", "-tls1_3"].map(|version| Client::new(&home, &node, &home.alice(), version));
    let sessions = [["12-a", "12-b"], ["13-a", "13-b"]].map(|names| names.map(|name| home.path(name)));
    for (client, sessions) in alice.iter().zip(&sessions) {
        for session in sessions {
            assert_eq!(
                client.begin(session),
                Seen {
                    status: Some(200),
                    reused: false
                }
            );
        }
    }
    home.run(&["revoke", "alice", "--yes"]);
    reload(&home, &node);
    for (client, [hole, closed]) in alice.iter().zip(&sessions) {
        assert_eq!(
            client.resume(hole, "/no-list"),
            Seen {
                status: Some(200),
                reused: true
            },
            "no hole to close"
        );
        assert_eq!(
            client.resume(closed, "/"),
            Seen {
                status: Some(403),
                reused: true
            }
        );
    }
    for version in ["-tls1_2", "-tls1_3"] {
        let bob = Client::new(&home, &node, &home.bob(), version);
        let session = home.path(format!("bob{version}.session"));
        assert_eq!(
            bob.resume(&session, "/"),
            Seen {
                status: Some(200),
                reused: true
            }
        );
    }
}

fn start(home: &Home) -> Server {
    ServerCertificate::make(home);
    std::fs::write(home.path("server.cjs"), SERVER).unwrap();
    let port = home.path("node.port");
    let mut command = program("node");
    command
        .arg("server.cjs")
        .arg(home.public(""))
        .arg(home.server(""))
        .arg(&port);
    command.current_dir(home.path("")).stdin(Stdio::null());
    command.stderr(std::fs::File::create(home.path("node.err")).unwrap());
    Server::telling_port(&mut command, &port).unwrap_or_else(|| {
        panic!(
            "node: {}",
            std::fs::read_to_string(home.path("node.err")).unwrap()
        )
    })
}

fn reload(home: &Home, node: &Server) {
    node.hang_up();
    wait_until("node to reload", || {
        home.path("node.port.reloaded").exists().then_some(())
    });
}
