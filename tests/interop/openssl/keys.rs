//! The keys of the authorities: opened by OpenSSL with their passphrases, and by nothing else.

use std::os::unix::fs::PermissionsExt;

use super::x509;
use crate::support::{Home, need};

/// Each key, its certificate, its passphrase, and that of the other.
const KEYS: [(&str, &str, &str, &str); 2] = [
    (
        "root/root.key",
        "root/root.crt",
        "root-passphrase",
        "issuing-passphrase",
    ),
    (
        "issuing/issuing.key",
        "issuing/issuing.crt",
        "issuing-passphrase",
        "root-passphrase",
    ),
];

#[test]
fn openssl_opens_each_key_with_its_passphrase_and_it_is_the_certificates() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::founded();
    for (key, certificate, passphrase, _) in KEYS {
        let key = home.home().join(key);
        let passphrase = format!("file:{passphrase}");
        let open = |out: &str| {
            home.foreign(
                "openssl",
                &["pkey", "-in", key.to_str().unwrap(), "-passin", &passphrase, out],
            )
            .ok()
            .stdout
        };
        assert!(open("-text_pub").contains("ASN1 OID: prime256v1"));
        assert_eq!(
            open("-pubout"),
            x509(&home, &home.home().join(certificate), &["-pubkey"])
        );
    }
}

#[test]
fn no_key_opens_with_the_passphrase_of_the_other() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::founded();
    for (key, _, _, wrong) in KEYS {
        let key = home.home().join(key);
        let wrong = format!("file:{wrong}");
        home.foreign(
            "openssl",
            &["pkey", "-in", key.to_str().unwrap(), "-passin", &wrong, "-noout"],
        )
        .exits(1);
    }
}

#[test]
fn keys_are_encrypted_with_scrypt_of_16384_8_8_and_aes_256() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::founded();
    for (key, ..) in KEYS {
        let key = home.home().join(key);
        let pem = std::fs::read_to_string(&key).unwrap();
        assert!(
            pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"),
            "{key:?}"
        );
        let told = home
            .foreign("openssl", &["asn1parse", "-in", key.to_str().unwrap()])
            .ok()
            .stdout;
        let values: Vec<&str> = told
            .lines()
            .filter(|line| line.contains("OBJECT") || line.contains("INTEGER"))
            .map(|line| line.rsplit(':').next().unwrap())
            .collect();
        assert_eq!(
            values,
            ["PBES2", "scrypt", "4000", "08", "08", "aes-256-cbc"],
            "{told}"
        );
    }
}

#[test]
fn keys_are_readable_by_their_owner_alone() {
    let home = Home::founded();
    for (key, ..) in KEYS {
        let key = home.home().join(key);
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(
            (mode(&key), mode(key.parent().unwrap()), mode(&home.home())),
            (0o600, 0o700, 0o700),
            "{key:?}"
        );
    }
}
