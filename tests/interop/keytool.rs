//! Java's `keytool` opens what `pki issue` wrote.

use crate::support::{HOST, Home, need};

#[test]
fn java_finds_a_private_key_with_the_whole_chain_in_both_forms() {
    if !need(&["keytool"]) {
        return;
    }
    let home = Home::new();
    for form in ["modern", "legacy"] {
        let bundle = home.issue(&format!("alice/{form}"), &["--p12", form]);
        let mut arguments = vec![
            "-list",
            "-v",
            "-storetype",
            "PKCS12",
            "-keystore",
            bundle.p12.to_str().unwrap(),
        ];
        arguments.extend(["-storepass:file", bundle.passphrase.to_str().unwrap()]);
        let said = home.foreign("keytool", &arguments).ok();
        for line in [
            "Your keystore contains 1 entry",
            "Entry type: PrivateKeyEntry",
            "Certificate chain length: 2",
        ] {
            assert!(said.stdout.contains(line), "{form}: {line}: {said}");
        }
        let serial = u128::from_str_radix(&bundle.serial, 16).unwrap();
        assert!(
            said.stdout.contains(&format!("Serial number: {serial:x}\n")),
            "{form}: {said}"
        );
    }
}

#[test]
fn java_reads_a_servers_chain_and_takes_it_in_below_the_root() {
    if !need(&["keytool"]) {
        return;
    }
    let home = Home::with_certified_server();
    let file = format!("tls/{HOST}.crt");
    let said = home.foreign("keytool", &["-printcert", "-file", &file]).ok();
    for line in [
        &format!("DNSName: {HOST}"),
        "URIName: http://pki.acme.example/crl/servers.crl",
        "URIName: http://pki.acme.example/ca/servers.der",
        "serverAuth",
        "Owner: CN=Acme Ltd Servers CA, O=Acme Ltd",
    ] {
        assert!(said.stdout.contains(line), "{line}: {said}");
    }
    assert!(!said.stdout.contains("clientAuth"), "{said}");
    // What Java imports as trusted without a question, it has chained to one that it trusts.
    let import = |alias: &str, file: &str, more: &[&str]| {
        let mut arguments = vec![
            "-importcert",
            "-alias",
            alias,
            "-file",
            file,
            "-keystore",
            "trust",
        ];
        arguments.extend(["-storetype", "PKCS12", "-storepass", "changeit"]);
        arguments.extend(more);
        home.foreign_given("keytool", &arguments, b"no\n")
    };
    import("root", "home/public/ca/root.crt", &["-noprompt"]).ok();
    for (alias, file) in [("ca", "home/public/ca/servers.crt"), ("server", &file)] {
        let said = import(alias, file, &[]).ok();
        assert!(
            said.stderr.contains("Certificate was added to keystore"),
            "{said}"
        );
    }
    let said = home
        .foreign("keytool", &["-printcrl", "-file", "home/public/crl/servers.crl"])
        .ok();
    assert!(
        said.stdout.contains("Issuer: CN=Acme Ltd Servers CA, O=Acme Ltd"),
        "{said}"
    );
}
