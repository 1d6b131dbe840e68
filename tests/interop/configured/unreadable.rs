//! Apache reads its lists while requests come in, as the account of its workers, and nginx reads them when it
//! is told to: what becomes of those who are in when a list cannot be read.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::SystemTime;

use rustix::process::Signal;

use super::servers::{Kind, Running};
use super::{Kept, is_refused, with};
use crate::support::{Home, wait_until};

/// A new file in the place of one of the servers' half, as a publication makes it.
fn replace(kind: Kind, home: &Home, file: &str, text: &str, mode: u32) {
    let place = home.path(kind.place()).join("server");
    std::fs::write(place.join("new"), text).unwrap();
    // Apache tells files by their times. The system's own are coarse, and a test is faster than two
    // publications can be.
    let new = File::options().write(true).open(place.join("new")).unwrap();
    new.set_modified(SystemTime::now()).unwrap();
    std::fs::set_permissions(place.join("new"), Permissions::from_mode(mode)).unwrap();
    std::fs::rename(place.join("new"), place.join(file)).unwrap();
}

/// Nobody could be told from who is locked out.
#[test]
fn apache_lets_in_nobody_on_the_connection_that_they_have_where_its_list_cannot_be_read() {
    with(Kind::Apache, |kind, home| {
        let list = std::fs::read_to_string(home.path(kind.place()).join("server/allowed.map")).unwrap();
        let running = Running::start(kind, home);
        let mut bob = Kept::open(home, &running.server, &home.bob());
        assert_eq!(bob.get(), "200");
        let cut = &list[..list.find(" \"bob/").map_or(0, |at| at + 4)];
        for (text, mode) in [
            (list.as_str(), 0o000),
            ("", 0o644),
            (cut, 0o644),
            ("{\"version\":1,\"devices\":[]}", 0o644),
            ("<html>\n<title>404 Not Found</title>\n</html>\n", 0o644),
        ] {
            let served = running.served();
            replace(kind, home, "allowed.map", text, mode);
            assert_eq!(bob.get(), "403", "{text:?}: {}", running.log());
            assert_eq!(running.served(), served, "{text:?}: the application was asked");
            replace(kind, home, "allowed.map", &list, 0o644);
            assert_eq!(bob.get(), "200", "{text:?}: {}", running.log());
        }
        std::fs::remove_file(home.path(kind.place()).join("server/allowed.map")).unwrap();
        assert_eq!(bob.get(), "403", "{}", running.log());
    });
}

/// As where `[[publish]]` has no `group`: the workers may read neither list from the next publication on.
#[test]
fn apache_lets_in_no_revoked_phone_on_the_connection_that_it_has_where_its_lists_cannot_be_read() {
    with(Kind::Apache, |kind, home| {
        let running = Running::start(kind, home);
        let mut alice = Kept::open(home, &running.server, &home.alice());
        assert_eq!(alice.get(), "200");
        home.run(&["revoke", "alice", "--yes"]);
        for file in ["revoked.map", "allowed.map"] {
            let text = std::fs::read_to_string(home.path(kind.place()).join("server").join(file)).unwrap();
            replace(kind, home, file, &text, 0o000);
        }
        assert_eq!(alice.get(), "403", "{}", running.log());
        assert_eq!(running.served(), 1, "the application was asked");
    });
}

/// What it has read before stays in force, and its log says why.
#[test]
fn nginx_goes_on_by_what_it_has_read_where_a_list_cannot_be_read() {
    with(Kind::Nginx, |kind, home| {
        let running = Running::start(kind, home);
        let place = home.path(kind.place()).join("server");
        let status = |bundle| running.server.curl(home, Some(&bundle), "/").0;
        for file in ["revoked.map", "allowed.map"] {
            let whole = std::fs::read_to_string(place.join(file)).unwrap();
            for text in [
                None,
                Some("{\"version\":1}\n"),
                Some("2EC1AB1B \"bob/\n"),
                Some("2EC1AB1B;\n"),
            ] {
                match text {
                    Some(text) => replace(kind, home, file, text, 0o644),
                    None => std::fs::remove_file(place.join(file)).unwrap(),
                }
                let refused = || running.log().matches("[emerg]").count();
                let before = refused();
                running.server.signal(Signal::HUP);
                wait_until("a refusal", || (refused() > before).then_some(()));
                assert_eq!(status(home.alice()), Some(200), "{text:?}: {}", running.log());
                replace(kind, home, file, &whole, 0o644);
            }
        }
    });
}

/// Whose name is not known is none of the others, and who is revoked is refused without any name.
#[test]
fn nginx_takes_no_name_from_a_list_that_has_none() {
    with(Kind::Nginx, |kind, home| {
        let mut running = Running::start(kind, home);
        home.run(&["revoke", "alice", "--yes"]);
        replace(kind, home, "allowed.map", "", 0o644);
        running.reload(home);
        let said = running.server.curl(home, Some(&home.bob()), "/").1;
        assert!(said.stdout.contains("device=[-]"), "{said}");
        let status = running.server.curl(home, Some(&home.alice()), "/").0;
        assert!(is_refused(status), "{status:?}");

        // Another file in its place: what it says of a serial number is no name.
        let other = format!("{} 1;\n", home.serial_of("bob/phone"));
        replace(kind, home, "allowed.map", &other, 0o644);
        running.reload(home);
        let (status, said) = running.server.curl(home, Some(&home.bob()), "/");
        assert_eq!(status, Some(403), "{said}");
    });
}
