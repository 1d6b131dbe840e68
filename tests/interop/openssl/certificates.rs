//! Every field of the contract's table of certificates.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::{BACKDATED_AT_MOST, Critical, DAY, Extensions, Uncritical, extensions, line, now, unix, x509};
use crate::support::{HOST, Home, need};

const ALG: &str = "ecdsa-with-SHA256";

#[test]
fn the_root_holds_the_fields_of_the_contract_and_no_others() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    let root = home.public("ca/root.crt");
    let text = text(&home, &root);
    assert_eq!(line(&text, "Subject: "), "O = Acme Ltd, CN = Acme Ltd Root CA");
    assert_eq!(line(&text, "Issuer: "), "O = Acme Ltd, CN = Acme Ltd Root CA");
    let identifier = identifier(&text);
    let expected = [
        (
            "Basic Constraints",
            Critical,
            vec!["CA:TRUE, pathlen:1".to_owned()],
        ),
        ("Key Usage", Critical, vec!["Certificate Sign, CRL Sign".into()]),
        ("Name Constraints", Critical, name_constraints()),
        ("Subject Key Identifier", Uncritical, vec![identifier.clone()]),
        ("Authority Key Identifier", Uncritical, vec![identifier]),
    ];
    assert_eq!(sorted(extensions(&text, HEADING)), table(&expected));
}

#[test]
fn the_issuing_authority_holds_the_fields_of_the_contract_and_no_others() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    let text = text(&home, &home.public("ca/issuing.crt"));
    assert_eq!(line(&text, "Subject: "), "O = Acme Ltd, CN = Acme Ltd Issuing CA");
    assert_eq!(line(&text, "Issuer: "), "O = Acme Ltd, CN = Acme Ltd Root CA");
    let mut expected = issuing_without_pointers(&home, &text);
    expected.extend(pointers("root"));
    assert_eq!(sorted(extensions(&text, HEADING)), table(&expected));
}

#[test]
fn a_device_holds_the_fields_of_the_contract_and_no_others() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::staffed();
    let alice = home.alice();
    let [leaf, chain, _] = home.opened(&alice);
    let text = text(&home, &leaf);
    assert_eq!(
        line(&text, "Subject: "),
        "O = Acme Ltd, UID = alice/phone, CN = Alice Doe (phone)"
    );
    assert_eq!(line(&text, "Issuer: "), "O = Acme Ltd, CN = Acme Ltd Issuing CA");
    let mut expected = device_without_pointers(&home, &text, &chain);
    expected.push((
        "Subject Alternative Name",
        Uncritical,
        vec!["email:alice@acme.example".into()],
    ));
    expected.extend(pointers("issuing"));
    assert_eq!(sorted(extensions(&text, HEADING)), table(&expected));
}

/// A home with a server of its own CA: the certificate alone.
fn with_server(home: &Home) -> PathBuf {
    home.run(&["server", "add", HOST, "--out", "tls"]);
    home.run(&["server", "issue", HOST, "--out", "tls"]);
    home.path(format!("tls/{HOST}.crt"))
}

