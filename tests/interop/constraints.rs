//! CAs that say nothing of IP addresses, for verifiers that cannot read what is said.

use crate::support::{Bundle, Home, finish, need};

/// strongSwan's own tool has the name of ours.
const STRONGSWAN: &str = "/usr/bin/pki";

/// A home that is made with `--no-ip-constraints`, whose certificates name nobody: Botan takes any CN for a host's name.
fn home() -> (Home, Bundle) {
    let home = Home::unfounded();
    let init = [
        "init",
        "--org",
        "Acme Ltd",
        "--domain",
        "acme.example",
        "--no-ip-constraints",
    ];
    let said = home.run(&init);
    assert!(said.stderr.contains("any IP address"), "{said}");
    home.configure("names_in_certificates", "false");
    let alice = home.issue("alice", &[]);
    (home, alice)
}

#[test]
fn strongswan_and_botan_take_cas_that_say_nothing_of_ip_addresses() {
    if !need(&["openssl", STRONGSWAN, "botan"]) {
        return;
    }
    let (home, alice) = home();
    let [leaf, _, _] = home.opened(&alice).map(|path| path.display().to_string());
    let [root, issuing] =
        ["root", "issuing"].map(|ca| home.public(&format!("ca/{ca}.crt")).display().to_string());
    let said = home.foreign(
        STRONGSWAN,
        &["--verify", "--in", &leaf, "--cacert", &root, "--cacert", &issuing],
    );
    // It takes a certificate whose CA it cannot read for a trusted one.
    assert!(said.text().contains("reached self-signed root ca"), "{said}");
    home.foreign("botan", &["cert_verify", &leaf, &root, &issuing])
        .ok();
}

#[test]
fn the_servers_authority_says_nothing_of_ip_addresses_either_and_certifies_any_and_names_of_its_domains_alone()
 {
    if !need(&["openssl"]) {
        return;
    }
    let (home, _) = home();
    for (host, permitted) in [("192.0.2.7", true), ("api.other.example", false)] {
        home.run(&["server", "add", host, "--out", "tls"]);
        let said = finish(&mut home.pki(&["server", "issue", host, "--out", "tls"]), b"");
        assert_eq!(said.code == Some(0), permitted, "{said}");
    }
    let servers = home.public("ca/servers.crt").display().to_string();
    let said = home
        .foreign("openssl", &["x509", "-in", &servers, "-noout", "-text"])
        .ok();
    assert!(said.stdout.contains("DNS:acme.example"), "{said}");
    assert!(
        !said.stdout.contains("Excluded") && !said.stdout.contains("IP:"),
        "{said}"
    );
    let said = home.run(&["doctor"]);
    assert!(!said.text().to_lowercase().contains("constraint"), "{said}");
}

#[test]
fn ranges_of_addresses_and_nothing_said_of_them_contradict_each_other() {
    let home = Home::unfounded();
    let init = [
        "init",
        "--org",
        "Acme Ltd",
        "--domain",
        "acme.example",
        "--no-ip-constraints",
        "--ip-range",
        "10.0.0.0/8",
    ];
    finish(&mut home.pki(&init), b"").exits(2);
    assert!(!home.home().exists());
}
