//! Apache, which can demand a certificate for one place alone, and then asks for it only after it has read
//! the request.

use std::process::Stdio;

use super::{check, codes};
use crate::support::{Home, Server, ServerCertificate, need, program};

/// Starts one that demands certificates in `place`.
fn start(home: &Home, place: &str) -> Server {
    ServerCertificate::make(home);
    let bundle = home.public("ca/bundle.pem");
    let started = Server::on_free_port(|port| {
        let modules: String = ["mpm_event", "authz_core", "ssl", "socache_shmcb"]
            .map(|module| format!("LoadModule {module}_module /usr/lib/apache2/modules/mod_{module}.so\n"))
            .concat();
        let text = format!(
            "{modules}ServerName localhost\nPidFile apache.pid\nListen 127.0.0.1:{port}\nErrorLog apache.log\n\
             DocumentRoot \"{root}\"\n<VirtualHost 127.0.0.1:{port}>\nSSLEngine on\nSSLProtocol -all +TLSv1.2 +TLSv1.3\n\
             SSLCipherSuite ECDHE+AESGCM:ECDHE+CHACHA20\nSSLCertificateFile server.crt\nSSLCertificateKeyFile server.key\n\
             SSLCACertificateFile \"{bundle}\"\n{place}\n</VirtualHost>\n",
            root = home.path("").display(),
            bundle = bundle.display(),
        );
        std::fs::write(home.path("apache.conf"), text).unwrap();
        let mut command = program("apache2");
        command
            .arg("-d")
            .arg(home.path(""))
            .args(["-f", "apache.conf", "-D", "FOREGROUND"]);
        command
            .current_dir(home.path(""))
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        command
    });
    started.unwrap_or_else(|| {
        let log = std::fs::read_to_string(home.path("apache.log")).unwrap_or_default();
        panic!("apache2 does not start: {log}")
    })
}

#[test]
fn a_certificate_that_is_demanded_for_a_place_is_told_in_apaches_words() {
    if !need(&["apache2", "openssl"]) {
        return;
    }
    let home = Home::staffed();
    let verify = "SSLVerifyClient require\nSSLVerifyDepth 2";
    let server = start(&home, &format!("<Location />\n{verify}\n</Location>"));
    let said = check(&home, server.port, &["--no-canary"]).exits(3);
    assert!(
        codes(&said).contains(&"certificate-not-asked".to_owned()),
        "{said}"
    );
    let told = said.json();
    let findings = told["findings"].as_array().unwrap().iter();
    let mut remedies = findings
        .filter(|finding| finding["code"] == "certificate-not-asked")
        .map(|finding| finding["remedy"].as_str().unwrap().to_owned());
    let remedy = remedies.next().unwrap();
    assert!(
        remedy.contains("Apache: `SSLVerifyClient require` for the whole <VirtualHost>"),
        "{remedy}"
    );
    drop(server);
    // What the remedy says mends it.
    let server = start(&home, verify);
    let said = check(&home, server.port, &["--no-canary"]).exits(0);
    assert_eq!(codes(&said), [""; 0], "{said}");
}
