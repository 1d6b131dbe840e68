//! Whoever lacks the right secret, or the right certificate: told the same at every door, and let in by none.

use std::sync::Arc;

use rustls::ClientConfig;
use serde_json::json;

use super::phone::{Answer, Phone};
use super::{Invite, Serving, with_est};
use crate::support::{HOST, finish, program};

/// What a device is answered that shows this certificate and asks to renew it.
fn renew(config: &Arc<ClientConfig>, port: u16, csr: &str) -> std::io::Result<Answer> {
    let mut phone = Phone::connect(config, port)?;
    phone.post("/.well-known/est/simplereenroll", "application/pkcs10", csr)
}

fn enroll(serving: &Serving, port: u16, name: &str) -> Invite {
    let invite = serving.invite(&[name]);
    let user = format!("user = \"{}:{}\"\n", invite.word("id"), invite.word("secret"));
    let (status, body) = serving.simple_enroll(port, &user, &serving.request(name));
    assert_eq!(status, 200, "{body}");
    serving.unpacked(&body, &format!("{name}.pem"));
    invite
}

#[test]
fn whoever_lacks_the_secret_is_told_the_same_at_every_door() {
    let Some((serving, device)) = with_est() else {
        return;
    };
    let used = enroll(&serving, device, "alice");
    let [open, cancelled, coded, waiting, revoked] = ["bob", "carol", "dave", "erin", "frank"].map(|name| {
        let more: &[&str] = match name {
            "dave" => &["--code"],
            "erin" => &["--approve"],
            _ => &[],
        };
        serving.invite(&[&[name], more].concat())
    });
    serving.home.run(&["invite", "cancel", cancelled.word("id")]);
    serving.home.run(&["offboard", "frank", "--confirm", "frank"]);
    let csr = serving.request("mallory");
    let ledger = serving.ledger();
    let mut ids: Vec<String> = [&used, &open, &cancelled, &coded, &waiting, &revoked]
        .map(|invite| invite.word("id").to_owned())
        .into();
    ids.extend(["ZZZZZZZZ".into(), "nobody".into(), String::new()]);
    let nothing = "0".repeat(26);
    let others = open.word("secret").to_owned();
    let (mut at_page, mut at_profile, mut at_est) = (Vec::new(), Vec::new(), Vec::new());
    let mut page = Phone::connect(&serving.at_page(), serving.server.port).unwrap();
    let mut est = Phone::connect(&serving.at_device_face(None), device).unwrap();
    for id in &ids {
        let secret = if id == open.word("id") { &nothing } else { &others };
        if !id.is_empty() {
            let body = json!({ "secret": secret, "csr": csr, "code": "123456" }).to_string();
            at_page.push(page.post(&format!("/i/{id}"), "application/json", &body).unwrap());
            let body = json!({ "secret": secret, "p12": "MAA=", "signature": "AA==" }).to_string();
            let path = format!("/i/{id}/profile");
            at_profile.push(page.post(&path, "application/json", &body).unwrap());
        }
        for token in [
            format!("{id}.{secret}"),
            format!("{id}:{nothing}:123456"),
            format!("{id}."),
        ] {
            let media_type = format!("application/pkcs10\r\nAuthorization: Bearer {token}");
            at_est.push(
                est.post("/.well-known/est/simpleenroll", &media_type, &csr)
                    .unwrap(),
            );
        }
    }
    for told in [&at_page, &at_profile, &at_est] {
        assert_eq!(told[0].status, 403);
        assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
    }
    assert_eq!(
        at_est[0].body,
        "there is no such invite, or this is not its secret\n"
    );
    assert_eq!(serving.ledger(), ledger);
}

#[test]
fn no_certificate_but_the_devices_own_with_its_key_gets_as_far_as_a_request() {
    let Some((serving, device)) = with_est() else {
        return;
    };
    let home = &serving.home;
    enroll(&serving, device, "alice");
    enroll(&serving, device, "bob");
    let csr = serving.request("new");
    // A CA whose name is the issuing CA's and whose key is not, and a phone of its making; alice's
    // certificate with another octet in its signature; the servers' CA, and a server's certificate of it.
    let made = r#"
        printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\n' > ext
        openssl x509 -in home/public/ca/issuing.crt -noout -subject -nameopt compat | sed 's/^subject=//' > subject
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj "$(cat subject)" -keyout false.key -out false.crt
        openssl x509 -req -in new.csr -days 9 -extfile ext -CA false.crt -CAkey false.key -out namesake.pem
        cp new.key namesake.key
        openssl x509 -in alice.pem -outform DER -out alice.der
        size=$(wc -c < alice.der)
        head -c $((size - 1)) alice.der > altered.der
        tail -c 1 alice.der | od -An -tu1 | while read octet; do printf "\\$(printf %o $(((octet + 1) % 256)))"; done >> altered.der
        openssl x509 -inform DER -in altered.der -out altered.pem
        cp alice.key altered.key
        cp home/public/ca/servers.crt authority.pem
        openssl pkey -in home/servers/servers.key -passin file:issuing-passphrase -out authority.key
        ls tls
    "#;
    let said = home.foreign("sh", &["-e", "-c", made]).ok();
    let file = |ending: &str| {
        let found = said.stdout.lines().find(|name| name.ends_with(ending));
        home.path("tls").join(found.unwrap_or_else(|| panic!("{said}")))
    };
    std::fs::copy(file(".crt"), home.path("server-as-client.pem")).unwrap();
    std::fs::copy(file(".key"), home.path("server-as-client.key")).unwrap();
    let ledger = serving.ledger();
    for shown in [
        ("namesake", "namesake"),
        ("altered", "altered"),
        ("authority", "authority"),
        ("server-as-client", "server-as-client"),
        // Somebody else's certificate, which is no secret, with a key of one's own.
        ("alice", "bob"),
        ("alice", "new"),
    ] {
        let answer = renew(&serving.at_device_face(Some(shown)), device, &csr);
        assert!(answer.is_err(), "{shown:?}: {answer:?}");
    }
    // With its own key it is known, and told that it comes too early.
    let answer = renew(&serving.at_device_face(Some(("alice", "alice"))), device, &csr).unwrap();
    assert!(
        answer.status == 403 && answer.body.starts_with("this certificate can be renewed from "),
        "{answer:?}"
    );
    assert_eq!(serving.ledger(), ledger);
    assert!(!serving.log.text().contains("panicked"));
}

