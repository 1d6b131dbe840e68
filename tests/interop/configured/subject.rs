//! Whom nginx takes for a device: whose certificate has a device's name in its subject, whatever else is in
//! it.

use super::neighbour::ask;
use super::servers::{Kind, Running};
use super::{HOST, with};
use crate::support::Home;

#[test]
fn nginx_knows_a_device_whatever_its_owner_is_called() {
    with(Kind::Nginx, |kind, home| {
        let people = [
            ("comma", "Doe, Zoë + \"A\" <x>; #1\\"),
            ("backslashes", "Ann \\\\"),
            ("forger", "x,UID=bob/phone,O=Acme Ltd"),
            ("hash", "#04024869"),
            ("equals", "CN=x=y"),
        ];
        let mut bundles: Vec<_> = people
            .iter()
            .map(|(who, name)| (*who, home.issue(who, &["--name", name])))
            .collect();
        home.configure("names_in_certificates", "false");
        bundles.push(("nameless", home.issue("nameless", &["--name", "Alice Doe"])));
        let running = Running::start(kind, home);
        for (who, bundle) in &bundles {
            let (status, said) = running.server.curl(home, Some(bundle), "/");
            assert_eq!(status, Some(200), "{who}: {said}\n{}", running.log());
            assert!(said.stdout.contains(&format!("device=[{who}/phone]\n")), "{said}");
        }
    });
}

/// What the devices' CA has certified otherwise, its own key in the first place, is no device, and none by
/// what its other names say.
#[test]
fn nginx_lets_in_nobody_whose_certificate_names_no_device() {
    with(Kind::Nginx, |kind, home| {
        let running = Running::start(kind, home);
        for (number, subject) in [
            "/O=Acme Ltd/CN=x,UID=bob\\/phone,O=Acme Ltd",
            "/O=x,UID=bob\\/phone,O=y/CN=x",
            "/O=x\\\\\\\\,UID=bob\\/phone,O=y/CN=x",
            "/O=Acme Ltd/CN=UID=bob\\/phone,O=Acme Ltd",
            "/O=Acme Ltd/OU=UID=bob\\/phone",
            "/O=Acme Ltd/UID=bob",
            "/O=Acme Ltd/UID=Bob\\/phone",
            "/O=Acme Ltd/UID=bob\\/phone\\/x",
        ]
        .into_iter()
        .enumerate()
        {
            let status = status_of(home, &running, subject, number + 1);
            assert_eq!(status, Some(403), "{subject}: {}", running.log());
        }
        assert_eq!(running.served(), 0, "the application was asked");
        // It is the name that decides: this one is on no list.
        let named = status_of(home, &running, "/O=Acme Ltd/UID=bob\\/phone/CN=x", 99);
        assert_eq!(named, Some(200), "{}", running.log());
    });
}

/// What the holder of a certificate gets that was made with the key of the devices' CA, and by nobody's
/// rules.
fn status_of(home: &Home, running: &Running, subject: &str, serial: usize) -> Option<u16> {
    let made = r#"
        openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout odd.key -out odd.csr -subj "$1"
        printf 'keyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\n' > odd.ext
        openssl x509 -req -in odd.csr -days 3 -extfile odd.ext -set_serial "$2" -out odd.crt \
            -CA home/issuing/issuing.crt -CAkey home/issuing/issuing.key -passin file:issuing-passphrase
    "#;
    home.foreign("sh", &["-e", "-c", made, "sh", subject, &serial.to_string()])
        .ok();
    let [crt, key] = ["odd.crt", "odd.key"].map(|file| home.path(file).display().to_string());
    let chain = home.path("home/issuing/issuing.crt").display().to_string();
    let arguments = ["-cert", &crt, "-key", &key, "-cert_chain", &chain];
    ask(home, running.server.port, Some(HOST), HOST, &arguments)
}