#[test]
fn the_servers_authority_and_a_server_hold_the_fields_of_the_contract_and_no_others() {
    if !need(&["openssl"]) {
        return;
    }
    for (home, points) in [(Home::new(), true), (Home::bare(), false)] {
        let leaf = with_server(&home);
        let servers = home.public("ca/servers.crt");
        let (server, authority) = (text(&home, &leaf), text(&home, &servers));
        assert_eq!(
            line(&authority, "Subject: "),
            "O = Acme Ltd, CN = Acme Ltd Servers CA"
        );
        assert_eq!(
            line(&authority, "Issuer: "),
            "O = Acme Ltd, CN = Acme Ltd Root CA"
        );
        let root = identifier(&text(&home, &home.public("ca/root.crt")));
        let mut expected = vec![
            ("Basic Constraints", Critical, vec!["CA:TRUE, pathlen:0".into()]),
            ("Key Usage", Critical, vec!["Certificate Sign, CRL Sign".into()]),
            (
                "Extended Key Usage",
                Uncritical,
                vec!["TLS Web Server Authentication".into()],
            ),
            ("Name Constraints", Critical, name_constraints()),
            ("Subject Key Identifier", Uncritical, vec![identifier(&authority)]),
            ("Authority Key Identifier", Uncritical, vec![root]),
        ];
        expected.extend(pointers("root").into_iter().filter(|_| points));
        assert_eq!(sorted(extensions(&authority, HEADING)), table(&expected));

        assert_eq!(line(&server, "Subject: "), format!("CN = {HOST}"));
        assert_eq!(
            line(&server, "Issuer: "),
            "O = Acme Ltd, CN = Acme Ltd Servers CA"
        );
        let mut expected = vec![
            ("Key Usage", Critical, vec!["Digital Signature".into()]),
            (
                "Extended Key Usage",
                Uncritical,
                vec!["TLS Web Server Authentication".into()],
            ),
            (
                "Subject Alternative Name",
                Uncritical,
                vec![format!("DNS:{HOST}")],
            ),
            ("Subject Key Identifier", Uncritical, vec![identifier(&server)]),
            (
                "Authority Key Identifier",
                Uncritical,
                vec![identifier(&authority)],
            ),
        ];
        expected.extend(pointers("servers").into_iter().filter(|_| points));
        assert_eq!(sorted(extensions(&server, HEADING)), table(&expected));

        for (text, file) in [(&server, &leaf), (&authority, &servers)] {
            assert_eq!(line(text, "ASN1 OID: "), "prime256v1");
            assert_eq!(text.matches(&format!("Signature Algorithm: {ALG}")).count(), 2);
            let serial = x509(&home, file, &["-serial"]);
            let serial = line(&serial, "serial=");
            assert_eq!(serial.len(), 32, "{serial}");
            let first = u8::from_str_radix(&serial[..2], 16).unwrap();
            assert!((0x01..=0x7f).contains(&first), "{serial}");
        }
        let nested = [home.public("ca/root.crt"), servers, leaf].map(|file| validity(&home, &file));
        for pair in nested.windows(2) {
            assert!(pair[0].0 <= pair[1].0 && pair[1].1 <= pair[0].1, "{nested:?}");
        }
        assert_eq!(nested[2].1 - nested[2].0, 90 * DAY - 1);
        let years = (nested[1].1 + 1 - nested[1].0) as f64 / DAY as f64 / 365.25;
        assert!((years - 5.0).abs() < 0.01, "{years} years");
        assert!((0..=BACKDATED_AT_MOST).contains(&(now() - nested[2].0)));
    }
}

#[test]
fn a_server_at_an_address_that_is_permitted_is_named_by_it() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::unfounded();
    let mut init = vec!["init", "--org", "Acme Ltd", "--domain", "acme.example"];
    init.extend(["--ip-range", "10.0.0.0/8", "--ip-range", "fd00::/8"]);
    home.run(&init);
    for (host, stem, shown) in [
        ("10.1.2.3", "10.1.2.3", "IP Address:10.1.2.3"),
        ("fd00::1", "fd00--1", "IP Address:FD00:0:0:0:0:0:0:1"),
    ] {
        home.run(&["server", "add", host, "--out", "tls"]);
        home.run(&["server", "issue", host, "--out", "tls"]);
        let file = format!("tls/{stem}.crt");
        let text = text(&home, &home.path(&file));
        let names = &extensions(&text, HEADING)["X509v3 Subject Alternative Name"].1;
        assert_eq!(*names, [shown]);
        let mut verify = vec![
            "verify",
            "-x509_strict",
            "-purpose",
            "sslserver",
            "-verify_ip",
            host,
        ];
        verify.extend([
            "-CAfile",
            "home/public/ca/root.crt",
            "-untrusted",
            "home/public/ca/servers.crt",
        ]);
        verify.push(&file);
        home.foreign("openssl", &verify).ok();
    }
}

#[test]
fn without_name_and_email_a_device_is_called_by_its_employee_and_has_no_alternative_name() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::staffed();
    let [leaf, chain, _] = home.opened(&home.bob());
    let text = text(&home, &leaf);
    assert_eq!(
        line(&text, "Subject: "),
        "O = Acme Ltd, UID = bob/phone, CN = bob (phone)"
    );
    let mut expected = device_without_pointers(&home, &text, &chain);
    expected.extend(pointers("issuing"));
    assert_eq!(sorted(extensions(&text, HEADING)), table(&expected));
}

#[test]
fn without_a_base_url_no_certificate_points_anywhere() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::bare();
    let [leaf, chain, _] = home.opened(&home.issue("alice", &[]));
    let issuing = text(&home, &home.public("ca/issuing.crt"));
    assert_eq!(
        sorted(extensions(&issuing, HEADING)),
        table(&issuing_without_pointers(&home, &issuing))
    );
    let device = text(&home, &leaf);
    assert_eq!(
        sorted(extensions(&device, HEADING)),
        table(&device_without_pointers(&home, &device, &chain))
    );
}

