//! A public CA certifies a server by the request of `pki server csr`, as Let's Encrypt would: certbot asks,
//! pebble certifies.

use std::fs::File;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::{EC, HOST, Home, Server, files_below, finish, free_port, need, program, self_signed};

/// An ACME server on loopback that takes every host for whose it is said to be.
pub struct PublicCa {
    _server: Server,
    /// The URL of its directory.
    pub directory: String,
    /// The port at which it would look for proofs.
    pub http: u16,
}

impl PublicCa {
    /// The account that [`Self::binding`] knows.
    pub const KID: &str = "kid-1";
    /// Its MAC key.
    pub const MAC_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

    fn start(home: &Home) -> Self {
        Self::with(home, false, 0)
    }

    /// One that wants clients to be bound to an account of its own, and refuses so many nonces in a hundred
    /// that are good, to see who asks again.
    pub fn binding(home: &Home, bad_nonces: u8) -> Self {
        Self::with(home, true, bad_nonces)
    }

    fn with(home: &Home, is_binding: bool, bad_nonces: u8) -> Self {
        self_signed(home, "acme", "DNS:localhost,IP:127.0.0.1", 30, &EC);
        // Another may be faster on a port that was free.
        for _ in 0..5 {
            let [listen, management, http, tls] = std::array::from_fn(|_| free_port());
            let config = json!({ "pebble": {
                "listenAddress": format!("127.0.0.1:{listen}"),
                "managementListenAddress": format!("127.0.0.1:{management}"),
                "certificate": "acme.crt",
                "privateKey": "acme.key",
                "httpPort": http,
                "tlsPort": tls,
                "ocspResponderURL": "",
                "externalAccountBindingRequired": is_binding,
                "externalAccountMACKeys": { Self::KID: Self::MAC_KEY },
            }});
            std::fs::write(home.path("pebble.json"), config.to_string()).unwrap();
            let log = File::create(home.path("pebble.log")).unwrap();
            let mut pebble = program("pebble");
            pebble
                .args(["-config", "pebble.json"])
                .envs([("PEBBLE_VA_ALWAYS_VALID", "1"), ("PEBBLE_VA_NOSLEEP", "1")])
                .env("PEBBLE_WFE_NONCEREJECT", bad_nonces.to_string())
                .current_dir(home.path("."))
                .stdout(log.try_clone().unwrap())
                .stderr(log);
            let directory = format!("https://localhost:{listen}/dir");
            let mut probe = vec!["--disable", "--silent", "--fail", "--noproxy", "*"];
            probe.extend(["--cacert", "acme.crt", &directory]);
            let ready = || (home.foreign("curl", &probe).code == Some(0)).then_some(listen);
            if let Some(server) = Server::start(&mut pebble, ready) {
                return Self {
                    _server: server,
                    directory,
                    http,
                };
            }
        }
        let log = std::fs::read_to_string(home.path("pebble.log")).unwrap();
        panic!("pebble does not start: {log}");
    }

    /// Has a request certified as the help of `pki server csr` says: the file with the certificate and its
    /// issuers.
    fn certify(&self, home: &Home, request: &str, name: &str) -> PathBuf {
        let fullchain = home.path(format!("{name}.fullchain.pem"));
        let mut certbot = program("certbot");
        certbot
            .args(["certonly", "--standalone", "--csr", request])
            .args(["--http-01-port", &self.http.to_string()])
            .args(["--server", &self.directory])
            .args(["--register-unsafely-without-email", "--agree-tos", "-n"])
            .args(["--config-dir", "acme/config", "--work-dir", "acme/work"])
            .args(["--logs-dir", "acme/logs"])
            .arg("--fullchain-path")
            .arg(&fullchain);
        // Its other files would go to the names of the last time.
        for (flag, part) in [("--cert-path", "cert"), ("--chain-path", "chain")] {
            certbot.arg(flag).arg(home.path(format!("{name}.{part}.pem")));
        }
        certbot
            .env("REQUESTS_CA_BUNDLE", home.path("acme.crt"))
            .env("NO_PROXY", "localhost,127.0.0.1")
            .env("HOME", home.path("."))
            .current_dir(home.path("."));
        finish(&mut certbot, b"").ok();
        fullchain
    }
}

