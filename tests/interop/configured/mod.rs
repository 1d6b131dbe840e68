//! Every configuration of a server that `pki config` prints, in the real server, put through the same story.

/// A story, as a test of each server.
macro_rules! on_every_server {
    ($($story:ident),+ $(,)?) => {
        on_every_server! { @ nginx: Nginx, $($story)+ }
        on_every_server! { @ haproxy: Haproxy, $($story)+ }
        on_every_server! { @ apache: Apache, $($story)+ }
        on_every_server! { @ envoy: Envoy, $($story)+ }
        on_every_server! { @ node: Node, $($story)+ }
        on_every_server! { @ caddy: Caddy, $($story)+ }
    };
    (@ $server:ident: $kind:ident, $($story:ident)+) => {
        mod $server {
            $(
                #[test]
                fn $story() {
                    $crate::configured::with($crate::configured::Kind::$kind, super::$story);
                }
            )+
        }
    };
}

mod burden;
mod checked;
mod lists;
mod long_lists;
mod names;
mod neighbour;
mod nginx_hosts;
mod operators;
mod pipe;
mod renegotiation;
mod servers;
mod side_by_side;
mod subject;
mod together;
mod unreadable;
mod upstream;
mod websockets;
mod wire;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use crate::session::Client;
use crate::support::{Bundle, HOST, Home, Server, need_hypercorn, python, wait_until};
pub use servers::{Kind, Running, publish_outside};

macro_rules! the_same_story {
    ($($server:ident: $kind:expr),+ $(,)?) => {$(
        mod $server {
            use super::*;

            #[test]
            fn a_phone_gets_in_and_the_application_learns_its_name_and_not_a_forged_one() {
                with($kind, super::a_phone_gets_in_and_the_application_learns_its_name_and_not_a_forged_one);
            }

            #[test]
            fn a_phone_cannot_take_off_its_name_by_naming_it_in_connection() {
                with($kind, super::a_phone_cannot_take_off_its_name_by_naming_it_in_connection);
            }

            #[test]
            fn without_a_certificate_or_with_that_of_another_authority_nobody_gets_in() {
                with($kind, super::without_a_certificate_or_with_that_of_another_authority_nobody_gets_in);
            }

            #[test]
            fn what_the_servers_authority_has_issued_is_no_device() {
                with($kind, super::what_the_servers_authority_has_issued_is_no_device);
            }

            #[test]
            fn a_revoked_phone_is_refused_on_a_new_connection_and_the_others_are_not() {
                with($kind, super::a_revoked_phone_is_refused_on_a_new_connection_and_the_others_are_not);
            }

            #[test]
            fn a_revoked_phone_is_refused_by_the_list_alone() {
                with($kind, super::a_revoked_phone_is_refused_by_the_list_alone);
            }

            #[test]
            fn a_revoked_phone_is_refused_by_the_crl_alone() {
                with($kind, super::a_revoked_phone_is_refused_by_the_crl_alone);
            }

            #[test]
            fn nobody_gets_in_by_an_issuing_authority_that_the_root_has_revoked() {
                with($kind, super::nobody_gets_in_by_an_issuing_authority_that_the_root_has_revoked);
            }

            #[test]
            fn a_revoked_phone_is_refused_with_an_old_session() {
                with($kind, super::a_revoked_phone_is_refused_with_an_old_session);
            }

            #[test]
            fn a_revoked_phone_is_refused_on_the_connection_that_it_has() {
                with($kind, super::a_revoked_phone_is_refused_on_the_connection_that_it_has);
            }

            #[test]
            fn only_the_allowed_networks_get_in() {
                with($kind, super::only_the_allowed_networks_get_in);
            }

            #[test]
            fn only_forward_secret_authenticated_encryption_of_tls_1_2_or_later_is_spoken() {
                with($kind, super::only_forward_secret_authenticated_encryption_of_tls_1_2_or_later_is_spoken);
            }
        }
    )+};
}

