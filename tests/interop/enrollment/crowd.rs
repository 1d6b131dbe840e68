//! Many connections at once: those who hold on to theirs keep nobody out.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::phone::{Phone, post};
use super::{Serving, TOOLS, with_est, with_status};
use crate::support::{HOST, Home, carry_over, need, wait_until};

/// How many connections of one address a face keeps.
const SHARE: usize = 1024;

/// Lets the tests have as many descriptors as the system lets them.
fn raise_limit_of_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

fn enrolls(serving: &Serving, name: &str, more: &str) {
    let invite = serving.invite(&[name]);
    let body = json!({ "secret": invite.word("secret"), "csr": serving.request(name) });
    let (status, told) = serving.post(invite.word("id"), &body.to_string(), more);
    assert_eq!(status, 200, "{told}");
}

#[test]
fn a_thousand_that_send_an_octet_a_second_keep_nobody_from_enrolling() {
    raise_limit_of_files();
    let Some((serving, device)) = with_est() else {
        return;
    };
    // The handshake of a phone that gets no further than its first octets, and a request that never ends.
    let hello = [[0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3].as_slice(), &[7; 64]].concat();
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {HOST}\r\nX: {}", "a".repeat(64));
    let mut slow = Vec::new();
    let mut polite = Vec::new();
    for (config, port) in [
        (serving.at_page(), serving.server.port),
        (serving.at_device_face(None), device),
    ] {
        slow.extend((0..400).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()));
        polite.extend((0..100).map(|_| Phone::connect(&config, port).unwrap()));
    }
    assert_eq!(slow.len() + polite.len(), 1000);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for octet in 0.. {
                if is_over.load(Ordering::Relaxed) || octet >= hello.len() {
                    return;
                }
                // Some of them the service has had enough of.
                for stream in &mut slow {
                    let _ = stream.write_all(&hello[octet..=octet]);
                }
                for phone in &mut polite {
                    let _ = phone.send(&request.as_bytes()[octet..=octet]);
                }
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        for name in ["alice", "bob", "carol"] {
            enrolls(&serving, name, "");
        }
        for name in ["dave", "erin"] {
            let invite = serving.invite(&[name]);
            let right = format!("user = \"{}:{}\"\n", invite.word("id"), invite.word("secret"));
            let (status, told) = serving.simple_enroll(device, &right, &serving.request(name));
            assert_eq!(status, 200, "{told}");
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(!serving.log.text().contains("panicked"));
}

#[test]
fn an_address_that_takes_more_than_its_share_loses_what_it_has_held_longest() {
    raise_limit_of_files();
    let Some(serving) = Serving::start() else { return };
    let page = serving.at_page();
    let connect = || TcpStream::connect(("127.0.0.1", serving.server.port)).unwrap();
    let begun = Instant::now();
    let mut first = Phone::connect(&page, serving.server.port).unwrap();
    let mut busy = Phone::connect(&page, serving.server.port).unwrap();
    let mut held: Vec<TcpStream> = (0..SHARE - 2).map(|_| connect()).collect();
    // Who was answered just now has not held on to it for nothing.
    let health = format!("GET /healthz HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    busy.send(health.as_bytes()).unwrap();
    assert_eq!(busy.answer().unwrap().status, 200);
    held.push(connect());
    assert!(first.answer().is_err());
    // By itself it would have been closed after twenty seconds.
    assert!(begun.elapsed() < Duration::from_secs(20));
    busy.send(health.as_bytes()).unwrap();
    assert_eq!(busy.answer().unwrap().status, 200);
    // Whoever comes gets in, from the same address and from another one.
    held.extend((0..SHARE / 2).map(|_| connect()));
    enrolls(&serving, "alice", "");
    enrolls(&serving, "bob", "interface = \"127.0.0.2\"\n");
    wait_until("the oldest to be closed", || {
        held[0].set_nonblocking(true).unwrap();
        match held[0].read(&mut [0]) {
            Ok(0) => Some(()),
            Ok(_) => None,
            Err(why) => (why.kind() != std::io::ErrorKind::WouldBlock).then_some(()),
        }
    });
    assert!(!serving.log.text().contains("panicked"));
}

#[test]
fn who_guesses_too_often_waits_and_keeps_nobody_else_out() {
    let Some((serving, device)) = with_est() else {
        return;
    };
    let csr = serving.request("mallory");
    let invite = serving.invite(&["alice"]);
    let wrong = json!({ "secret": "0".repeat(26), "csr": csr }).to_string();
    let mut phone = Phone::connect(&serving.at_page(), serving.server.port).unwrap();
    let path = format!("/i/{}", invite.word("id"));
    let mut ask = |body: &str| phone.post(&path, "application/json", body).unwrap().status;
    let told: Vec<u16> = (0..61).map(|_| ask(&wrong)).collect();
    assert!(told[..60].iter().all(|status| *status == 403), "{told:?}");
    // Not even with the right secret, and at no door.
    let right = json!({ "secret": invite.word("secret"), "csr": csr }).to_string();
    assert_eq!([told[60], ask(&right)], [429, 429]);
    let user = format!("user = \"{}:{}\"\n", invite.word("id"), invite.word("secret"));
    assert_eq!(serving.simple_enroll(device, &user, &csr).0, 429);
    let elsewhere = format!("{user}interface = \"127.0.0.2\"\n");
    let (status, told) = serving.simple_enroll(device, &elsewhere, &csr);
    assert_eq!(status, 200, "{told}");
}

#[test]
fn who_asks_for_a_long_list_and_does_not_read_it_costs_the_service_no_copy_of_it() {
    const LIST: usize = 4 << 20;
    raise_limit_of_files();
    let Some((serving, status)) = with_status() else {
        return;
    };
    let list = serving.home.public("crl/issuing.crl");
    std::fs::write(list, vec![7; LIST]).unwrap();
    let memory = || {
        let told = std::fs::read_to_string(format!("/proc/{}/status", serving.server.pid())).unwrap();
        let line = told.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    };
    let before = memory();
    let asked: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", status)).unwrap();
            let request = format!("GET /crl/issuing.crl HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    for mut stream in asked.iter() {
        // The answer has begun: what it takes is taken.
        stream.read_exact(&mut [0; 64]).unwrap();
    }
    let grown = memory().saturating_sub(before);
    assert!(
        grown < 20 * LIST,
        "{} MiB for one list of {} MiB",
        grown >> 20,
        LIST >> 20
    );
}

#[test]
fn where_there_are_few_descriptors_connections_leave_those_by_which_the_home_is_written() {
    raise_limit_of_files();
    if !need(&TOOLS) {
        return;
    }
    let serving = Serving::run(Home::with_server(), "+0d", |command| {
        let mut few = Command::new("sh");
        few.args(["-c", "ulimit -n 300; exec \"$0\" \"$@\""]);
        carry_over(&command, &mut few);
        few
    });
    let Some(serving) = serving else { return };
    let address = ("127.0.0.1", serving.server.port);
    let held: Vec<TcpStream> = (0..600).map(|_| TcpStream::connect(address).unwrap()).collect();
    for name in ["alice", "bob"] {
        enrolls(&serving, name, "interface = \"127.0.0.2\"\n");
    }
    let serial = serving.home.serial_of("bob/phone");
    wait_until("the servers' lists", || {
        serving.is_published(&serial).then_some(())
    });
    assert!(
        !serving.log.text().contains("Too many open files"),
        "{}",
        serving.log.text()
    );
    drop(held);
}

#[test]
fn a_service_that_is_to_end_waits_for_nobody_who_has_not_asked() {
    let Some((serving, device)) = with_est() else {
        return;
    };
    let page = serving.server.port;
    let mut held = Vec::new();
    let mut begun = Vec::new();
    for (config, port) in [(serving.at_page(), page), (serving.at_device_face(None), device)] {
        // Nothing, a part of a handshake, and a part of a request.
        held.push(TcpStream::connect(("127.0.0.1", port)).unwrap());
        let mut shaking = TcpStream::connect(("127.0.0.1", port)).unwrap();
        shaking.write_all(&[0x16, 3, 1, 2, 0]).unwrap();
        held.push(shaking);
        let mut phone = Phone::connect(&config, port).unwrap();
        phone.send(b"GET /healthz HTTP/1.1\r\nHo").unwrap();
        begun.push(phone);
    }
    // Whoever has asked is answered: the rest of his request comes when the service is told to end already.
    let invite = serving.invite(&["alice"]);
    let body = json!({ "secret": invite.word("secret"), "csr": serving.request("alice") }).to_string();
    let request = post(&format!("/i/{}", invite.word("id")), "application/json", &body);
    let (head, tail) = request.split_once("\r\n\r\n").unwrap();
    let mut phone = Phone::connect(&serving.at_page(), page).unwrap();
    phone
        .send(format!("{head}\r\nExpect: 100-continue\r\n\r\n").as_bytes())
        .unwrap();
    // Told to go on: the service has taken the request, and waits for the rest.
    assert_eq!(phone.answer().unwrap().status, 100);
    let told = Instant::now();
    serving.server.signal(rustix::process::Signal::TERM);
    std::thread::sleep(Duration::from_secs(2));
    phone.send(tail.as_bytes()).unwrap();
    assert_eq!(phone.answer().unwrap().status, 200);
    let stat = format!("/proc/{}/stat", serving.server.pid());
    wait_until("the service to end", || {
        std::fs::read_to_string(&stat)
            .unwrap()
            .contains(") Z ")
            .then_some(())
    });
    // By themselves they would have been closed after ten and twenty seconds.
    assert!(told.elapsed() < Duration::from_secs(9), "{:?}", told.elapsed());
    drop((held, begun));
}
