//! What `pki check` says of each server with the configuration that is printed for it.

use std::time::Duration;

use super::servers::{Kind, Running};
use crate::check::{answers, check, check_as_device, codes};
use crate::support::Home;

on_every_server!(nobody_gets_in_by_another_request, nothing_is_found_by_a_canary);

fn nobody_gets_in_by_another_request(kind: Kind, home: &Home) {
    let running = Running::start(kind, home);
    let said = check_as_device(home, running.server.port).exits(0);
    assert_eq!(codes(&said), [""; 0], "{said}\n{}", running.log());
    assert_eq!(answers(&said, "valid"), ["let in (HTTP 200)"], "{said}");
}

/// The server is told of each publication, as an operator's timer does it.
fn nothing_is_found_by_a_canary(kind: Kind, home: &Home) {
    let mut running = Running::start(kind, home);
    let port = running.server.port;
    let place = home.path(kind.place());
    let published =
        || ["public", "server"].map(|half| std::fs::read(place.join(half).join("manifest.json")).ok());
    let said = std::thread::scope(|scope| {
        let checked = scope.spawn(|| check(home, port, &[]));
        let mut read = published();
        while !checked.is_finished() {
            std::thread::sleep(Duration::from_millis(20));
            let now = published();
            if now != read && now.iter().all(Option::is_some) {
                read = now;
                running.begin_reload(home);
            }
        }
        checked.join().unwrap()
    });
    let said = said.exits(0);
    assert_eq!(codes(&said), [""; 0], "{said}\n{}", running.log());
    let shut = answers(&said, "revoked_fresh");
    assert!(
        !shut.is_empty() && shut.iter().all(|answer| answer.contains("refused")),
        "{said}"
    );
}