#[test]
fn a_revoked_device_is_refused_on_the_connection_that_it_has_kept() {
    let Some((serving, device)) = with_est() else {
        return;
    };
    enroll(&serving, device, "alice");
    let csr = serving.request("new");
    let config = serving.at_device_face(Some(("alice", "alice")));
    let mut kept = Phone::connect(&config, device).unwrap();
    let mut ask = || {
        let answer = kept.post("/.well-known/est/simplereenroll", "application/pkcs10", &csr);
        let answer = answer.unwrap();
        assert_eq!(
            (answer.status, answer.body.lines().count()),
            (403, 1),
            "{answer:?}"
        );
        answer.body
    };
    assert!(ask().starts_with("this certificate can be renewed from "));
    serving.home.run(&["revoke", "alice", "--yes"]);
    assert_eq!(ask(), "this certificate is revoked\n");
    let answer = renew(&config, device, &csr).unwrap();
    assert_eq!(answer.body, "this certificate is revoked\n");
}

#[test]
fn no_session_is_resumed_by_which_a_certificate_would_outlive_its_revocation() {
    let Some((serving, device)) = with_est() else {
        return;
    };
    enroll(&serving, device, "alice");
    let address = format!("127.0.0.1:{device}");
    for version in ["-tls1_2", "-tls1_3"] {
        let talk = |session: [&str; 2]| {
            let mut openssl = program("openssl");
            openssl.args(["s_client", "-connect", &address, "-servername", HOST, version]);
            openssl
                .args(["-cert", "alice.pem", "-key", "alice.key"])
                .args(session);
            openssl.current_dir(serving.home.path(""));
            // An answer that is waited for is behind whatever ticket would come.
            let request = format!("GET /healthz HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
            openssl.arg("-ign_eof");
            finish(&mut openssl, request.as_bytes()).text()
        };
        let first = talk(["-sess_out", "session.pem"]);
        assert!(
            first.contains("New, TLSv1.") && first.contains("HTTP/1.1 200"),
            "{first}"
        );
        if serving.home.path("session.pem").exists() {
            let second = talk(["-sess_in", "session.pem"]);
            assert!(
                second.contains("New, TLSv1.") && !second.contains("Reused"),
                "{second}"
            );
        }
        assert!(
            !first.contains("Post-Handshake New Session Ticket arrived"),
            "{first}"
        );
        assert!(!first.contains("TLS session ticket:"), "{first}");
    }
}

#[test]
fn a_lost_laptop_that_asks_again_and_again_shuts_out_nobody_behind_its_address() {
    let Some((serving, device)) = with_est() else {
        return;
    };
    enroll(&serving, device, "alice");
    enroll(&serving, device, "bob");
    serving.home.run(&["revoke", "alice", "--yes"]);
    let csr = serving.request("new");
    let mut lost = Phone::connect(&serving.at_device_face(Some(("alice", "alice"))), device).unwrap();
    let told: Vec<u16> = (0..61)
        .map(|_| {
            let answer = lost.post("/.well-known/est/simplereenroll", "application/pkcs10", &csr);
            answer.unwrap().status
        })
        .collect();
    assert!(
        told[..60].iter().all(|status| *status == 403) && told[60] == 429,
        "{told:?}"
    );
    // Others behind the same address renew, and enroll.
    let answer = renew(&serving.at_device_face(Some(("bob", "bob"))), device, &csr).unwrap();
    assert!(
        answer.body.starts_with("this certificate can be renewed from "),
        "{answer:?}"
    );
    enroll(&serving, device, "carol");
}

#[test]
fn what_is_wrong_with_the_home_is_told_to_who_keeps_it_and_to_no_phone() {
    let Some((serving, device)) = with_est() else {
        return;
    };
    let home = &serving.home;
    enroll(&serving, device, "alice");
    let invite = serving.invite(&["bob"]);
    let body = json!({ "secret": invite.word("secret"), "csr": serving.request("bob") });
    let place = home.home().join("templates/profiles");
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join("device.toml"), "days = never\n").unwrap();
    let (status, told) = serving.redeem(invite.word("id"), &body);
    assert_eq!((status, super::kind_of(&told).as_str()), (503, "busy"), "{told}");
    assert!(!told.contains("profile"), "{told}");
    let config = serving.at_device_face(Some(("alice", "alice")));
    let answer = renew(&config, device, &serving.request("new")).unwrap();
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(
        serving.log.text().contains("profile device"),
        "{}",
        serving.log.text()
    );
    std::fs::remove_file(place.join("device.toml")).unwrap();
    assert_eq!(serving.redeem(invite.word("id"), &body).0, 200);
}
