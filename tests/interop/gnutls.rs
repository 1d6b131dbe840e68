//! GnuTLS opens what `pki issue` wrote.

use crate::support::{HOST, Home, finish, need, program};

#[test]
fn gnutls_opens_certificates_and_key_of_both_forms() {
    if !need(&["certtool"]) {
        return;
    }
    let home = Home::new();
    for form in ["modern", "legacy"] {
        let bundle = home.issue(&format!("alice/{form}"), &["--p12", form]);
        let passphrase = bundle.passphrase();
        let certtool = |arguments: &[&str]| {
            let mut command = program("certtool");
            command.args(arguments).args(["--password", &passphrase]);
            finish(&mut command, b"").ok().stdout
        };
        let told = certtool(&["--p12-info", "--inder", "--infile", bundle.p12.to_str().unwrap()]);
        assert_eq!(told.matches("BEGIN CERTIFICATE").count(), 2, "{form}: {told}");
        // It shows the key still encrypted: opening it is a second command.
        let (_, key) = told
            .split_once("-----BEGIN ENCRYPTED PRIVATE KEY")
            .unwrap_or_else(|| panic!("{form}: {told}"));
        let key = home.write_private("key.pem", &format!("-----BEGIN ENCRYPTED PRIVATE KEY{key}"));
        let told = certtool(&["--key-info", "--infile", key.to_str().unwrap()]);
        assert!(told.contains("SECP256R1"), "{form}: {told}");
    }
}

#[test]
fn gnutls_verifies_a_device_through_the_published_chain() {
    if !need(&["certtool", "openssl"]) {
        return;
    }
    let home = Home::staffed();
    let [leaf, chain, _] = home.opened(&home.alice());
    let text = [leaf, chain]
        .map(|path| std::fs::read_to_string(path).unwrap())
        .concat();
    let root = home.public("ca/root.crt");
    let mut arguments = vec!["--verify", "--load-ca-certificate", root.to_str().unwrap()];
    arguments.extend(["--verify-purpose", "1.3.6.1.5.5.7.3.2"]);
    let said = home.foreign_given("certtool", &arguments, text.as_bytes()).ok();
    assert!(
        said.stdout
            .contains("Chain verification output: Verified. The certificate is trusted."),
        "{said}"
    );
}

#[test]
fn gnutls_takes_a_server_for_what_it_is_until_its_certificate_is_revoked() {
    if !need(&["certtool"]) {
        return;
    }
    let home = Home::with_certified_server();
    let chain = std::fs::read(home.path(format!("tls/{HOST}.crt"))).unwrap();
    let verified = |purpose: &str, host: &str| {
        let crls =
            ["root", "servers"].map(|ca| std::fs::read(home.public(&format!("crl/{ca}.pem"))).unwrap());
        std::fs::write(home.path("crls.pem"), crls.concat()).unwrap();
        let mut arguments = vec!["--verify", "--load-ca-certificate", "home/public/ca/root.crt"];
        arguments.extend(["--load-crl", "crls.pem", "--verify-hostname", host]);
        arguments.extend(["--verify-purpose", purpose]);
        home.foreign_given("certtool", &arguments, &chain)
    };
    let (server, client) = ("1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2");
    let said = verified(server, HOST).ok();
    assert!(
        said.stdout
            .contains("Chain verification output: Verified. The certificate is trusted."),
        "{said}"
    );
    verified(client, HOST).exits(1);
    verified(server, "www.acme.example").exits(1);
    let listed = home.run(&["server", "list", "--json"]).json();
    let serial = listed["servers"][0]["certificate"]["serial"].as_str().unwrap();
    home.run(&["revoke", serial, "--yes", "--reason", "compromised"]);
    let said = verified(server, HOST).exits(1);
    assert!(said.text().contains("revoked"), "{said}");
}
