//! NSS, the store of Firefox and Chromium on Linux, imports what `pki issue` wrote.

use crate::support::{Home, need};

#[test]
fn nss_imports_key_and_chain_of_both_forms() {
    if !need(&["pk12util", "certutil"]) {
        return;
    }
    let home = Home::new();
    for form in ["modern", "legacy"] {
        let bundle = home.issue(&format!("alice/{form}"), &["--p12", form, "--name", "Alice Doe"]);
        let directory = home.path(form);
        std::fs::create_dir(&directory).unwrap();
        let database = format!("sql:{}", directory.display());
        let run = |program: &str, arguments: &[&str]| home.foreign(program, arguments).ok().stdout;
        run("certutil", &["-N", "-d", &database, "--empty-password"]);
        let [p12, passphrase] = [&bundle.p12, &bundle.passphrase].map(|path| path.to_str().unwrap());
        run("pk12util", &["-i", p12, "-d", &database, "-w", passphrase]);
        let keys = run("certutil", &["-K", "-d", &database]);
        assert!(
            keys.lines().filter(|line| line.contains("< 0> ec ")).count() == 1,
            "{form}: {keys}"
        );
        let certificates = run("certutil", &["-L", "-d", &database]);
        assert_eq!(
            certificates.matches("u,u,u").count(),
            1,
            "one with a key: {certificates}"
        );
        assert!(
            certificates.contains("Acme Ltd Issuing CA"),
            "{form}: {certificates}"
        );
    }
}