/// The pins of the host in this role, as they are published.
fn published(home: &Home, role: &str) -> Vec<String> {
    let pins: Value = serde_json::from_slice(&std::fs::read(home.public("pins/pins.json")).unwrap()).unwrap();
    assert_eq!(pins["sets"][0]["host"], HOST, "{pins}");
    let pins = pins["sets"][0]["pins"].as_array().unwrap().clone();
    let of_role = pins.iter().filter(|pin| pin["role"] == role);
    of_role
        .map(|pin| pin["pin"].as_str().unwrap().to_owned())
        .collect()
}

/// The pin of the first certificate of a file, as OpenSSL counts it.
fn counted(home: &Home, certificate: &str) -> String {
    let script = format!(
        "openssl x509 -in {certificate} -noout -pubkey | openssl pkey -pubin -outform DER \
         | openssl dgst -sha256 -binary | openssl base64 -A"
    );
    home.foreign("sh", &["-c", &script]).ok().stdout
}

fn serial(home: &Home, certificate: &str) -> String {
    let arguments = ["x509", "-in", certificate, "-noout", "-serial"];
    let said = home.foreign("openssl", &arguments).ok().stdout;
    said.trim().trim_start_matches("serial=").to_owned()
}

#[track_caller]
fn demand_listed(home: &Home, fullchain: &str) {
    let listed = home.run(&["server", "list", "--json"]).json();
    let certificate = &listed["servers"][0]["certificate"];
    assert_eq!(certificate["issuer"], "other", "{listed}");
    assert_eq!(certificate["serial"], serial(home, fullchain), "{listed}");
}

#[test]
fn a_public_ca_certifies_the_pinned_key_renews_it_and_has_certified_the_next_one_before_it_is_needed() {
    if !need(&["pebble", "certbot", "curl", "openssl"]) {
        return;
    }
    let home = Home::with_server();
    home.run(&["server", "csr", HOST, "--out", "tls"]);
    let (active, backup) = (published(&home, "active"), published(&home, "backup"));
    let request = format!("tls/{HOST}.csr");
    let ca = PublicCa::start(&home);
    let import = |fullchain: &PathBuf| {
        let arguments = ["server", "import", HOST, "--cert", fullchain.to_str().unwrap()];
        finish(&mut home.pki(&arguments), b"")
    };

    let first = ca.certify(&home, &request, "first");
    // What a public CA gives is a chain, the server's own certificate before its issuer's.
    let chain = std::fs::read_to_string(&first).unwrap();
    assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2, "{chain}");
    import(&first).ok();
    demand_listed(&home, "first.fullchain.pem");
    assert_eq!([counted(&home, "first.fullchain.pem")], *active);

    // The same request once more: another certificate, the same key.
    let renewed = ca.certify(&home, &request, "renewed");
    import(&renewed).ok();
    demand_listed(&home, "renewed.fullchain.pem");
    assert_ne!(
        serial(&home, "first.fullchain.pem"),
        serial(&home, "renewed.fullchain.pem")
    );
    assert_eq!([counted(&home, "renewed.fullchain.pem")], *active);
    assert_eq!(
        (published(&home, "active"), published(&home, "backup")),
        (active.clone(), backup.clone())
    );

    // The key in reserve is certified in advance, and its certificate taken in when it is the one in use.
    home.run(&["server", "csr", HOST, "--backup", "--out", "reserve"]);
    let reserve = ca.certify(&home, &format!("reserve/{HOST}.csr"), "reserve");
    assert_eq!([counted(&home, "reserve.fullchain.pem")], *backup);
    let early = import(&reserve).exits(1);
    assert!(early.stderr.contains("is for the backup key"), "{early}");
    home.run(&["server", "rotate", HOST, "--out", "reserve", "--confirm", HOST]);
    import(&reserve).ok();
    demand_listed(&home, "reserve.fullchain.pem");
    assert_eq!(published(&home, "active"), backup);
    assert_eq!(published(&home, "retiring"), active);
    // Beside the key that it is for, and which was there already.
    let mut keys = files_below(&home.path("reserve"));
    keys.retain(|file| file.ends_with(".key"));
    assert_eq!(keys, [format!("{HOST}.key")]);
    // The old key's certificate is not taken for the new one's.
    import(&renewed).exits(1);
}
