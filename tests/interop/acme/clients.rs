//! The clients of ACME that Debian and npm have: each orders, renews and revokes. What they do here they do
//! first with a public CA's server, which refuses one nonce in twenty.

use std::process::Command;

use super::{Given, HOST, NAMES, Ordering, on_a_server};
use crate::public_ca::PublicCa;
use crate::support::{Home, Server, finish, free_port, need, need_packages, wait_until};

/// A place where certificates are ordered, and what its clients are told of it.
struct Directory<'a> {
    home: &'a Home,
    url: String,
    /// The root of its own certificate, beside the home.
    root: &'a str,
    account: Given,
    /// A port at which it looks for what proves a name.
    http: u16,
    /// How often a client is run at most: one gives up where two or three nonces in a row are refused.
    tries: usize,
}

/// A program that orders certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    Lego,
    Certbot,
    Uacme,
    Node,
}

impl Client {
    fn is_there(self) -> bool {
        need(&["unshare", "openssl"])
            && match self {
                Self::Lego => need(&["lego"]),
                Self::Certbot => need(&["certbot"]),
                Self::Uacme => need(&["uacme"]),
                Self::Node => need(&["node"]) && need_packages(&["acme-client"]).is_some(),
            }
    }

    /// A command of it, as a person gives it.
    fn command(self, place: &Directory<'_>) -> Command {
        let name = match self {
            Self::Lego => "lego",
            Self::Certbot => "certbot",
            Self::Uacme => "uacme",
            Self::Node => "node",
        };
        let root = place.home.path(place.root);
        let mut command = on_a_server(&root, name);
        let Given { kid, mac_key } = &place.account;
        command
            .current_dir(place.home.path("."))
            .env("HOME", place.home.path("."));
        match self {
            Self::Lego => command
                .args(["--server", &place.url, "--eab", "--kid", kid, "--hmac", mac_key])
                .args(["--email", "ops@acme.example", "--accept-tos", "--path", "lego"])
                .args(["--http", "--http.port", &format!(":{}", place.http)])
                .env("LEGO_CA_CERTIFICATES", &root),
            Self::Certbot => command.env("REQUESTS_CA_BUNDLE", &root),
            Self::Uacme => command
                .args([
                    "-v", "-c", "uacme", "-a", &place.url, "-t", "EC", "-h", "./proves",
                ])
                .args(["-e", &format!("{kid}:{mac_key}")]),
            Self::Node => command
                .arg(concat!(
                    env!("CARGO_MANIFEST_DIR"),
                    "/tests/interop/acme/client.cjs"
                ))
                .args([&place.url, kid, mac_key])
                .args(NAMES)
                .env("NODE_EXTRA_CA_CERTS", &root)
                .env(
                    "NODE_PATH",
                    concat!(env!("CARGO_MANIFEST_DIR"), "/.venv/npm/node_modules"),
                ),
        };
        command
    }

    /// Orders a certificate for [`NAMES`]: the file that it is in, beside the home.
    fn order(self, place: &Directory<'_>) -> &'static str {
        let Given { kid, mac_key } = &place.account;
        match self {
            Self::Lego => self.does(place, |command| {
                command
                    .args(NAMES.map(|name| format!("--domains={name}")))
                    .arg("run");
            }),
            Self::Certbot => self.does(place, |command| {
                command
                    .args([
                        "certonly",
                        "--standalone",
                        "--http-01-port",
                        &place.http.to_string(),
                    ])
                    .args([
                        "-n",
                        "--agree-tos",
                        "-m",
                        "ops@acme.example",
                        "--server",
                        &place.url,
                    ])
                    .args(["--eab-kid", kid, "--eab-hmac-key", mac_key])
                    .args(NAMES.map(|name| format!("--domain={name}")))
                    .args(CERTBOT);
            }),
            Self::Uacme => {
                self.does(place, |command| {
                    command.args(["-y", "new", "ops@acme.example"]);
                });
                self.does(place, |command| {
                    command.arg("issue").args(NAMES);
                })
            }
            Self::Node => self.does(place, |_| {}),
        };
        self.place()
    }

    /// Where the certificate is.
    fn place(self) -> &'static str {
        match self {
            Self::Lego => "lego/certificates/www.acme.example.crt",
            Self::Certbot => "certbot/live/www.acme.example/fullchain.pem",
            Self::Uacme => "uacme/www.acme.example/cert.pem",
            Self::Node => "acme-client.pem",
        }
    }

    /// Orders another one in the place of that.
    fn renew(self, place: &Directory<'_>) {
        self.does(place, |command| match self {
            Self::Lego => {
                command.args(NAMES.map(|name| format!("--domains={name}")));
                command.args(["renew", "--days", "4000", "--no-random-sleep"]);
            }
            Self::Certbot => {
                command
                    .args(["renew", "--force-renewal", "--no-random-sleep-on-renew", "-n"])
                    .args(CERTBOT);
            }
            Self::Uacme => {
                command.args(["-f", "issue"]).args(NAMES);
            }
            Self::Node => {
                command.arg("renew");
            }
        });
    }

