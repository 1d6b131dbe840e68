//! A scanner reads the code that `pki issue --qr bundle` drew, and it is the bundle.

use crate::support::{Home, base45_decoded, need};

#[test]
fn the_code_of_either_form_scans_to_the_very_bundle_and_opens() {
    if !need(&["zbarimg", "openssl"]) {
        return;
    }
    let home = Home::new();
    for form in ["modern", "legacy"] {
        let name = format!("alice/{form}");
        let bundle = home.issue(&name, &["--qr", "bundle", "--p12", form, "--name", "Alice Doe"]);
        let stem = name.replace('/', "-");
        for made in [format!("{stem}.qr.png"), format!("{stem}.qr.svg")] {
            assert!(
                bundle.files.contains(&home.path(&made)),
                "{made} in {:?}",
                bundle.files
            );
        }
        let picture = home.path(format!("{stem}.qr.png"));
        let arguments = [
            "--quiet",
            "--raw",
            "-Sdisable",
            "-Sqrcode.enable",
            picture.to_str().unwrap(),
        ];
        let said = home.foreign("zbarimg", &arguments).ok();
        let text = said
            .stdout
            .strip_suffix('\n')
            .unwrap()
            .strip_prefix("PKI1:")
            .unwrap_or_else(|| panic!("{said}"));
        assert_eq!(
            base45_decoded(text),
            std::fs::read(&bundle.p12).unwrap(),
            "{form}"
        );

        let scanned = home.path("scanned.p12");
        std::fs::write(&scanned, base45_decoded(text)).unwrap();
        let passphrase = format!("file:{}", bundle.passphrase.display());
        let mut arguments = vec!["pkcs12", "-in", scanned.to_str().unwrap(), "-passin", &passphrase];
        arguments.extend(["-nokeys", "-clcerts"]);
        let opened = home.foreign("openssl", &arguments).ok().stdout;
        assert!(opened.contains("-----BEGIN CERTIFICATE-----"), "{opened}");
    }
}