#[test]
fn with_names_hidden_a_device_has_its_address_alone() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::bare();
    home.configure("names_in_certificates", "false");
    let bundle = home.issue("alice", &["--name", "Alice Doe", "--email", "alice@acme.example"]);
    let [leaf, chain, _] = home.opened(&bundle);
    let text = text(&home, &leaf);
    assert_eq!(line(&text, "Subject: "), "O = Acme Ltd, UID = alice/phone");
    assert_eq!(
        sorted(extensions(&text, HEADING)),
        table(&device_without_pointers(&home, &text, &chain))
    );
}

#[test]
fn an_email_outside_of_the_constraints_stays_out_of_the_certificate() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::bare();
    let [leaf, _, _] = home.opened(&home.issue("alice", &["--email", "alice@elsewhere.example"]));
    assert!(!extensions(&text(&home, &leaf), HEADING).contains_key("X509v3 Subject Alternative Name"));
}

#[test]
fn a_long_name_is_cut_to_a_common_name_of_64_characters() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::bare();
    let [leaf, _, _] = home.opened(&home.issue("alice", &["--name", &"ä".repeat(120)]));
    let text = text(&home, &leaf);
    let (_, common_name) = line(&text, "Subject: ").split_once("CN = ").unwrap();
    assert_eq!(
        common_name,
        format!("{} (phone)", "ä".repeat(64 - " (phone)".len()))
    );
}

#[test]
fn every_serial_has_sixteen_octets_the_first_from_01_to_7f_and_none_is_there_twice() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::staffed();
    let [alice, bob] = [home.alice(), home.bob()];
    let mut certificates = vec![home.public("ca/root.crt"), home.public("ca/issuing.crt")];
    certificates.extend([&alice, &bob].map(|bundle| home.opened(bundle)[0].clone()));
    let serials: Vec<String> = certificates
        .iter()
        .map(|file| line(&x509(&home, file, &["-serial"]), "serial=").to_owned())
        .collect();
    for serial in &serials {
        assert_eq!(serial.len(), 32, "{serial}");
        let first = u8::from_str_radix(&serial[..2], 16).unwrap();
        assert!((0x01..=0x7f).contains(&first), "{serial}");
    }
    assert_eq!(
        serials.iter().collect::<HashSet<_>>().len(),
        serials.len(),
        "{serials:?}"
    );
    assert_eq!(serials[2..], [alice.serial, bob.serial]);
}

#[test]
fn every_key_is_p_256_and_every_signature_ecdsa_with_sha_256() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::staffed();
    let leaf = home.opened(&home.alice())[0].clone();
    for certificate in [home.public("ca/root.crt"), home.public("ca/issuing.crt"), leaf] {
        let text = text(&home, &certificate);
        assert_eq!(line(&text, "ASN1 OID: "), "prime256v1");
        let algorithms = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Signature Algorithm: "));
        assert_eq!(algorithms.collect::<Vec<_>>(), [ALG, ALG]);
    }
}

#[test]
fn certificates_begin_minutes_ago_and_last_as_long_as_the_contract_says() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::bare();
    let [leaf, _, _] = home.opened(&home.issue("alice", &[]));
    let [short, _, _] = home.opened(&home.issue("alice/tablet", &["--days", "7"]));
    for (certificate, days) in [(leaf, 90), (short, 7)] {
        let (begin, end) = validity(&home, &certificate);
        assert!(
            (0..=BACKDATED_AT_MOST).contains(&(now() - begin)),
            "begins {} s ago",
            now() - begin
        );
        assert_eq!(end - begin, days * DAY - 1, "{days} days");
    }
    for (certificate, years) in [("ca/root.crt", 10), ("ca/issuing.crt", 5)] {
        let (begin, end) = validity(&home, &home.public(certificate));
        // A year has 365 or 366 days; both ways to count are ten years.
        let days = (end + 1 - begin) as f64 / DAY as f64;
        assert!(
            (days - 365.25 * f64::from(years)).abs() < 3.0,
            "{certificate}: {days} days"
        );
    }
}

#[test]
fn no_certificate_begins_before_its_issuer_or_outlives_it() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::bare();
    let [leaf, _, _] = home.opened(&home.issue("alice", &["--days", "398"]));
    let nested = [home.public("ca/root.crt"), home.public("ca/issuing.crt"), leaf];
    for pair in nested.windows(2) {
        let (above, below) = (validity(&home, &pair[0]), validity(&home, &pair[1]));
        assert!(above.0 <= below.0 && below.1 <= above.1, "{above:?} {below:?}");
    }
}

