//! A service that goes on for long: what it shows to devices is renewed and rotated while it runs, and the
//! pin by which they know it holds.

use super::{Invite, Serving, TOOLS, by_faked_clock};
use crate::support::{HOST, Home, free_port, need, wait_until};

/// A service for devices whose clock is set by a file, and what waits with it; with an invite that it wakes
/// by.
struct Aging {
    serving: Serving,
    port: u16,
    invite: Invite,
}

impl Aging {
    fn start() -> Option<Self> {
        if !need(&TOOLS) || !need(&["faketime"]) {
            return None;
        }
        let home = Home::with_certified_server();
        let port = free_port();
        home.configure("device", &format!("\"127.0.0.1:{port}\""));
        let clock = home.path("clock");
        std::fs::write(&clock, "+0").unwrap();
        let serving = Serving::run(home, "+0d", |command| {
            let mut command = by_faked_clock(command);
            command
                .env("FAKETIME_TIMESTAMP_FILE", &clock)
                .env("FAKETIME_NO_CACHE", "1")
                .env_remove("FAKETIME_DONT_FAKE_MONOTONIC")
                .env_remove("DONT_FAKE_MONOTONIC");
            command
        })?;
        wait_until("the device face", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        let invite = serving.invite(&["zoe"]);
        Some(Self {
            serving,
            port,
            invite,
        })
    }

    /// Sets the clock of the service. What the kernel waits for is no quicker: whoever asks for something
    /// wakes the clerk, who then sees how late it is.
    fn set(&self, clock: &str) {
        // Once he has answered he is done with what came before: between two looks at a clock that is set he
        // would find that it was moved.
        self.wake();
        super::set_clock(&self.serving.home, clock);
        self.wake();
    }

    fn wake(&self) {
        let form = format!("data-urlencode = \"secret={}\"\n", self.invite.word("secret"));
        let path = format!("/i/{}", self.invite.word("id"));
        self.serving
            .server
            .curl_with(&self.serving.home, None, &path, &form);
    }

    /// The certificate that devices are shown: its serial number, the pin of its key, and its end.
    fn shown(&self) -> [String; 3] {
        let home = &self.serving.home;
        let address = format!("127.0.0.1:{}", self.port);
        let said = home.foreign(
            "openssl",
            &["s_client", "-connect", &address, "-servername", HOST],
        );
        std::fs::write(home.path("shown.pem"), &said.stdout).unwrap();
        let of = |what: &[&str]| {
            let all = [&["x509", "-in", "shown.pem", "-noout"], what].concat();
            home.foreign("openssl", &all).ok().stdout
        };
        [
            of(&["-serial"]),
            of(&["-pubkey"]),
            of(&["-enddate", "-dateopt", "iso_8601"]),
        ]
    }

    /// The same once it is another certificate than `before`.
    fn shown_after(&self, before: &[String; 3]) -> [String; 3] {
        wait_until("another certificate", || {
            self.wake();
            let shown = self.shown();
            (shown[0] != before[0]).then_some(shown)
        })
    }
}

#[test]
fn for_half_a_year_devices_are_shown_a_certificate_of_the_same_key_and_a_crl_that_holds() {
    let Some(aging) = Aging::start() else { return };
    let home = &aging.serving.home;
    let today = seconds(home, "now");
    let first = aging.shown();
    let mut serials = vec![first[0].clone()];
    for day in (25_i64..=200).step_by(25) {
        aging.set(&format!("+{day}d"));
        let now = today + day * 86_400;
        wait_until(&format!("a CRL for day {day}"), || {
            aging.wake();
            (crl_ends(home) > now + 5 * 86_400).then_some(())
        });
        let shown = aging.shown();
        assert_eq!(shown[1], first[1], "the pin holds on day {day}");
        let end = shown[2].trim().trim_start_matches("notAfter=");
        assert!(seconds(home, end) > now, "{end} on day {day}");
        if serials.last() != Some(&shown[0]) {
            serials.push(shown[0].clone());
        }
    }
    assert!(
        serials.len() >= 3,
        "it was renewed while the service ran: {serials:?}"
    );
    let log = aging.serving.log.text();
    assert!(!log.contains("warning"), "{log}");
}

/// A date as seconds since 1970.
fn seconds(home: &Home, date: &str) -> i64 {
    let said = home.foreign("date", &["-d", date, "+%s"]).ok();
    said.stdout.trim().parse().unwrap()
}

/// When the published CRL ends.
fn crl_ends(home: &Home) -> i64 {
    let crl = home.public("crl/issuing.crl").display().to_string();
    let read = ["crl", "-inform", "DER", "-in", &crl, "-noout", "-nextupdate"];
    let said = home.foreign("openssl", &read).ok().stdout;
    seconds(home, said.trim().trim_start_matches("nextUpdate="))
}

#[test]
fn a_key_that_the_operator_takes_into_use_is_shown_by_the_service_that_runs() {
    let Some(aging) = Aging::start() else { return };
    let home = &aging.serving.home;
    let before = aging.shown();
    let said = home.run(&["server", "rotate", HOST, "--out", "rotated", "--confirm", HOST]);
    let id = aging.invite.word("id");
    assert!(
        said.stderr.contains("the pin of the key before")
            && said.stderr.contains(&format!("{id} for zoe/phone")),
        "{said}"
    );
    aging.set("+2m");
    let after = aging.shown_after(&before);
    assert_ne!(after[1], before[1]);
    // It is the key that the next invite pins.
    let pins = home.run(&["pins", "show", "--json"]).json();
    std::fs::write(home.path("shown.pub"), &after[1]).unwrap();
    let der = [
        "pkey",
        "-pubin",
        "-in",
        "shown.pub",
        "-outform",
        "DER",
        "-out",
        "shown.der",
    ];
    home.foreign("openssl", &der).ok();
    let hash = base64_sha256(&std::fs::read(home.path("shown.der")).unwrap());
    assert!(pins.to_string().contains(&hash), "{pins}");
}

fn base64_sha256(octets: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    data_encoding::BASE64.encode(&Sha256::digest(octets))
}