    fn revoke(self, place: &Directory<'_>) {
        self.does(place, |command| match self {
            Self::Lego => {
                command.args([&format!("--domains={}", NAMES[0]), "revoke"]);
            }
            Self::Certbot => {
                command
                    .args(["revoke", "-n", "--cert-name", NAMES[0], "--reason", "superseded"])
                    .args(["--server", &place.url, "--no-delete-after-revoke"])
                    .args(CERTBOT);
            }
            Self::Uacme => {
                command.args(["revoke", self.place()]);
            }
            Self::Node => {
                command.arg("revoke");
            }
        });
    }

    /// Runs it, until it has done what it is told.
    #[track_caller]
    fn does(self, place: &Directory<'_>, tell: impl Fn(&mut Command)) {
        let run = || {
            let mut command = self.command(place);
            tell(&mut command);
            finish(&mut command, b"")
        };
        let mut said = run();
        for _ in 1..place.tries {
            if said.code == Some(0) {
                break;
            }
            said = run();
        }
        said.ok();
    }
}

/// Where certbot keeps what is its own.
const CERTBOT: [&str; 6] = [
    "--config-dir",
    "certbot",
    "--work-dir",
    "certbot/work",
    "--logs-dir",
    "certbot/logs",
];

/// What OpenSSL reads in a certificate.
fn read(home: &Home, file: &str, what: &[&str]) -> String {
    let all = [&["x509", "-noout", "-in", file], what].concat();
    home.foreign("openssl", &all).ok().stdout.trim().to_owned()
}

fn demand_named(home: &Home, file: &str) {
    let names = read(home, file, &["-ext", "subjectAltName"]);
    assert!(NAMES.iter().all(|name| names.contains(name)), "{names}");
}

fn story(client: Client) {
    if !client.is_there() {
        return;
    }
    with_a_public_ca(client);
    with_our_own(client);
}

/// That a client cannot do it here would say nothing if it could not do it there.
fn with_a_public_ca(client: Client) {
    if !need(&["pebble", "curl"]) {
        return;
    }
    let home = Home::unfounded();
    write_proof(&home);
    let ca = PublicCa::binding(&home, 5);
    let place = Directory {
        home: &home,
        url: ca.directory.clone(),
        root: "acme.crt",
        account: Given {
            kid: PublicCa::KID.to_owned(),
            mac_key: PublicCa::MAC_KEY.to_owned(),
        },
        http: ca.http,
        tries: 6,
    };
    let file = client.order(&place);
    demand_named(&home, file);
    let before = read(&home, file, &["-serial"]);
    client.renew(&place);
    assert_ne!(read(&home, file, &["-serial"]), before);
    client.revoke(&place);
}

