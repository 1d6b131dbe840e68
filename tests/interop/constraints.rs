//! CAs that say less of what they may vouch for, or nothing, for verifiers that cannot read what is said.

use std::process::Stdio;

use crate::support::{Bundle, Home, Server, ServerCertificate, finish, need, program};

/// strongSwan's own tool has the name of ours.
const STRONGSWAN: &str = "/usr/bin/pki";

/// A home that is made with one of the options, and a range of addresses.
fn home(option: &str) -> Home {
    let home = Home::unfounded();
    let init = ["init", "--org", "Acme Ltd", "--domain", "acme.example"];
    let said = home.run(&[&init[..], &["--ip-range", "192.0.2.0/24", option]].concat());
    assert!(
        said.stderr.contains("whoever steals the root's key can be any"),
        "{said}"
    );
    home
}

/// What openssl says of a CA.
fn text(home: &Home, ca: &str) -> String {
    let file = home.public(&format!("ca/{ca}.crt")).display().to_string();
    home.foreign("openssl", &["x509", "-in", &file, "-noout", "-text"])
        .ok()
        .stdout
}

#[test]
fn strongswan_and_botan_take_cas_that_say_nothing_of_ip_addresses() {
    if !need(&["openssl", STRONGSWAN, "botan"]) {
        return;
    }
    for option in ["--no-ip-constraints", "--no-name-constraints"] {
        let home = home(option);
        // Botan takes any CN for a host's name, and holds it to what is said of those.
        if option == "--no-ip-constraints" {
            home.configure("names_in_certificates", "false");
        }
        let alice = home.issue("alice", &[]);
        let [leaf, _, _] = home.opened(&alice).map(|path| path.display().to_string());
        let [root, issuing] =
            ["root", "issuing"].map(|ca| home.public(&format!("ca/{ca}.crt")).display().to_string());
        let said = home.foreign(
            STRONGSWAN,
            &["--verify", "--in", &leaf, "--cacert", &root, "--cacert", &issuing],
        );
        // It takes a certificate whose CA it cannot read for a trusted one.
        assert!(
            said.text().contains("reached self-signed root ca"),
            "{option}: {said}"
        );
        home.foreign("botan", &["cert_verify", &leaf, &root, &issuing])
            .ok();
    }
}

/// What a lighttpd with this TLS library answers to a device, to one of another company's, and to nobody.
/// None: it cannot read the CAs. Of CRLs it is not asked: with any, its module for Mbed TLS ends at the first
/// client.
fn lighttpd(home: &Home, library: &str, devices: [&Bundle; 2]) -> Option<[Option<u16>; 3]> {
    let server = ServerCertificate::make(home);
    std::fs::write(home.path("index.html"), "hello").unwrap();
    let running = Server::on_free_port(|port| {
        let directory = home.path("").display().to_string();
        let [certificate, key] = [&server.certificate, &server.key].map(|path| path.display().to_string());
        let cas = home.public("ca/bundle.pem").display().to_string();
        let configuration = format!(
            "server.document-root = \"{directory}\"\nindex-file.names = (\"index.html\")\n\
             server.bind = \"127.0.0.1\"\nserver.port = {port}\nserver.modules = (\"mod_{library}\")\n\
             ssl.engine = \"enable\"\nssl.pemfile = \"{certificate}\"\nssl.privkey = \"{key}\"\n\
             ssl.verifyclient.activate = \"enable\"\nssl.verifyclient.enforce = \"enable\"\n\
             ssl.verifyclient.depth = 3\nssl.verifyclient.ca-file = \"{cas}\"\n"
        );
        std::fs::write(home.path("lighttpd.conf"), configuration).unwrap();
        let mut lighttpd = program("lighttpd");
        lighttpd.args(["-D", "-f"]).arg(home.path("lighttpd.conf"));
        lighttpd.stdin(Stdio::null()).stderr(Stdio::null());
        lighttpd
    })?;
    let [own, other] = devices;
    Some([Some(own), Some(other), None].map(|who| running.curl(home, who, "/").0))
}

