//! Two hosts of ours behind one nginx or Apache, printed by one command or by two, beside what an operator
//! has there already: servers on the same port that are not ours, and what may be said only once.

use std::path::PathBuf;

use rustix::process::Signal;

use super::neighbour::{self, OTHER, STRANGERS, ask};
use super::servers::{Kind, put, run};
use super::upstream::Upstream;
use super::{HOST, is_refused, with};
use crate::support::{Bundle, EC, Home, Server, ServerCertificate, free_port, self_signed, wait_until};

const SECOND: &str = "b.acme.example";
/// A server on the port that asks nobody for a certificate.
const OPEN: &str = "open.acme.example";

/// How the two were printed.
#[derive(Debug, Clone, Copy)]
pub enum Printed {
    ByOneCommand,
    ByTwo,
}

pub struct SideBySide {
    kind: Kind,
    pub server: Server,
    /// The one of the first host, and the one of the second.
    pub applications: [Upstream; 2],
    log: PathBuf,
}

impl SideBySide {
    pub fn start(kind: Kind, home: &Home, printed: Printed, edit: impl Fn(&str) -> String) -> Self {
        ServerCertificate::make(home);
        self_signed(home, "second", &format!("DNS:{SECOND}"), 30, &EC);
        home.foreign("sh", &["-e", "-c", STRANGERS, "sh", &home.serial_of("bob/phone")])
            .ok();
        let applications = [Upstream::start(), Upstream::start()];
        let log = home.path(format!("{}.log", kind.word()));
        for _ in 0..5 {
            let port = free_port();
            let text = configuration(kind, home, printed, port, &applications);
            put(kind, home, &edit(&text), &what_is_there_already(kind, port));
            if let Some(server) = run(kind, home, port) {
                return Self {
                    kind,
                    server,
                    applications,
                    log,
                };
            }
        }
        panic!(
            "{kind:?} does not start: {}",
            std::fs::read_to_string(log).unwrap()
        );
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn served(&self) -> usize {
        self.applications.iter().map(Upstream::served).sum()
    }

    /// The status that a holder of a bundle gets.
    fn status(&self, home: &Home, bundle: &Bundle, sni: Option<&str>, host: &str) -> Option<u16> {
        self.status_with(home, bundle, sni, host, &[])
    }

    /// As [`Self::status`], with more words for openssl's client.
    pub fn status_with(
        &self,
        home: &Home,
        bundle: &Bundle,
        sni: Option<&str>,
        host: &str,
        more: &[&str],
    ) -> Option<u16> {
        let [leaf, chain, key] = home.opened(bundle);
        let parts = [&leaf, &chain, &key].map(|part| part.to_str().unwrap());
        let identity = ["-cert", parts[0], "-cert_chain", parts[1], "-key", parts[2]];
        ask(home, self.server.port, sni, host, &[&identity, more].concat())
    }

    fn reload(&self) {
        let (signal, word) = match self.kind {
            Kind::Nginx => (Signal::HUP, "exited with code 0"),
            Kind::Apache => (Signal::USR1, "resuming normal operations"),
            Kind::Haproxy | Kind::Envoy | Kind::Node | Kind::Caddy => {
                panic!("{:?} has a file alone", self.kind)
            }
        };
        let count = || self.log().matches(word).count();
        let before = count();
        self.server.signal(signal);
        wait_until(word, || (count() > before).then_some(()));
    }
}

fn configuration(
    kind: Kind,
    home: &Home,
    printed: Printed,
    port: u16,
    applications: &[Upstream; 2],
) -> String {
    let port = port.to_string();
    let file = |name: &str| home.path(name).display().to_string();
    let first = [HOST, &file("server.crt"), &file("server.key")].map(str::to_owned);
    let second = [SECOND, &file("second.crt"), &file("second.key")].map(str::to_owned);
    let upstreams = [0, 1].map(|at| format!("http://127.0.0.1:{}", applications[at].port));
    let print = |which: &[(&[String; 3], &String)]| {
        let mut arguments = vec!["config", kind.word(), "--port", &port];
        for ([host, cert, key], upstream) in which {
            arguments.extend([
                host.as_str(),
                "--cert",
                cert,
                "--key",
                key,
                "--upstream",
                upstream,
            ]);
        }
        home.run(&arguments).stdout
    };
    let (first, second) = ((&first, &upstreams[0]), (&second, &upstreams[1]));
    match printed {
        Printed::ByOneCommand => print(&[first, second]),
        Printed::ByTwo => print(&[first]) + &print(&[second]),
    }
}

/// The default server of the port, with a CA of its own; one that asks for no certificate; and what can be
/// said but once.
fn what_is_there_already(kind: Kind, port: u16) -> String {
    let neighbour = neighbour::configuration(kind, port);
    match kind {
        Kind::Nginx => format!(
            "map_hash_max_size 4096;\nmap $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}\n\
             underscores_in_headers on;\nignore_invalid_headers off;\n{neighbour}\
             server {{\n listen {port} ssl;\n server_name {OPEN};\n ssl_certificate other.crt;\n \
             ssl_certificate_key other.key;\n return 204;\n}}\n"
        ),
        Kind::Apache => format!(
            "{neighbour}<VirtualHost *:{port}>\n ServerName {OPEN}\n SSLEngine on\n SSLCertificateFile other.crt\n \
             SSLCertificateKeyFile other.key\n RewriteEngine on\n RewriteRule \"^\" \"-\" [R=204,L]\n</VirtualHost>\n"
        ),
        Kind::Haproxy | Kind::Envoy | Kind::Node | Kind::Caddy => panic!("{kind:?} has a file alone"),
    }
}

macro_rules! side_by_side {
    ($($test:ident: $kind:expr, $printed:expr, $story:ident;)+) => {$(
        #[test]
        fn $test() {
            with($kind, |kind, home| {
                $story(&SideBySide::start(kind, home, $printed, str::to_owned), home);
            });
        }
    )+};
}

side_by_side! {
    two_hosts_of_one_command_let_in_devices_behind_one_nginx: Kind::Nginx, Printed::ByOneCommand, each_host_lets_in_devices;
    two_hosts_of_two_commands_let_in_devices_behind_one_nginx: Kind::Nginx, Printed::ByTwo, each_host_lets_in_devices;
    two_hosts_of_one_command_let_in_devices_behind_one_apache: Kind::Apache, Printed::ByOneCommand, each_host_lets_in_devices;
    two_hosts_of_two_commands_let_in_devices_behind_one_apache: Kind::Apache, Printed::ByTwo, each_host_lets_in_devices;
    a_third_server_is_no_way_in_to_two_hosts_behind_one_nginx: Kind::Nginx, Printed::ByTwo, nobody_gets_in_by_a_third_server;
    a_third_server_is_no_way_in_to_two_hosts_behind_one_apache: Kind::Apache, Printed::ByTwo, nobody_gets_in_by_a_third_server;
}

/// Each host's application is told who asks, until she is locked out: of both.
fn each_host_lets_in_devices(running: &SideBySide, home: &Home) {
    let (alice, bob) = (home.alice(), home.bob());
    for (at, host) in [HOST, SECOND].into_iter().enumerate() {
        let application = &running.applications[at];
        for (bundle, address) in [(&alice, "alice/phone"), (&bob, "bob/phone")] {
            assert!(!application.heard(address));
            let status = running.status(home, bundle, Some(host), host);
            assert_eq!(status, Some(200), "{host}: {}", running.log());
            assert!(application.heard(address), "{host} {address}");
        }
    }
    // Where somebody has told nginx to hand on names of any kind, these are none of ours.
    let forged = "header = \"X_Client_Device: eve/phone\"\nheader = \"X.Client.Device: eve/phone\"\n";
    let said = running.server.curl_with(home, Some(&alice), "/", forged).1;
    assert!(said.stdout.contains("device=[alice/phone]\n"), "{said}");
    // The name in the handshake and the one in the request are the same, or there is none.
    let served = running.served();
    for (sni, host) in [(HOST, SECOND), (SECOND, HOST)] {
        assert_eq!(
            running.status(home, &bob, Some(sni), host),
            Some(421),
            "{sni} {host}"
        );
    }
    assert_eq!(running.served(), served, "an application was asked");
    home.run(&["revoke", "alice", "--yes"]);
    running.reload();
    for host in [HOST, SECOND] {
        let status = running.status(home, &alice, Some(host), host);
        assert!(is_refused(status), "{host}: {status:?}");
        let status = running.status(home, &bob, Some(host), host);
        assert_eq!(status, Some(200), "{host}: {}", running.log());
    }
}

/// Neither by its handshake nor by a session that it has given away.
fn nobody_gets_in_by_a_third_server(running: &SideBySide, home: &Home) {
    let eve = ["eve.crt", "eve.key"].map(|file| home.path(file).display().to_string());
    let session = home.path("eve.session").display().to_string();
    let port = running.server.port;
    for version in ["-tls1_2", "-tls1_3"] {
        let mut with_certificate = vec![version, "-cert", &eve[0], "-key", &eve[1]];
        assert_eq!(
            ask(home, port, Some(OPEN), OPEN, &[version]),
            Some(204),
            "{}",
            running.log()
        );
        with_certificate.extend(["-sess_out", &session]);
        let status = ask(home, port, Some(OTHER), OTHER, &with_certificate);
        assert_eq!(status, Some(410), "{}", running.log());
        let with_certificate = &with_certificate[..5];
        let with_session = [with_certificate, &["-sess_in", &session]].concat();
        for host in [HOST, SECOND] {
            for sni in [None, Some(OTHER), Some(OPEN), Some(host), Some("unknown.example")] {
                for arguments in [&[version][..], with_certificate, &with_session] {
                    let status = ask(home, port, sni, host, arguments);
                    let refused = is_refused(status) || status == Some(421);
                    assert!(refused, "{version} {sni:?} {host} {arguments:?}: {status:?}");
                }
            }
        }
        assert_eq!(running.served(), 0, "{version}: an application was asked");
    }
}