#[test]
fn the_certificates_of_a_publication_are_the_same_in_each_form() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    let fingerprint = |file: &str, form: &str| {
        let path = home.public(file);
        let arguments = [
            "x509",
            "-in",
            path.to_str().unwrap(),
            "-inform",
            form,
            "-noout",
            "-fingerprint",
            "-sha256",
        ];
        home.foreign("openssl", &arguments).ok().stdout
    };
    for authority in ["root", "issuing"] {
        let [pem, der] = [format!("ca/{authority}.crt"), format!("ca/{authority}.der")];
        assert_eq!(fingerprint(&pem, "PEM"), fingerprint(&der, "DER"));
    }
    let [root, issuing, bundle] = ["root.crt", "issuing.crt", "bundle.pem"]
        .map(|file| std::fs::read_to_string(home.public(&format!("ca/{file}"))).unwrap());
    assert_eq!(bundle, root + &issuing);
}

const HEADING: &str = "X509v3 extensions:";
type Row = (&'static str, super::Criticality, Vec<String>);

fn table(rows: &[Row]) -> Extensions {
    let name = |short: &str| match short {
        "Authority Information Access" => short.to_owned(),
        short => format!("X509v3 {short}"),
    };
    sorted(
        rows.iter()
            .map(|(short, critical, lines)| (name(short), (*critical, lines.clone())))
            .collect(),
    )
}

/// The order of names within an extension says nothing.
fn sorted(mut extensions: Extensions) -> Extensions {
    extensions.values_mut().for_each(|(_, lines)| lines.sort());
    extensions
}

fn issuing_without_pointers(home: &Home, text: &str) -> Vec<Row> {
    let root = identifier(&self::text(home, &home.public("ca/root.crt")));
    vec![
        ("Basic Constraints", Critical, vec!["CA:TRUE, pathlen:0".into()]),
        (
            "Key Usage",
            Critical,
            vec!["Digital Signature, Certificate Sign, CRL Sign".into()],
        ),
        (
            "Extended Key Usage",
            Uncritical,
            vec!["TLS Web Client Authentication".into()],
        ),
        ("Name Constraints", Critical, name_constraints()),
        ("Subject Key Identifier", Uncritical, vec![identifier(text)]),
        ("Authority Key Identifier", Uncritical, vec![root]),
    ]
}

fn device_without_pointers(home: &Home, text: &str, chain: &Path) -> Vec<Row> {
    let issuing = identifier(&self::text(home, chain));
    vec![
        ("Key Usage", Critical, vec!["Digital Signature".into()]),
        (
            "Extended Key Usage",
            Uncritical,
            vec!["TLS Web Client Authentication".into()],
        ),
        ("Subject Key Identifier", Uncritical, vec![identifier(text)]),
        ("Authority Key Identifier", Uncritical, vec![issuing]),
    ]
}

fn pointers(issuer: &str) -> [Row; 2] {
    let crl = format!("URI:http://pki.acme.example/crl/{issuer}.crl");
    let authority = format!("CA Issuers - URI:http://pki.acme.example/ca/{issuer}.der");
    [
        (
            "CRL Distribution Points",
            Uncritical,
            vec!["Full Name:".into(), crl],
        ),
        ("Authority Information Access", Uncritical, vec![authority]),
    ]
}

fn name_constraints() -> Vec<String> {
    // In mail addresses and URIs a name is that host alone, and one with a dot before it all below (RFC 5280
    // §4.2.1.10).
    let permitted = ["DNS:acme.example", "email:acme.example", "email:.acme.example"];
    let of_uris = ["URI:acme.example", "URI:.acme.example"];
    let excluded = ["IP:0.0.0.0/0.0.0.0", "IP:0:0:0:0:0:0:0:0/0:0:0:0:0:0:0:0"];
    let lines = ["Permitted:"]
        .into_iter()
        .chain(permitted)
        .chain(of_uris)
        .chain(["Excluded:"])
        .chain(excluded);
    lines.map(str::to_owned).collect()
}

/// The subject key identifier.
fn identifier(text: &str) -> String {
    extensions(text, HEADING)["X509v3 Subject Key Identifier"].1[0].clone()
}

fn text(home: &Home, certificate: &Path) -> String {
    x509(home, certificate, &["-text"])
}

fn validity(home: &Home, certificate: &Path) -> (i64, i64) {
    let text = x509(home, certificate, &["-dates"]);
    (unix(line(&text, "notBefore=")), unix(line(&text, "notAfter=")))
}
