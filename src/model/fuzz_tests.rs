//! What comes of damaged words, files and events: a refusal that can be read, or what they say.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use super::near::near;
use super::text::{in_shell, printable, quoted};
use super::{
    Address, Contents, Device, Domain, Email, Employee, Event, Fact, Form, Host, InviteId, InviteSecret,
    IpRange, Kind, PersonName, Pin, Platform, Profile, Reason, Serial, Span, Status, Time,
};
use crate::fuzz::{self, seeds};

/// Whether a text is one of these. Said again, it is the same one; a refusal is fit to be shown.
fn reads_back<T>(text: &str) -> bool
where
    T: FromStr<Err: Display> + Display + PartialEq + Debug,
{
    match text.parse::<T>() {
        Ok(read) => {
            assert_eq!(read.to_string().parse::<T>().ok().as_ref(), Some(&read));
            true
        }
        Err(why) => {
            let why = why.to_string();
            assert_eq!(printable(&why), Ok(()), "{why:?}");
            false
        }
    }
}

#[test]
fn employees_and_devices() {
    fuzz::damaged_texts(&["alice", "a.b_c-9"], reads_back::<Employee>);
    fuzz::damaged_texts(&["phone", "tablet-2"], reads_back::<Device>);
    fuzz::damaged_texts(&["alice/phone", "a.b/c-9"], |text| {
        let _ = text.parse().map(|address: Address| {
            assert!(!near(address.device.as_str()).contains(address.device.as_str()));
            (address.file_stem(), address.demand_no_serial())
        });
        reads_back::<Address>(text)
    });
}

#[test]
fn names_and_mail_addresses() {
    fuzz::damaged_texts(&["Zoë Müller", "李", " Alice "], reads_back::<PersonName>);
    fuzz::damaged_texts(&["alice@acme.example", "zoë.m+x@müller.example"], |text| {
        let _ = text.parse().map(|email: Email| email.domain());
        reads_back::<Email>(text)
    });
}

#[test]
fn hosts_and_networks() {
    fuzz::damaged_texts(&["API.acme.example", "10.0.0.1", "2001:db8::1"], |text| {
        let _ = text
            .parse()
            .map(|host: Host| (host.file_stem(), host.common_name()));
        reads_back::<Host>(text)
    });
    fuzz::damaged_texts(&["acme.example"], reads_back::<Domain>);
    fuzz::damaged_texts(&["10.0.0.0/8", "2001:db8::/32", "0.0.0.0/0"], |text| {
        if let Ok(range) = text.parse::<IpRange>() {
            assert!([8, 32].contains(&range.octets().len()));
        }
        reads_back::<IpRange>(text)
    });
}

#[test]
fn numbers_and_times() {
    let serial = "1F000102030405060708090A0B0C0D0E";
    fuzz::damaged_texts(&[serial, &serial.to_lowercase()], reads_back::<Serial>);
    fuzz::damaged_texts(
        &[format!("serial={serial}"), "Serial Number: 1f:00:01".into()],
        |text| {
            let _ = (
                text.parse::<Serial>().map_err(|why| why.to_string()),
                Serial::resembles(text),
            );
            true
        },
    );
    let times = [
        "2026-11-22T13:00:00Z",
        "9999-12-30T00:00:00.5+01:00",
        "-000001-01-01T00:00:00Z",
    ];
    fuzz::damaged_texts(&times, |text| {
        let _ = text
            .parse()
            .map(|time: Time| (time.date(), time + Span::days(i64::MAX)));
        reads_back::<Time>(text)
    });
    fuzz::damaged_texts(&["30d", "999999999w", "0s"], |text| {
        text.parse::<Span>().is_ok_and(|span| {
            assert!(span.as_seconds() >= 0 && !span.to_string().is_empty());
            true
        })
    });
    fuzz::damaged_texts(&[Pin([7; 32]).to_string()], |text| {
        Pin::try_from(text.to_owned()).is_ok_and(|pin| {
            assert_eq!(pin.to_string(), text);
            true
        })
    });
}

#[test]
fn words() {
    fuzz::damaged_texts(&["ios", "windows"], reads_back::<Platform>);
    fuzz::damaged_texts(&["modern", "legacy"], reads_back::<Form>);
    fuzz::damaged_texts(&["lost", "stolen"], reads_back::<Reason>);
    fuzz::damaged_texts(&["valid", "superseded"], reads_back::<Status>);
}