the_same_story! {
    nginx: Kind::Nginx,
    haproxy: Kind::Haproxy,
    apache: Kind::Apache,
    envoy: Kind::Envoy,
    node: Kind::Node,
    caddy: Kind::Caddy,
}

fn with(kind: Kind, story: impl FnOnce(Kind, &Home)) {
    if !kind.is_installed() {
        return;
    }
    let home = Home::staffed();
    publish_outside(kind, &home);
    story(kind, &home);
}

fn a_phone_gets_in_and_the_application_learns_its_name_and_not_a_forged_one(kind: Kind, home: &Home) {
    let mut running = Running::start(kind, home);
    let forged = "header = \"X-Forwarded-For: 203.0.113.9\"\nheader = \"X-Client-Device: eve/phone\"\nheader = \"x-CLIENT-device: eve/phone\"\n\
                  header = \"X_Client_Device: eve/phone\"\nheader = \"X-Client_Device: eve/phone\"\n\
                  header = \"X_Client-Device: eve/phone\"\n";
    for (bundle, address) in [(home.alice(), "alice/phone"), (home.bob(), "bob/phone")] {
        let (status, said) = running.server.curl_with(home, Some(&bundle), "/", forged);
        assert_eq!(status, Some(200), "{said}\n{}", running.log());
        assert!(said.stdout.contains(&format!("device=[{address}]\n")), "{said}");
        assert!(!said.stdout.contains("203.0.113.9"), "{said}");
    }
    let carol = home.issue("carol", &[]);
    running.reload(home);
    let (status, said) = running.server.curl(home, Some(&carol), "/");
    assert_eq!(status, Some(200), "{said}\n{}", running.log());
    assert!(said.stdout.contains("device=[carol/phone]\n"), "{said}");
}

/// What Connection names a proxy takes off (RFC 9110 §7.6.1): this one, or the next one.
fn a_phone_cannot_take_off_its_name_by_naming_it_in_connection(kind: Kind, home: &Home) {
    let running = Running::start(kind, home);
    for lines in [
        &["close, X-Client-Device"][..],
        &["x-client-device, keep-alive"],
        &["X-CLIENT-DEVICE", "close"],
        &["close", "foo,X-Client-Device ,bar"],
        &["close, X-Forwarded-For, X-Forwarded-Proto"],
    ] {
        let mut named: String = lines
            .iter()
            .map(|line| format!("header = \"Connection: {line}\"\n"))
            .collect();
        named.push_str("http1.1\n");
        for forged in ["", "header = \"X-Client-Device: eve/phone\"\n"] {
            let more = format!("{named}{forged}");
            let (status, said) = running.server.curl_with(home, Some(&home.alice()), "/", &more);
            if matches!(status, Some(400 | 403)) {
                continue;
            }
            assert_eq!(status, Some(200), "{lines:?}: {said}\n{}", running.log());
            assert!(
                said.stdout.contains("device=[alice/phone]\n"),
                "{lines:?}: {said}"
            );
            let handed_on = said.stdout.lines().find(|line| line.starts_with("connection="));
            assert!(!handed_on.unwrap_or_default().contains("x-"), "{lines:?}: {said}");
        }
    }
    // A browser's, and a WebSocket's, are none of these.
    for plain in ["keep-alive", "keep-alive, Upgrade"] {
        let more = format!("http1.1\nheader = \"Connection: {plain}\"\n");
        let (status, said) = running.server.curl_with(home, Some(&home.alice()), "/", &more);
        assert_eq!(status, Some(200), "{plain}: {said}\n{}", running.log());
        assert!(said.stdout.contains("device=[alice/phone]\n"), "{plain}: {said}");
    }
}

fn without_a_certificate_or_with_that_of_another_authority_nobody_gets_in(kind: Kind, home: &Home) {
    let running = Running::start(kind, home);
    let other = Home::bare();
    let stranger = other.issue("alice", &["--name", "Alice Doe"]);
    for bundle in [None, Some(&stranger)] {
        let (status, said) = running.server.curl(home, bundle, "/");
        assert!(is_refused(status), "{said}");
    }
    assert_eq!(running.served(), 0, "the application was asked");
    running.lets_in(home, &home.alice());
}

