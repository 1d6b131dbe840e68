//! The status of certificates by OCSP (RFC 6960), and what is published for everybody.

use super::with_status;
use crate::support::{Home, need};

/// What openssl says of the certificate of this serial number, in its words: its exit code is 0 for bad
/// answers, too.
pub fn ocsp(home: &Home, port: u16, serial: &str, more: &[&str]) -> String {
    let (url, serial) = (format!("http://127.0.0.1:{port}/ocsp"), format!("0x{serial}"));
    let mut arguments = vec!["ocsp", "-issuer", "home/public/ca/issuing.crt"];
    arguments.extend(more);
    arguments.extend([
        "-serial",
        &serial,
        "-url",
        &url,
        "-CAfile",
        "home/public/ca/root.crt",
    ]);
    arguments.extend(["-verify_other", "home/public/ca/issuing.crt"]);
    home.foreign("openssl", &arguments).text()
}

#[test]
fn ocsp_says_what_the_ledger_says_as_soon_as_it_says_it() {
    let Some((serving, port)) = with_status() else {
        return;
    };
    let home = &serving.home;
    home.issue("alice", &[]);
    let serial = home.serial_of("alice/phone");
    for more in [&[][..], &["-no_nonce"], &["-sha256"]] {
        let said = ocsp(home, port, &serial, more);
        assert!(
            said.contains("Response verify OK") && said.contains(": good"),
            "{more:?}: {said}"
        );
        assert!(!said.to_lowercase().contains("nonce"), "{more:?}: {said}");
    }
    let never = ocsp(home, port, "01020304050607080102030405060708", &[]);
    assert!(
        never.contains("Response verify OK")
            && never.contains(": revoked")
            && never.contains("certificateHold"),
        "{never}"
    );
    home.run(&["revoke", "alice", "--yes", "--reason", "stolen"]);
    let said = ocsp(home, port, &serial, &["-no_nonce"]);
    assert!(
        said.contains(": revoked") && said.contains("keyCompromise") && said.contains("Response verify OK"),
        "{said}"
    );
}

#[test]
fn ocsp_is_asked_by_get_and_post_and_refuses_what_is_no_request() {
    let Some((serving, port)) = with_status() else {
        return;
    };
    let home = &serving.home;
    home.issue("alice", &[]);
    let serial = format!("0x{}", home.serial_of("alice/phone"));
    let request = |more: &[&str], file: &str| {
        let mut arguments = vec![
            "ocsp",
            "-issuer",
            "home/public/ca/issuing.crt",
            "-serial",
            &serial,
        ];
        arguments.extend(more);
        arguments.extend(["-reqout", file]);
        home.foreign("openssl", &arguments);
        std::fs::read(home.path(file)).unwrap()
    };
    let der = request(&["-no_nonce"], "request.der");
    let url = format!("http://127.0.0.1:{port}/ocsp");
    let curl = |arguments: &[&str]| {
        let mut all = vec![
            "--disable",
            "--silent",
            "--max-time",
            "20",
            "--noproxy",
            "*",
            "--write-out",
            "%{http_code} %{content_type}",
        ];
        all.extend(arguments);
        home.foreign("curl", &all).ok().stdout
    };
    let read = |file: &str| {
        let mut arguments = vec![
            "ocsp",
            "-respin",
            file,
            "-issuer",
            "home/public/ca/issuing.crt",
            "-serial",
            &serial,
        ];
        arguments.extend([
            "-CAfile",
            "home/public/ca/root.crt",
            "-verify_other",
            "home/public/ca/issuing.crt",
        ]);
        home.foreign("openssl", &arguments).text()
    };
    let text = data_encoding::BASE64.encode(&der);
    for path in [
        text.clone(),
        text.replace('/', "%2F").replace('+', "%2B").replace('=', "%3D"),
    ] {
        let told = curl(&["--output", "got.der", &format!("{url}/{path}")]);
        assert_eq!(told, "200 application/ocsp-response");
        let said = read("got.der");
        assert!(
            said.contains("Response verify OK") && said.contains(": good"),
            "{said}"
        );
    }
    // Where nothing has changed the same answer is given again, and needs no signature.
    let first = std::fs::read(home.path("got.der")).unwrap();
    curl(&["--output", "got.der", &format!("{url}/{text}")]);
    assert_eq!(std::fs::read(home.path("got.der")).unwrap(), first);
    let post = |file: &str| {
        let body = format!("@{file}");
        let header = "Content-Type: application/ocsp-request";
        curl(&[
            "--output",
            "got.der",
            "--header",
            header,
            "--data-binary",
            &body,
            &url,
        ]);
        let said = home.foreign(
            "openssl",
            &["ocsp", "-respin", "got.der", "-resp_text", "-noverify"],
        );
        said.text()
    };
    assert!(post("request.der").contains("successful"));
    std::fs::write(home.path("cut.der"), &der[..der.len() - 1]).unwrap();
    std::fs::write(home.path("empty.der"), "").unwrap();
    for file in ["cut.der", "empty.der"] {
        assert!(post(file).contains("malformedrequest"), "{file}: {}", post(file));
    }
    let other = [
        "ocsp",
        "-issuer",
        "home/public/ca/root.crt",
        "-serial",
        "1",
        "-reqout",
        "other.der",
    ];
    home.foreign("openssl", &other);
    assert!(post("other.der").contains("unauthorized"));
}

