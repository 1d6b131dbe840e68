//! What `pki check` says of each server with the configuration that is printed for it.

use super::servers::{Kind, Running};
use super::with;
use crate::check::{Follower, answers, check, check_as_device, codes};
use crate::support::Home;

on_every_server!(nobody_gets_in_by_another_request);

fn nobody_gets_in_by_another_request(kind: Kind, home: &Home) {
    let running = Running::start(kind, home);
    let said = check_as_device(home, running.server.port).exits(0);
    assert_eq!(codes(&said), [""; 0], "{said}\n{}", running.log());
    assert_eq!(answers(&said, "valid"), ["let in (HTTP 200)"], "{said}");
}

#[test]
fn nothing_is_found_at_nginx_by_a_canary() {
    with(Kind::Nginx, |kind, home| {
        let running = Running::start(kind, home);
        let place = home.path(kind.place());
        let manifests = ["public", "server"].map(|half| place.join(half).join("manifest.json"));
        let _follower = Follower::reading(manifests.to_vec(), running.server.pid());
        let said = check(home, running.server.port, &[]).exits(0);
        assert_eq!(codes(&said), [""; 0], "{said}\n{}", running.log());
        let told = "by other methods, with the host in other letters: refused";
        assert_eq!(answers(&said, "other_requests"), [told], "{said}");
    });
}