/// It chains to the same root. Even where that authority had made a device's certificate, it would not get
/// in.
fn what_the_servers_authority_has_issued_is_no_device(kind: Kind, home: &Home) {
    let made = r#"
        request() {
            openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout $1.key -out $1.csr -subj "/CN=$1"
            printf '%b' "$2" > $1.ext
        }
        sign() { openssl x509 -req -in $1.csr -days 30 -extfile $1.ext -out $1.crt -CA $2 -CAkey $3 -passin file:root-passphrase; }
        request servers 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n'
        sign servers home/root/root.crt home/root/root.key
        for use in serverAuth clientAuth; do
            request $use "keyUsage=critical,digitalSignature\nextendedKeyUsage=$use\n"
            sign $use servers.crt servers.key
            cat $use.crt servers.crt > $use.pem
        done
    "#;
    home.foreign("sh", &["-e", "-c", made]).ok();
    home.run(&["server", "add", HOST, "--out", "tls"]);
    home.run(&["server", "issue", HOST, "--out", "tls"]);
    let own = format!("tls/{HOST}");
    let running = Running::start(kind, home);
    for (certificate, key) in [
        (format!("{own}.crt"), format!("{own}.key")),
        ("serverAuth.pem".into(), "serverAuth.key".into()),
        ("clientAuth.pem".into(), "clientAuth.key".into()),
    ] {
        let identity = format!("cert = \"{certificate}\"\nkey = \"{key}\"\n");
        let (status, said) = running.server.curl_with(home, None, "/", &identity);
        assert!(is_refused(status), "{certificate}: {said}");
    }
    assert_eq!(running.served(), 0, "the application was asked");
}

fn a_revoked_phone_is_refused_on_a_new_connection_and_the_others_are_not(kind: Kind, home: &Home) {
    let mut running = Running::start(kind, home);
    running.lets_in(home, &home.alice());
    home.run(&["revoke", "alice", "--yes"]);
    running.reload(home);
    let (status, said) = running.server.curl(home, Some(&home.alice()), "/");
    assert!(is_refused(status), "{said}");
    let (status, said) = running.server.curl(home, Some(&home.bob()), "/");
    assert_eq!(status, Some(200), "{said}\n{}", running.log());
}

fn a_revoked_phone_is_refused_by_the_list_alone(kind: Kind, home: &Home) {
    refused_by_half(kind, home, "server");
}

fn a_revoked_phone_is_refused_by_the_crl_alone(kind: Kind, home: &Home) {
    if kind.reads_crls() {
        refused_by_half(kind, home, "public");
    }
}

/// Publishes one half of what has changed, and leaves the other as it was.
fn refused_by_half(kind: Kind, home: &Home, half: &str) {
    let mut running = Running::start(kind, home);
    running.lets_in(home, &home.alice());
    home.run(&["revoke", "alice", "--yes", "--no-publish"]);
    let place = home.path(kind.place()).join(half);
    home.run(&["publish", place.to_str().unwrap()]);
    running.reload(home);
    let (status, said) = running.server.curl(home, Some(&home.alice()), "/");
    assert!(is_refused(status), "{said}");
    running.lets_in(home, &home.bob());
}