#[test]
fn a_server_with_mbed_tls_or_wolfssl_takes_devices_of_cas_that_say_nothing_of_names() {
    const MODULES: [&str; 2] = [
        "/usr/lib/lighttpd/mod_mbedtls.so",
        "/usr/lib/lighttpd/mod_wolfssl.so",
    ];
    if !need(&["openssl", "curl", "lighttpd"]) || !need(&MODULES) {
        return;
    }
    let home = home("--no-name-constraints");
    let alice = home.issue("alice", &[]);
    let other = self::home("--no-name-constraints");
    let mallory = other.issue("alice", &[]);
    for library in ["mbedtls", "wolfssl"] {
        let answers = lighttpd(&home, library, [&alice, &mallory]);
        assert_eq!(answers, Some([Some(200), None, None]), "{library}");
    }
    // Why it is needed at all.
    let home = self::home("--no-ip-constraints");
    let alice = home.issue("alice", &[]);
    assert_eq!(lighttpd(&home, "mbedtls", [&alice, &mallory]), None);
}

#[test]
fn the_servers_authority_says_all_of_it_where_the_root_says_no_addresses() {
    the_servers_authority_says_all_of_it("--no-ip-constraints", "DNS:acme.example");
}

#[test]
fn the_servers_authority_says_all_of_it_where_the_root_says_nothing() {
    the_servers_authority_says_all_of_it("--no-name-constraints", "");
}

fn the_servers_authority_says_all_of_it(option: &str, root_says: &str) {
    if !need(&["openssl"]) {
        return;
    }
    let home = home(option);
    for (host, permitted) in [
        ("192.0.2.7", true),
        ("api.acme.example", true),
        ("198.51.100.7", false),
        ("api.other.example", false),
    ] {
        home.run(&["server", "add", host, "--out", "tls"]);
        let said = finish(&mut home.pki(&["server", "issue", host, "--out", "tls"]), b"");
        assert_eq!(said.code == Some(0), permitted, "{option}, {host}: {said}");
    }
    let said = text(&home, "servers");
    for constraint in ["DNS:acme.example", "IP:192.0.2.0/255.255.255.0"] {
        assert!(said.contains(constraint), "{option}: {said}");
    }
    for ca in ["root", "issuing"] {
        let said = text(&home, ca);
        assert!(!said.contains("IP:"), "{option}: {said}");
        assert_eq!(said.contains("Name Constraints"), !root_says.is_empty(), "{said}");
        assert!(said.contains(root_says), "{option}: {said}");
    }
    let said = home.run(&["doctor"]);
    assert!(!said.text().to_lowercase().contains("constraint"), "{said}");
}

#[test]
fn what_devices_are_named_is_held_to_what_is_permitted_although_no_ca_says_it() {
    if !need(&["openssl"]) {
        return;
    }
    let home = home("--no-name-constraints");
    for (employee, email, stays) in [
        ("alice", "alice@acme.example", true),
        ("bob", "bob@other.example", false),
    ] {
        let bundle = home.issue(employee, &["--email", email]);
        let [leaf, _, _] = home.opened(&bundle).map(|path| path.display().to_string());
        let said = home
            .foreign("openssl", &["x509", "-in", &leaf, "-noout", "-text"])
            .ok();
        assert_eq!(said.stdout.contains(email), stays, "{said}");
    }
    // Who trusts such a root trusts it about anything.
    for (more, warned) in [(&["--with-root"][..], true), (&[], false)] {
        let issue = [
            "issue",
            &format!("carol/{warned}"),
            "--for",
            "ios",
            "--bundle-passphrase-out",
            &format!("p{warned}"),
        ];
        let said = home.run(&[&issue[..], more].concat());
        assert_eq!(said.stderr.contains("says nothing of names"), warned, "{said}");
    }
}

