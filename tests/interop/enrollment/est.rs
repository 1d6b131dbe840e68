//! Enrollment and renewal by EST (RFC 7030): curl, and strongSwan.

use serde_json::Value;

use super::{Serving, later, with_est};
use crate::support::{Server, finish, need};

#[test]
fn est_hands_out_what_to_trust_and_enrolls_by_an_invite() {
    let Some((serving, port)) = with_est() else { return };
    let (status, body) = serving.est(port, "cacerts", "");
    assert_eq!((status, body.lines().count()), (200, 1), "{body}");
    std::fs::write(
        serving.home.path("ca.p7"),
        data_encoding::BASE64.decode(body.as_bytes()).unwrap(),
    )
    .unwrap();
    let printed = ["pkcs7", "-inform", "DER", "-in", "ca.p7", "-print_certs"];
    let printed = serving.home.foreign("openssl", &printed).ok().stdout;
    assert_eq!(printed.matches("BEGIN CERTIFICATE").count(), 2);
    let (status, body) = serving.est(port, "some-label/csrattrs", "");
    assert_eq!(status, 200);
    std::fs::write(
        serving.home.path("attrs"),
        data_encoding::BASE64.decode(body.as_bytes()).unwrap(),
    )
    .unwrap();
    let parsed = serving
        .home
        .foreign("openssl", &["asn1parse", "-inform", "DER", "-in", "attrs"])
        .ok()
        .stdout;
    assert!(
        parsed.contains("prime256v1") && parsed.contains("ecdsa-with-SHA256"),
        "{parsed}"
    );

    let invite = serving.invite(&["alice"]);
    let csr = serving.request("alice");
    let (status, told) = serving.simple_enroll(port, "", &csr);
    assert_eq!(status, 401, "{told}");
    let wrong = format!("user = \"{}:{}\"\n", invite.word("id"), "0".repeat(26));
    assert_eq!(serving.simple_enroll(port, &wrong, &csr).0, 403);
    let right = format!("user = \"{}:{}\"\n", invite.word("id"), invite.word("secret"));
    let (status, body) = serving.simple_enroll(port, &right, &csr);
    assert_eq!(status, 200, "{body}");
    let serial = serving.unpacked(&body, "alice.pem");
    assert_eq!(serial, serving.home.serial_of("alice/phone"));
    let token = format!(
        "oauth2-bearer = \"{}.{}\"\n",
        invite.word("id"),
        invite.word("secret")
    );
    let bare: String = csr.lines().filter(|line| !line.starts_with('-')).collect();
    assert_eq!(serving.simple_enroll(port, &token, &bare), (200, body));
}