#[test]
fn what_is_published_for_everybody_is_served_with_etags_and_nothing_else() {
    let Some((serving, port)) = with_status() else {
        return;
    };
    let home = &serving.home;
    let get = |path: &str, more: &[&str]| {
        let url = format!("http://127.0.0.1:{port}{path}");
        let mut all = vec![
            "--disable",
            "--silent",
            "--max-time",
            "20",
            "--noproxy",
            "*",
            "--path-as-is",
        ];
        all.extend([
            "--output",
            "got",
            "--dump-header",
            "head",
            "--write-out",
            "%{http_code}",
        ]);
        all.extend(more);
        all.push(&url);
        home.foreign("curl", &all).ok().stdout
    };
    assert_eq!(get("/crl/issuing.crl", &[]), "200");
    assert_eq!(
        std::fs::read(home.path("got")).unwrap(),
        std::fs::read(home.public("crl/issuing.crl")).unwrap()
    );
    let head = std::fs::read_to_string(home.path("head")).unwrap().to_lowercase();
    let tag = head
        .lines()
        .find_map(|line| line.strip_prefix("etag: "))
        .unwrap()
        .to_owned();
    assert!(head.contains("content-type: application/pkix-crl"), "{head}");
    let known = format!("If-None-Match: {tag}");
    assert_eq!(get("/crl/issuing.crl", &["--header", &known]), "304");
    home.issue("alice", &[]);
    home.run(&["revoke", "alice", "--yes"]);
    assert_eq!(get("/crl/issuing.crl", &["--header", &known]), "200");
    for path in [
        "/server/devices.json",
        "/crl/../../issuing/issuing.key",
        "/../home/ledger.jsonl",
        "/pki.toml",
        "/crl/",
    ] {
        assert_eq!(get(path, &[]), "404", "{path}");
    }
}

#[test]
fn certificates_point_to_the_responder_where_the_configuration_names_it() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    home.configure("ocsp_url", "\"http://pki.acme.example/ocsp\"");
    let alice = home.issue("alice", &[]);
    let [leaf, _, _] = home.opened(&alice).map(|path| path.display().to_string());
    let said = home
        .foreign("openssl", &["x509", "-in", &leaf, "-noout", "-ocsp_uri"])
        .ok();
    assert_eq!(said.stdout, "http://pki.acme.example/ocsp\n");
    let said = home
        .foreign("openssl", &["x509", "-in", &leaf, "-noout", "-text"])
        .ok();
    assert!(
        said.stdout
            .contains("CA Issuers - URI:http://pki.acme.example/ca/issuing.der"),
        "{said}"
    );
}
