//! Another server on the same port, with a CA for clients of its own: whoever that one lets in is none of our
//! devices.

use super::servers::{Beside, Kind, Running};
use super::{HOST, with};
use crate::support::Home;

pub const OTHER: &str = "other.acme.example";

/// The other server, which is the default one of the port: it answers 410 to whom its own CA has certified.
pub fn configuration(kind: Kind, port: u16) -> String {
    match kind {
        Kind::Nginx => format!(
            "server {{\n listen {port} ssl default_server;\n server_name {OTHER};\n ssl_certificate other.crt;\n \
             ssl_certificate_key other.key;\n ssl_protocols TLSv1.2 TLSv1.3;\n ssl_verify_client on;\n ssl_client_certificate other-ca.crt;\n return 410;\n}}\n"
        ),
        Kind::Apache => format!(
            "<VirtualHost *:{port}>\n ServerName {OTHER}\n SSLEngine on\n SSLCertificateFile other.crt\n \
             SSLCertificateKeyFile other.key\n SSLVerifyClient require\n SSLCACertificateFile other-ca.crt\n \
             RewriteEngine on\n RewriteRule \"^\" \"-\" [R=410,L]\n</VirtualHost>\n"
        ),
        Kind::Caddy => format!(
            "\nhttps://:{port} {{\n tls other.crt other.key {{\n  client_auth {{\n   mode require_and_verify\n   \
             trusted_ca_cert_file other-ca.crt\n  }}\n }}\n respond 410\n}}\n"
        ),
        Kind::Haproxy | Kind::Envoy | Kind::Node => {
            panic!("{kind:?} has one CA for all that come by its port")
        }
    }
}

/// A CA of somebody else, and a client of it whose certificate has the serial number and the name of bob's
/// phone.
pub const STRANGERS: &str = r#"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj /CN=other -days 30 -keyout other-ca.key -out other-ca.crt
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj '/O=Acme Ltd/UID=bob\/phone/CN=eve' -keyout eve.key -out eve.csr
openssl x509 -req -in eve.csr -CA other-ca.crt -CAkey other-ca.key -set_serial "0x$1" -days 30 -out eve.crt
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj /CN=other -days 30 -keyout other.key -out other.crt \
    -addext subjectAltName=DNS:other.acme.example -addext basicConstraints=critical,CA:FALSE
"#;

#[test]
fn nginx_lets_in_nobody_by_the_authority_of_another_server_on_its_port() {
    with(Kind::Nginx, nobody_gets_in_by_the_authority_of_another_server);
}

#[test]
fn apache_lets_in_nobody_by_the_authority_of_another_server_on_its_port() {
    with(Kind::Apache, nobody_gets_in_by_the_authority_of_another_server);
}

#[test]
fn caddy_lets_in_nobody_by_the_authority_of_another_server_on_its_port() {
    with(Kind::Caddy, nobody_gets_in_by_the_authority_of_another_server);
}

/// The certificate is checked as the name in the handshake says (SNI), the request is answered as its header
/// `Host` says.
fn nobody_gets_in_by_the_authority_of_another_server(kind: Kind, home: &Home) {
    home.foreign("sh", &["-e", "-c", STRANGERS, "sh", &home.serial_of("bob/phone")])
        .ok();
    let running = Running::start_beside(kind, home, Beside::Neighbour);
    let eve = ["eve.crt", "eve.key"].map(|file| home.path(file));
    for version in ["-tls1_2", "-tls1_3"] {
        let ask = |sni: Option<&str>, host: &str| {
            let mut arguments = vec![version, "-cert", eve[0].to_str().unwrap()];
            arguments.extend(["-key", eve[1].to_str().unwrap()]);
            ask(home, running.server.port, sni, host, &arguments)
        };
        assert_eq!(ask(Some(OTHER), OTHER), Some(410), "{}", running.log());
        for sni in [None, Some("unknown.example"), Some(OTHER)] {
            let status = ask(sni, HOST);
            assert_eq!(status, Some(421), "{version} {sni:?}");
            assert_eq!(
                running.served(),
                0,
                "{version} {sni:?}: the application was asked"
            );
        }
    }
    let [leaf, chain, key] = home.opened(&home.alice());
    for sni in [HOST, &HOST.to_uppercase()] {
        let parts = [&leaf, &chain, &key].map(|part| part.to_str().unwrap());
        let arguments = ["-cert", parts[0], "-cert_chain", parts[1], "-key", parts[2]];
        let status = ask(home, running.server.port, Some(sni), HOST, &arguments);
        assert_eq!(status, Some(200), "{sni}: {}", running.log());
    }
}

/// The status that a client gets which says one name in the handshake, and another in the request.
pub fn ask(home: &Home, port: u16, sni: Option<&str>, host: &str, more: &[&str]) -> Option<u16> {
    let address = format!("127.0.0.1:{port}");
    let mut arguments = vec!["30", "openssl", "s_client", "-connect", &address, "-ign_eof"];
    match sni {
        Some(name) => arguments.extend(["-servername", name]),
        None => arguments.push("-noservername"),
    }
    arguments.extend(more);
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let said = home.foreign_given("timeout", &arguments, request.as_bytes());
    assert_ne!(said.code, Some(124), "no answer: {said}");
    let answer = said.stdout.split("HTTP/1.1 ").nth(1);
    answer.map(|rest| rest[..3].parse().unwrap())
}
