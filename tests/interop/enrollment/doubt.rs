//! A clock that goes wrong while the service runs: nothing is signed by it, and nothing is spent.

use serde_json::json;

use super::status::ocsp;
use super::{Serving, TOOLS, by_faked_clock};
use crate::support::{Home, free_port, need, wait_until};

/// A home whose service goes by the clock that it reads from a file, and answers for status at this port.
fn with_clock() -> Option<(Serving, u16)> {
    if !need(&TOOLS) || !need(&["faketime"]) {
        return None;
    }
    let home = Home::with_server();
    let port = free_port();
    home.configure("status", &format!("\"127.0.0.1:{port}\""));
    let file = home.path("clock");
    std::fs::write(&file, "+0").unwrap();
    let serving = Serving::run(home, "+0d", |command| {
        let mut command = by_faked_clock(command);
        command
            .env("FAKETIME_TIMESTAMP_FILE", &file)
            .env("FAKETIME_NO_CACHE", "1");
        command
    })?;
    wait_until("the status face", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    });
    Some((serving, port))
}

#[test]
fn a_clock_that_goes_wrong_signs_nothing_and_does_no_harm_when_it_is_right_again() {
    let Some((serving, port)) = with_clock() else {
        return;
    };
    let home = &serving.home;
    home.issue("bob", &[]);
    let serial = home.serial_of("bob/phone");
    let invite = serving.invite(&["alice"]);
    let body = json!({ "secret": invite.word("secret"), "csr": serving.request("alice") });
    assert!(ocsp(home, port, &serial, &["-no_nonce"]).contains(": good"));
    let ledger = serving.ledger();
    let set = |offset: &str| super::set_clock(home, offset);
    for offset in ["-2h", "-400d", "+400d"] {
        set(offset);
        // Not even what was signed before it went wrong, and is known by heart.
        for more in [&["-no_nonce"][..], &[]] {
            let said = ocsp(home, port, &serial, more);
            assert!(said.contains("trylater"), "{offset}: {said}");
        }
        let (status, told) = serving.redeem(invite.word("id"), &body);
        assert_eq!(status, 503, "{offset}: {told}");
        assert_eq!(serving.ledger(), ledger, "{offset}");
    }
    // A few minutes are no doubt: the last event's time is taken for them.
    set("-3m");
    let said = ocsp(home, port, &serial, &[]);
    assert!(
        said.contains("Response verify OK") && said.contains(": good"),
        "{said}"
    );
    set("+0");
    assert!(ocsp(home, port, &serial, &[]).contains(": good"));
    let (status, told) = serving.redeem(invite.word("id"), &body);
    assert_eq!(status, 200, "{told}");
    assert_eq!(serving.ledger().matches("\"event\":\"issued\"").count(), 2);
}