fn with_our_own(client: Client) {
    let Some(ordering) = Ordering::start() else {
        return;
    };
    let home = &ordering.home;
    write_proof(home);
    let place = Directory {
        home,
        url: format!("{}/acme/directory", ordering.origin()),
        root: "home/public/ca/root.crt",
        account: ordering.account(),
        http: free_port(),
        tries: 1,
    };
    let file = client.order(&place);
    demand_named(home, file);
    let arguments = [
        "verify",
        "-CAfile",
        "home/public/ca/root.crt",
        "-untrusted",
        file,
        file,
    ];
    home.foreign("openssl", &arguments).ok();
    let serial = |file: &str| {
        let said = read(home, file, &["-serial"]);
        said.trim_start_matches("serial=").to_owned()
    };
    let first = serial(file);
    client.renew(&place);
    let second = serial(file);
    assert_ne!(first, second);
    // Both are known here, with the account that has ordered them.
    let accounts = ordering.accounts();
    let known: Vec<&str> = accounts[0]["certificates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|certificate| certificate["serial"].as_str().unwrap())
        .collect();
    assert_eq!(known, [&first, &second], "{accounts:?}\n{}", ordering.log());
    client.revoke(&place);
    home.run(&["publish", "-q"]);
    let crl = [
        "crl",
        "-in",
        "home/public/crl/servers.crl",
        "-inform",
        "DER",
        "-noout",
        "-text",
    ];
    let revoked = home.foreign("openssl", &crl).ok().stdout;
    assert!(
        revoked.contains(&second) && !revoked.contains(&first),
        "{revoked}"
    );
    // An operator takes back the other one.
    home.run(&["revoke", &first, "--yes", "-q"]);
    let revoked = home.foreign("openssl", &crl).ok().stdout;
    assert!(revoked.contains(&first), "{revoked}");
}

/// What uacme calls to prove a name: it says that this is done.
fn write_proof(home: &Home) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(home.path("proves"), "#!/bin/sh\nexit 0\n").unwrap();
    std::fs::set_permissions(home.path("proves"), std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn lego_orders_renews_and_revokes() {
    story(Client::Lego);
}

#[test]
fn certbot_orders_renews_and_revokes() {
    story(Client::Certbot);
}

#[test]
fn uacme_orders_renews_and_revokes() {
    story(Client::Uacme);
}

#[test]
fn acme_client_orders_renews_and_revokes() {
    story(Client::Node);
}

/// What a server shows at a port of this machine.
fn shown(home: &Home, port: u16, file: &str) -> Option<String> {
    let said = home.foreign(
        "openssl",
        &[
            "s_client",
            "-connect",
            &format!("127.0.0.1:{port}"),
            "-servername",
            NAMES[0],
            "-CAfile",
            "home/public/ca/root.crt",
            "-verify_return_error",
        ],
    );
    let certificate = said.stdout.find("-----BEGIN CERTIFICATE")?;
    std::fs::write(home.path(file), &said.stdout[certificate..]).unwrap();
    Some(read(home, file, &["-serial"]))
}

#[test]
fn caddy_orders_by_itself_and_serves_what_it_got() {
    if !need(&["caddy", "unshare", "openssl"]) {
        return;
    }
    let Some(ordering) = Ordering::start() else {
        return;
    };
    let (home, port) = (&ordering.home, free_port());
    let Given { kid, mac_key } = ordering.account();
    let caddyfile = format!(
        "{{\n admin off\n storage file_system {store}\n acme_ca {origin}/acme/directory\n acme_ca_root {root}\n \
         acme_eab {{\n  key_id {kid}\n  mac_key {mac_key}\n }}\n skip_install_trust\n \
         auto_https disable_redirects\n https_port {port}\n}}\nhttps://{name}:{port} {{\n respond \"hello\"\n}}\n",
        store = home.path("caddy").display(),
        origin = ordering.origin(),
        root = home.public("ca/root.crt").display(),
        name = NAMES[0],
    );
    std::fs::write(home.path("Caddyfile"), caddyfile).unwrap();
    let mut caddy = on_a_server(&home.public("ca/root.crt"), "caddy");
    caddy
        .args(["run", "--config", "Caddyfile", "--adapter", "caddyfile"])
        .current_dir(home.path("."))
        .env("HOME", home.path("."))
        .stdout(std::fs::File::create(home.path("caddy.log")).unwrap())
        .stderr(std::fs::File::create(home.path("caddy.err")).unwrap());
    let _caddy = Server::start(&mut caddy, || Some(port)).unwrap();
    let serial = wait_until("Caddy's certificate", || shown(home, port, "caddy.pem"));
    let serial = serial.trim_start_matches("serial=");
    wait_until("a line of the log", || {
        ordering.log().contains(serial).then_some(())
    });
}

#[test]
fn apache_orders_by_itself_and_serves_what_it_got() {
    let modules = "/usr/lib/apache2/modules";
    if !need(&["apache2", "unshare", "openssl"]) || !need(&[&format!("{modules}/mod_md.so")]) {
        return;
    }
    let Some(ordering) = Ordering::start() else {
        return;
    };
    let (home, port) = (&ordering.home, free_port());
    let Given { kid, mac_key } = ordering.account();
    let loaded: String = ["mpm_event", "ssl", "md", "authz_core"]
        .map(|name| format!("LoadModule {name}_module {modules}/mod_{name}.so\n"))
        .concat();
    std::fs::create_dir_all(home.path("apache")).unwrap();
    let config = format!(
        "{loaded}ServerRoot \"{place}\"\nPidFile httpd.pid\nDefaultRuntimeDir \"{place}\"\nListen 127.0.0.1:{port}\n\
         ErrorLog error.log\nLogLevel info\nServerName {name}\nMDStoreDir md\nMDContactEmail ops@acme.example\n\
         MDCertificateAuthority {origin}/acme/directory\nMDCACertificateFile \"{root}\"\n\
         MDCertificateAgreement accepted\nMDExternalAccountBinding {kid} {mac_key}\nMDPrivateKeys secp256r1\n\
         MDPortMap https:{port}\nMDCAChallenges tls-alpn-01\nMDomain {all}\n\
         <VirtualHost *:{port}>\nServerName {name}\nSSLEngine on\n</VirtualHost>\n",
        place = home.path("apache").display(),
        name = NAMES[0],
        all = NAMES.join(" "),
        origin = ordering.origin(),
        root = home.public("ca/root.crt").display(),
    );
    std::fs::write(home.path("httpd.conf"), config).unwrap();
    let mut apache = on_a_server(&home.public("ca/root.crt"), "apache2");
    apache
        .args(["-D", "FOREGROUND", "-f"])
        .arg(home.path("httpd.conf"))
        .current_dir(home.path("."));
    let server = Server::start(&mut apache, || {
        std::net::TcpStream::connect(("127.0.0.1", port))
            .is_ok()
            .then_some(port)
    });
    let server = server.unwrap();
    let log = || std::fs::read_to_string(home.path("apache/error.log")).unwrap_or_default();
    // It shows a new certificate after a graceful restart, as it says itself.
    wait_until("what Apache has ordered", || {
        log().contains("AH10059").then_some(())
    });
    server.signal(rustix::process::Signal::USR1);
    let serial = wait_until("Apache's certificate", || {
        shown(home, port, "apache.pem")
            .filter(|_| ordering.log().contains("is certified"))
            .filter(|serial| ordering.log().contains(serial.trim_start_matches("serial=")))
    });
    assert!(!serial.is_empty(), "{}", log());
    assert_ne!(HOST, NAMES[0]);
}