#[test]
fn a_device_renews_by_its_certificate_once_and_in_the_last_third_of_its_life_alone() {
    if !need(&["faketime"]) {
        return;
    }
    let Some((serving, port)) = with_est() else { return };
    let enroll = |serving: &Serving, port, name: &str, file: &str| {
        let invite = serving.invite(&[name, "--days", "90"]);
        let right = format!("user = \"{}:{}\"\n", invite.word("id"), invite.word("secret"));
        let (status, body) = serving.simple_enroll(port, &right, &serving.request(file));
        assert_eq!(status, 200, "{body}");
        serving.unpacked(&body, &format!("{file}.pem"))
    };
    let first = enroll(&serving, port, "alice", "first");
    enroll(&serving, port, "bob", "bob");
    enroll(&serving, port, "carol", "carol");
    let (status, told) = serving.reenroll(port, "first", &serving.request("second"));
    assert_eq!(status, 403, "{told}");
    assert!(
        told.starts_with("this certificate can be renewed from ") && told.lines().count() == 1,
        "{told}"
    );
    let no_certificate = format!(
        "data-binary = \"@{}\"\n",
        serving.home.path("second.csr").display()
    );
    let no_certificate = format!("header = \"Content-Type: application/pkcs10\"\n{no_certificate}");
    assert_eq!(serving.est(port, "simplereenroll", &no_certificate).0, 403);

    let Some((serving, port)) = later(serving, "+65d") else {
        return;
    };
    let csr = |name: &str| std::fs::read_to_string(serving.home.path(format!("{name}.csr"))).unwrap();
    let refused = |by: &str, csr: &str, why: &str| {
        let (status, told) = serving.reenroll(port, by, csr);
        assert_eq!((status, told.trim_end()), (403, why), "{by}");
    };
    let (status, body) = serving.reenroll(port, "first", &csr("second"));
    assert_eq!(status, 200, "{body}");
    let second = serving.unpacked(&body, "second.pem");
    assert_ne!(first, second);
    assert_eq!(serving.reenroll(port, "first", &csr("second")), (200, body));
    let third = serving.request("third");
    refused(
        "first",
        &third,
        "this certificate was renewed already, for another key",
    );
    // Its key is another device's.
    let (status, told) = serving.reenroll(port, "bob", &csr("carol"));
    assert_eq!(status, 409, "{told}");
    // What came before stays good until it ends.
    let said = finish(
        &mut serving.home.pki_at("+65d", &["list", "alice", "--json"]),
        b"",
    )
    .ok();
    let states: Vec<Value> = said.json()["devices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["status"].clone())
        .collect();
    assert_eq!(states, ["superseded", "valid"]);
    finish(
        &mut serving.home.pki_at("+65d", &["revoke", "alice", "--yes"]),
        b"",
    )
    .ok();
    refused("second", &third, "this certificate is revoked");
    finish(
        &mut serving
            .home
            .pki_at("+65d", &["offboard", "carol", "--confirm", "carol"]),
        b"",
    )
    .ok();
    refused("carol", &third, "this certificate is revoked");

    let Some((serving, port)) = later(serving, "+95d") else {
        return;
    };
    let (status, told) = serving.reenroll(port, "bob", &third);
    assert!(
        status == 403 && told.starts_with("this certificate ended on "),
        "{told}"
    );
}

#[test]
fn nobody_renews_by_a_certificate_that_is_no_devices_of_this_pki() {
    let Some((serving, port)) = with_est() else { return };
    let csr = serving.request("new");
    // Whoever holds the key of an authority, or another PKI's certificate, does not get as far as a request.
    let made = r#"
        openssl pkey -in home/issuing/issuing.key -passin file:issuing-passphrase -out issuing.key
        cp home/public/ca/issuing.crt issuing.pem
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj /CN=alice -keyout own.key -out own.pem
        printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\n' > ext
        openssl x509 -req -in new.csr -days 9 -extfile ext -CA home/public/ca/issuing.crt -CAkey issuing.key -out new.pem
    "#;
    serving.home.foreign("sh", &["-e", "-c", made]).ok();
    let ledger = serving.ledger();
    for by in ["issuing", "own"] {
        let config = format!(
            "header = \"Content-Type: application/pkcs10\"\ndata-binary = \"@new.csr\"\ncert = \"{by}.pem\"\nkey = \"{by}.key\"\n"
        );
        let (status, _) = serving.est(port, "simplereenroll", &config);
        assert_eq!(status, 0, "{by}");
    }
    // Signed by the issuing CA, and in no ledger.
    let (status, told) = serving.reenroll(port, "new", &csr);
    assert_eq!(
        (status, told.trim_end()),
        (403, "this certificate is none that was issued here")
    );
    assert_eq!(serving.ledger(), ledger);
}

#[test]
fn strongswan_enrolls_by_est() {
    // It has the name of ours.
    const STRONGSWAN: &str = "/usr/bin/pki";
    if !need(&["haproxy", STRONGSWAN]) {
        return;
    }
    let Some((serving, port)) = with_est() else { return };
    let home = &serving.home;
    // It cannot read a CA with name constraints, which it would have to for the service's own certificate: so
    // somebody it can trust stands before it, and hands on what both say.
    crate::support::self_signed(home, "front", "IP:127.0.0.1", 9, &crate::support::EC);
    let pem = ["front.crt", "front.key"].map(|file| std::fs::read_to_string(home.path(file)).unwrap());
    let pem = home.write_private("front.pem", &pem.concat());
    let front = Server::on_free_port(|front| {
        let config = format!(
            "defaults\n mode http\n timeout connect 5s\n timeout client 20s\n timeout server 20s\nfrontend f\n \
             bind 127.0.0.1:{front} ssl crt {}\n default_backend b\nbackend b\n server s 127.0.0.1:{port} ssl verify none\n",
            pem.display()
        );
        let file = home.write_private("haproxy.cfg", &config);
        let mut haproxy = crate::support::program("haproxy");
        haproxy.arg("-db").arg("-f").arg(file);
        haproxy
    });
    let front = front.expect("haproxy ended at once");
    let invite = serving.invite(&["alice"]);
    serving.request("alice");
    let der = ["req", "-in", "alice.csr", "-outform", "DER", "-out", "alice.der"];
    home.foreign("openssl", &der).ok();
    let user = format!("{}:{}", invite.word("id"), invite.word("secret"));
    let url = format!("https://127.0.0.1:{}", front.port);
    let mut arguments = vec![
        "--est",
        "--url",
        &url,
        "--in",
        "alice.der",
        "--cacert",
        "front.crt",
    ];
    arguments.extend(["--userpass", &user, "--outform", "pem"]);
    let said = home.foreign(STRONGSWAN, &arguments).ok();
    std::fs::write(home.path("alice.pem"), &said.stdout).unwrap();
    let serial = home
        .foreign("openssl", &["x509", "-in", "alice.pem", "-noout", "-serial"])
        .ok();
    assert_eq!(
        serial.stdout.trim(),
        format!("serial={}", home.serial_of("alice/phone"))
    );
}

#[test]
fn whoever_asks_by_another_method_is_told_the_right_one() {
    let Some((serving, port)) = with_est() else { return };
    for (operation, method, allowed) in [
        ("cacerts", "POST", "GET, HEAD"),
        ("csrattrs", "PUT", "GET, HEAD"),
        ("simpleenroll", "GET", "POST"),
        ("simplereenroll", "DELETE", "POST"),
    ] {
        let (status, said) = serving.est(port, operation, &format!("include\nrequest = \"{method}\"\n"));
        assert_eq!(status, 405, "{said}");
        assert!(
            said.contains(&format!("allow: {allowed}\r\n")),
            "{operation}: {said}"
        );
    }
    assert_eq!(serving.est(port, "fullcmc", "").0, 404);
}