/// A home with a server, and its root in `safe` beside it.
fn root_in_a_safe(said: &str) -> Home {
    let home = home(said);
    home.run(&["server", "add", "api.acme.example", "--out", "tls"]);
    let safe = home.path("safe");
    std::fs::create_dir(&safe).unwrap();
    std::fs::copy(home.home().join("root/root.crt"), safe.join("root.crt")).unwrap();
    std::fs::rename(home.home().join("root/root.key"), safe.join("root.key")).unwrap();
    home
}

#[test]
fn a_root_that_is_away_and_says_nothing_is_told_what_its_servers_authority_may_vouch_for() {
    let home = root_in_a_safe("--no-name-constraints");
    let issue = ["server", "issue", "api.acme.example", "--out", "tls"];
    let said = finish(&mut home.pki(&issue), b"").exits(5);
    let options = "--domain acme.example --ip-range 192.0.2.0/24";
    assert!(said.stderr.contains(options), "{said}");

    let sign = |out: &str, more: &str| {
        let words = format!("root sign tls/servers-ca.csr --root safe --out {out} --yes {more}");
        let mut command = home.pki(&words.split_whitespace().collect::<Vec<_>>());
        // Where the root is there is no home.
        finish(command.env("PKI_HOME", home.path("nowhere")), b"")
    };
    let said = sign("ca.crt", "").exits(2);
    assert!(said.stderr.contains("--domain"), "{said}");
    let said = sign("other.crt", "--domain other.example").ok();
    assert!(
        said.stderr.contains("is signed, for other.example, until"),
        "{said}"
    );
    let said = finish(&mut home.pki(&["ca", "install", "other.crt"]), b"").exits(1);
    assert!(
        said.stderr.contains("not for the domains and addresses"),
        "{said}"
    );
    assert!(said.stderr.contains(options), "{said}");
    assert!(!home.home().join("servers/servers.crt").exists());
    // In whatever order, and as often as somebody says it.
    sign("ca.crt", &format!("{options} --ip-range 192.0.2.0/24")).ok();
    home.run(&["ca", "install", "ca.crt"]);
    home.run(&issue);
}

#[test]
fn no_servers_authority_is_wider_than_what_is_permitted() {
    if !need(&["openssl"]) {
        return;
    }
    let home = root_in_a_safe("--no-ip-constraints");
    let issue = ["server", "issue", "api.acme.example", "--out", "tls"];
    finish(&mut home.pki(&issue), b"").exits(5);
    // The root does not sign what it cannot vouch for itself.
    let sign = "root sign tls/servers-ca.csr --root safe --yes --domain other.example";
    let said = finish(&mut home.pki(&sign.split(' ').collect::<Vec<_>>()), b"").exits(1);
    assert!(said.stderr.contains("the root permits acme.example"), "{said}");
    // One that says of addresses what the root says, by the root's own key: nothing.
    let extensions = "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n\
                      extendedKeyUsage=serverAuth\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n\
                      nameConstraints=critical,permitted;DNS:acme.example,permitted;email:acme.example,\
                      permitted;email:.acme.example,permitted;URI:acme.example,permitted;URI:.acme.example\n";
    home.write_private("wide.cnf", extensions);
    let wide = format!(
        "x509 -req -in tls/servers-ca.csr -CA safe/root.crt -CAkey safe/root.key -passin file:{} -days 300 \
         -subj /O=Acme\\ Ltd/CN=wide -extfile wide.cnf -out wide.crt",
        home.path("root-passphrase").display()
    );
    home.foreign("sh", &["-c", &format!("openssl {wide}")]).ok();
    let said = finish(&mut home.pki(&["ca", "install", "wide.crt"]), b"").exits(1);
    assert!(
        said.stderr.contains("not for the domains and addresses"),
        "{said}"
    );
    assert!(!home.home().join("servers/servers.crt").exists());
}

#[test]
fn how_little_is_said_is_decided_once() {
    let home = Home::unfounded();
    let init = "init --org Acme --domain acme.example --no-ip-constraints --no-name-constraints";
    finish(&mut home.pki(&init.split(' ').collect::<Vec<_>>()), b"").exits(2);
    assert!(!home.home().exists());
}
