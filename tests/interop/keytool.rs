//! Java's `keytool` opens what `pki issue` wrote.

use crate::support::{Home, need};

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
