//! OpenSSL: it verifies the chains, opens the keys, and says field by field what certificates and CRLs hold.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::support::Home;

mod certificates;
mod crls;
mod keys;
mod verify;

/// The five minutes that a certificate begins, and a CRL was updated, before it was made; and a minute for
/// the test itself.
const BACKDATED_AT_MOST: i64 = 6 * 60;
const DAY: i64 = 86_400;

/// Extensions by their names: whether each is critical, and the lines of its value.
type Extensions = BTreeMap<String, (Criticality, Vec<String>)>;

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Criticality {
    Critical,
    Uncritical,
}
use Criticality::{Critical, Uncritical};

/// The extensions of the text that OpenSSL prints of a certificate or a CRL, below a heading.
fn extensions(text: &str, heading: &str) -> Extensions {
    let mut found = Extensions::new();
    let mut lines = text.lines().skip_while(|line| line.trim() != heading);
    let Some(first) = lines.next() else { return found };
    let depth = |line: &str| line.len() - line.trim_start().len();
    let mut name = String::new();
    for line in lines.take_while(|line| depth(line) > depth(first) || line.trim().is_empty()) {
        let content = line.trim();
        if depth(line) == depth(first) + 4 {
            let (title, rest) = content
                .split_once(':')
                .unwrap_or_else(|| panic!("no extension: {line}: {text}"));
            let criticality = if rest.trim() == "critical" {
                Critical
            } else {
                Uncritical
            };
            name = title.to_owned();
            let before = found.insert(name.clone(), (criticality, Vec::new()));
            assert!(before.is_none(), "{name} is there twice: {text}");
        } else if !content.is_empty() {
            found.get_mut(&name).unwrap().1.push(content.to_owned());
        }
    }
    found
}

/// The first line that begins with `title`, without it.
#[track_caller]
fn line<'a>(text: &'a str, title: &str) -> &'a str {
    let found = text.lines().find_map(|line| line.trim().strip_prefix(title));
    found.unwrap_or_else(|| panic!("no {title:?} in {text}"))
}

/// A time in the form that `-dateopt iso_8601` gives it.
fn unix(time: &str) -> i64 {
    let time = time.trim().trim_end_matches('Z').replace(' ', "T");
    let time: DateTime = time.parse().unwrap_or_else(|error| panic!("{time}: {error}"));
    time.to_zoned(TimeZone::UTC).unwrap().timestamp().as_second()
}

fn now() -> i64 {
    Timestamp::now().as_second()
}

/// What `openssl x509` says of a certificate in PEM.
fn x509(home: &Home, certificate: &Path, options: &[&str]) -> String {
    let mut arguments = vec!["x509", "-in", certificate.to_str().unwrap(), "-noout"];
    arguments.extend(["-nameopt", "oneline,utf8,-esc_msb", "-dateopt", "iso_8601"]);
    arguments.extend(options);
    home.foreign("openssl", &arguments).ok().stdout
}

/// What `openssl crl` says of a CRL in DER.
fn crl(home: &Home, crl: &Path, options: &[&str]) -> String {
    let mut arguments = vec!["crl", "-inform", "DER", "-in", crl.to_str().unwrap(), "-noout"];
    arguments.extend(["-nameopt", "oneline,utf8,-esc_msb", "-dateopt", "iso_8601"]);
    arguments.extend(options);
    home.foreign("openssl", &arguments).ok().stdout
}