/// The CRLs of the whole chain are checked, and not the device's alone.
fn nobody_gets_in_by_an_issuing_authority_that_the_root_has_revoked(kind: Kind, home: &Home) {
    if !kind.reads_crls() {
        return;
    }
    let place = home.path(kind.place());
    let script = r#"
        printf '[ca]\ndefault_ca=x\n[x]\ndatabase=index.txt\ndefault_md=sha256\ndefault_crl_days=30\n' > ca.cnf
        serial=$(openssl x509 -in home/issuing/issuing.crt -noout -serial); serial=${serial#serial=}
        printf 'R\t990101000000Z\t260101000000Z\t%s\tunknown\t/CN=x\n' "$serial" > index.txt
        openssl ca -gencrl -config ca.cnf -cert home/root/root.crt -keyfile home/root/root.key -passin file:root-passphrase \
            -out "$1/root.pem"
        cat "$1/root.pem" "$1/issuing.pem" > "$1/bundle.pem"
    "#;
    let crl = place.join("public/crl").display().to_string();
    home.foreign("sh", &["-e", "-c", script, "sh", &crl]).ok();
    let running = Running::start(kind, home);
    let (status, said) = running.server.curl(home, Some(&home.alice()), "/");
    assert!(is_refused(status), "{said}");
    assert_eq!(running.served(), 0, "the application was asked");
}

fn a_revoked_phone_is_refused_with_an_old_session(kind: Kind, home: &Home) {
    let mut running = Running::start(kind, home);
    let sessions =
        ["-tls1_2", "-tls1_3"].map(|version| (version, home.path(format!("alice{version}.session"))));
    for (version, session) in &sessions {
        let alice = Client::new(home, &running.server, &home.alice(), version);
        assert_eq!(
            alice.begin(session).status,
            Some(200),
            "{version}: {}",
            running.log()
        );
        if session.exists() && kind.resumes() == servers::Resumes::Nothing {
            let seen = alice.resume(session, "/");
            assert_eq!((seen.status, seen.reused), (Some(200), false), "{version}");
        }
    }
    home.run(&["revoke", "alice", "--yes", "--reason", "stolen"]);
    running.reload(home);
    for (version, session) in &sessions {
        let alice = Client::new(home, &running.server, &home.alice(), version);
        // A server that gives no session away leaves none to come back with.
        if session.exists() {
            let seen = alice.resume(session, "/");
            assert!(is_refused(seen.status), "{version}: {seen:?}");
        }
    }
    running.lets_in(home, &home.bob());
}

fn a_revoked_phone_is_refused_on_the_connection_that_it_has(kind: Kind, home: &Home) {
    let mut running = Running::start(kind, home);
    let mut alice = Kept::open(home, &running.server, &home.alice());
    assert_eq!(alice.get(), "200");
    assert_eq!(alice.get(), "200", "the connection is not kept");
    home.run(&["revoke", "alice", "--yes"]);
    running.reload(home);
    // Caddy ends what is open once it has answered that it has reloaded.
    let may_lag = kind == Kind::Caddy;
    let (said, served) = wait_until("the connection to be shut", || {
        let served = running.served();
        let said = alice.get();
        (said != "200" || !may_lag).then_some((said, served))
    });
    assert!(said == "403" || said == "closed", "{said}: {}", running.log());
    assert_eq!(running.served(), served, "the application was asked");
}

/// Over HTTP/2 a server can only wish that a connection ends: HAProxy's old process, which has the old lists,
/// waits for that.
#[test]
fn a_revoked_phone_is_refused_on_the_connection_of_http_2_that_it_has() {
    for kind in [Kind::Haproxy, Kind::Envoy, Kind::Caddy] {
        with(kind, |kind, home| {
            if !need_hypercorn() {
                return;
            }
            let mut running = Running::start(kind, home);
            let mut alice = Kept::open_by(KEEP_HTTP_2, home, &running.server, &home.alice());
            assert_eq!(alice.get(), "200");
            assert_eq!(alice.get(), "200", "the connection is not kept");
            home.run(&["revoke", "alice", "--yes"]);
            if kind == Kind::Haproxy {
                running.begin_reload(home);
            } else {
                running.reload(home);
            }
            // Before the time is up in which the old process has to end.
            let ends = Instant::now() + Duration::from_secs(5);
            let said = loop {
                let said = alice.get();
                if said != "200" || Instant::now() > ends {
                    break said;
                }
                std::thread::sleep(Duration::from_millis(50));
            };
            let is_refused = ["403", "421", "closed"].contains(&said.as_str());
            assert!(is_refused, "{said}: {}", running.log());
        });
    }
}

/// Apache looks a map up again where its file has changed: it need not be told.
#[test]
fn apache_refuses_a_revoked_phone_at_once_on_the_connection_that_it_has() {
    with(Kind::Apache, |kind, home| {
        let running = Running::start(kind, home);
        let mut alice = Kept::open(home, &running.server, &home.alice());
        assert_eq!(alice.get(), "200");
        home.run(&["revoke", "alice", "--yes"]);
        assert_eq!(alice.get(), "403");
        assert_eq!(running.served(), 1, "the application was asked");
    });
}

/// What cannot be read is told, and what was read before holds; a publication that comes by a link is found
/// again.
#[test]
fn node_keeps_what_it_has_read_where_the_next_publication_is_damaged_and_follows_a_link_that_is_turned() {
    with(Kind::Node, |kind, home| {
        let web = home.path(kind.place());
        std::fs::rename(&web, home.path("one")).unwrap();
        std::os::unix::fs::symlink("one", &web).unwrap();
        let mut running = Running::start(kind, home);
        let status = |running: &Running, bundle| running.server.curl(home, Some(&bundle), "/").0;
        assert_eq!(status(&running, home.alice()), Some(200));

        home.foreign("cp", &["-a", "one", "damaged"]).ok();
        std::fs::write(home.path("damaged/public/crl/issuing.pem"), "no CRL\n").unwrap();
        turn(home, "damaged", kind);
        running.await_log("publication not read");
        assert_eq!(status(&running, home.alice()), Some(200), "{}", running.log());

        // Which mends the place, too.
        home.run(&["revoke", "alice", "--yes"]);
        running.reload(home);
        assert!(is_refused(status(&running, home.alice())), "{}", running.log());
        assert_eq!(status(&running, home.bob()), Some(200), "{}", running.log());
    });
}

/// Puts another directory in the place of the publication, in one step.
fn turn(home: &Home, to: &str, kind: Kind) {
    std::os::unix::fs::symlink(to, home.path("next")).unwrap();
    std::fs::rename(home.path("next"), home.path(kind.place())).unwrap();
}

fn only_the_allowed_networks_get_in(kind: Kind, home: &Home) {
    for (networks, expected) in [
        (r#"["192.0.2.0/24", "2001:db8::/32"]"#, None),
        (r#"["192.0.2.0/24", "127.0.0.0/8", "2001:db8::/32"]"#, Some(200)),
    ] {
        home.configure("allowed_networks", networks);
        let running = Running::start(kind, home);
        let (status, said) = running.server.curl(home, Some(&home.alice()), "/");
        match expected {
            None => assert!(is_refused(status), "{said}"),
            Some(_) => assert_eq!(status, expected, "{said}\n{}", running.log()),
        }
    }
}

fn only_forward_secret_authenticated_encryption_of_tls_1_2_or_later_is_spoken(kind: Kind, home: &Home) {
    let running = Running::start(kind, home);
    let address = format!("127.0.0.1:{}", running.server.port);
    let [leaf, chain, key] = home.opened(&home.alice());
    for (arguments, spoken) in [
        (["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], false),
        (
            [
                "-tls1_2",
                "-cipher",
                "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA",
            ],
            false,
        ),
        (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], true),
        (["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"], true),
        (["-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"], true),
    ] {
        let mut all = vec![
            "30",
            "openssl",
            "s_client",
            "-connect",
            &address,
            "-servername",
            HOST,
        ];
        all.extend([
            "-cert",
            leaf.to_str().unwrap(),
            "-cert_chain",
            chain.to_str().unwrap(),
        ]);
        all.extend(["-key", key.to_str().unwrap()]);
        all.extend(arguments);
        let said = home.foreign("timeout", &all);
        let agreed = said.stdout.contains("Cipher is ") && !said.stdout.contains("Cipher is (NONE)");
        assert_eq!(agreed, spoken, "{arguments:?}: {said}");
    }
}

/// A server shuts the door in the handshake, or it answers with a refusal.
fn is_refused(status: Option<u16>) -> bool {
    matches!(status, None | Some(400 | 403))
}

/// A phone that keeps its connection: Python's `http.client`.
struct Kept {
    child: Child,
    asks: ChildStdin,
    hears: BufReader<ChildStdout>,
}

/// Asks once for each line on stdin, always on the same connection.
const KEEP: &str = r#"
import http.client, socket, ssl, sys
port, host, chain, key = sys.argv[1:]
context = ssl.create_default_context(cafile="server.crt")
context.load_cert_chain(chain, key)
connection = http.client.HTTPConnection(host)
connection.auto_open = False
connection.sock = context.wrap_socket(socket.create_connection(("127.0.0.1", int(port)), 30), server_hostname=host)
for _ in sys.stdin:
    try:
        connection.request("GET", "/")
        response = connection.getresponse()
        response.read()
        print(response.status, flush=True)
    except (OSError, http.client.HTTPException):
        print("closed", flush=True)
"#;

/// The same over HTTP/2, by somebody who takes no notice of a server's wish to end the connection (GOAWAY,
/// RFC 9113 §6.8).
const KEEP_HTTP_2: &str = r#"
import socket, ssl, sys
from hpack import Decoder, Encoder
from hyperframe.frame import Frame, HeadersFrame, SettingsFrame
port, host, chain, key = sys.argv[1:]
context = ssl.create_default_context(cafile="server.crt")
context.set_alpn_protocols(["h2"])
context.load_cert_chain(chain, key)
connection = context.wrap_socket(socket.create_connection(("127.0.0.1", int(port)), 30), server_hostname=host)
assert connection.selected_alpn_protocol() == "h2"
connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SettingsFrame(0).serialize())
encoder, decoder, octets, stream = Encoder(), Decoder(), b"", 1

def exactly(count):
    global octets
    while len(octets) < count:
        part = connection.recv(65536)
        if not part:
            raise OSError("closed")
        octets += part
    part, octets = octets[:count], octets[count:]
    return part

def get():
    pairs = [(":method", "GET"), (":scheme", "https"), (":authority", host), (":path", "/")]
    ask = HeadersFrame(stream, encoder.encode(pairs))
    ask.flags.add("END_HEADERS")
    ask.flags.add("END_STREAM")
    connection.sendall(ask.serialize())
    status = None
    while True:
        frame, length = Frame.parse_frame_header(memoryview(exactly(9)))
        frame.parse_body(memoryview(exactly(length)))
        if isinstance(frame, SettingsFrame) and "ACK" not in frame.flags:
            connection.sendall(SettingsFrame(0, flags=["ACK"]).serialize())
        if isinstance(frame, HeadersFrame):
            fields = dict(decoder.decode(frame.data))
            if frame.stream_id == stream:
                status = status or fields[":status"]
        if frame.stream_id == stream and "END_STREAM" in frame.flags:
            return status

for _ in sys.stdin:
    try:
        print(get(), flush=True)
    except OSError:
        print("closed", flush=True)
    stream += 2
"#;

impl Kept {
    fn open(home: &Home, server: &Server, bundle: &Bundle) -> Self {
        Self::open_by(KEEP, home, server, bundle)
    }

    fn open_by(script: &str, home: &Home, server: &Server, bundle: &Bundle) -> Self {
        let [leaf, chain, key] = home.opened(bundle);
        let both = [leaf, chain].map(|part| std::fs::read(part).unwrap()).concat();
        std::fs::write(home.path("kept.pem"), both).unwrap();
        let mut command = python();
        command
            .args(["-c", script, &server.port.to_string(), HOST, "kept.pem"])
            .arg(key);
        command
            .current_dir(home.path(""))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (asks, hears) = (
            child.stdin.take().unwrap(),
            BufReader::new(child.stdout.take().unwrap()),
        );
        Self { child, asks, hears }
    }

    /// The status of one more request, or `closed`.
    fn get(&mut self) -> String {
        writeln!(self.asks, "get").unwrap();
        let mut line = String::new();
        self.hears.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