/// As people type them, and as codes of theirs are read.
#[test]
fn names_and_secrets_of_invites() {
    fuzz::damaged_texts(&["2WCX1Z1Q", "2wcxlzoq"], reads_back::<InviteId>);
    let secret = InviteSecret::from_random([7; 16]).expose();
    let typed = secret.to_lowercase();
    fuzz::damaged_texts(&[secret, typed], |text| {
        let read = InviteSecret::read(text);
        if let Some(read) = &read {
            let again = InviteSecret::read(&read.expose());
            assert_eq!(again.map(|again| again.token()), Some(read.token()));
        }
        read.is_some()
    });
}

#[test]
fn whatever_is_shown() {
    fuzz::damaged_texts(&["Zoë's \u{202e}phone\0", "a", "/srv/pki; rm -rf"], |text| {
        let shown = quoted(text);
        assert_eq!(printable(&shown), Ok(()), "{shown:?}");
        let word = in_shell(text);
        let is_quoted = word.starts_with('\'') && word.ends_with('\'');
        assert!(is_quoted || word == text);
        true
    });
}

#[test]
fn files_of_any_kind() {
    let mut company = seeds::Company::new();
    let certificate = company.devices.chain().ca().clone();
    let crl = company.crls().remove(1);
    let pem = certificate.pem();
    let trusted = pem
        .replace("BEGIN CERT", "BEGIN TRUSTED CERT")
        .replace("END CERT", "END TRUSTED CERT");
    let utf16: Vec<u8> = format!("\u{feff}{pem}")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let mail = pem
        .lines()
        .map(|line| format!("> {line}\r\n"))
        .collect::<String>();
    let naked: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let key =
        "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMHcCAQEE\n-----END EC PRIVATE KEY-----\n";
    let bundle = b"\x30\x82\x04\x00\x02\x01\x03\x30\x82\x01\x01".to_vec();
    let mut files = vec![certificate.der().to_vec(), crl, company.device(), utf16, bundle];
    files.extend([pem.clone() + key + &pem, trusted, mail, naked].map(String::into_bytes));
    files.extend(seeds::files("csr"));
    fuzz::damaged(&files, |octets| {
        let contents = Contents::of(octets);
        for kind in [Kind::Certificate, Kind::Crl, Kind::Request, Kind::PrivateKey] {
            let all = contents.all(kind).map_err(|why| why.to_string());
            assert!(all.is_ok() || contents.only(kind).is_err());
        }
        let _ = (contents.instead(), contents.holds_key());
        for item in &contents.items {
            assert!(item.kind != Kind::PrivateKey || item.der.is_none());
            assert!(item.der.as_ref().is_none_or(|der| der.len() <= octets.len()));
        }
        true
    });
}

#[test]
fn profiles() {
    let profiles = ["days = 90\nmax_days = 398\n", "# short\nmax_days = 7\n\ndays = 1"];
    fuzz::damaged_texts(&profiles, |text| match Profile::parse("device", text) {
        Ok(profile) => {
            assert!(profile.days() >= 1 && profile.days() <= profile.max_days());
            assert!(profile.max_days() <= Profile::LIMIT);
            true
        }
        Err(why) => {
            assert!(!why.to_string().is_empty());
            false
        }
    });
    fuzz::damaged_texts(&["device"], |name| Profile::check_name(name).is_ok());
}

#[test]
fn events() {
    let mut company = seeds::Company::new();
    let lines: Vec<String> = company
        .facts()
        .into_iter()
        .zip(1..)
        .map(|(fact, seq)| {
            let event = Event {
                seq,
                time: seeds::now(),
                by: "root".into(),
                fact,
            };
            serde_json::to_string(&event).unwrap()
        })
        .collect();
    fuzz::damaged(&lines, |line| {
        let Ok(event) = serde_json::from_slice::<Event>(line) else {
            return false;
        };
        let again = serde_json::to_vec(&event).unwrap();
        assert_eq!(serde_json::from_slice::<Event>(&again).unwrap(), event);
        let _ = serde_json::from_slice::<Fact>(line);
        true
    });
}
