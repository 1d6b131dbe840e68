//! Compares two answers: the one that a device gets, and the one that another client gets by another way.
//! Behind another name there may be another host, whose answers say nothing about this one.

use data_encoding::HEXUPPER;
use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::OID_X509_ORGANIZATION_NAME;
use x509_parser::prelude::FromDer;

use super::manner::Manner;
use crate::check::client::http::Sample;

/// The answers that a device gets that is permitted to come.
#[derive(Debug)]
pub struct DeviceGets {
    /// The answer to the usual request.
    pub usual: Sample,
    /// The answers to requests in other manners.
    pub others: Vec<(Manner, Sample)>,
    /// The words by which an application may name the device.
    pub names: Vec<String>,
}

impl DeviceGets {
    /// Whether this is the answer that it gets to the usual request.
    pub fn gets_usually(&self, sample: &Sample) -> bool {
        is_alike(&self.usual, sample, &self.names)
    }

    /// Whether this is the answer that it gets to another request, even where that is an error.
    pub fn gets(&self, manner: Manner, sample: &Sample) -> bool {
        let mut others = self.others.iter().filter(|(other, _)| *other == manner);
        others.any(|(_, own)| is_same(own, sample, &self.names))
    }
}

/// Whether this is what a device gets, but for what names the device. `names` are the words for it.
fn is_alike(device_gets: &Sample, other: &Sample, names: &[String]) -> bool {
    // Errors look alike everywhere.
    (200..400).contains(&other.status) && is_same(device_gets, other, names)
}

fn is_same(device_gets: &Sample, other: &Sample, names: &[String]) -> bool {
    let same_place = match (&device_gets.location, &other.location) {
        (Some(one), Some(other)) => one == other,
        // Not every answer tells it.
        (None, _) | (_, None) => true,
    };
    device_gets.status == other.status && same_place && fits(&pieces(&device_gets.body, names), &other.body)
}

/// The words by which an application may name a device, as its certificate has them: whatever of its subject
/// is not the company's, and its serial number.
pub fn names(certificate: &[u8]) -> Vec<String> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
        return Vec::new();
    };
    let subject = parsed.subject().iter_attributes();
    let own = subject.filter(|attribute| *attribute.attr_type() != OID_X509_ORGANIZATION_NAME);
    let mut names: Vec<String> = own
        .filter_map(|attribute| attribute.as_str().ok())
        .flat_map(|value| [value].into_iter().chain(value.split('/')))
        .map(str::to_owned)
        .collect();
    let serial = HEXUPPER.encode(parsed.raw_serial());
    names.extend([parsed.raw_serial_as_string(), serial.to_ascii_lowercase(), serial]);
    names.push(parsed.subject().to_string());
    names
}

/// What of a text does not name the device, in pieces.
fn pieces<'a>(text: &'a [u8], names: &[String]) -> Vec<&'a [u8]> {
    let mut pieces = vec![text];
    // The longest first: a short name may be part of it.
    let mut names: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    for name in names.into_iter().filter(|name| !name.is_empty()) {
        pieces = pieces.into_iter().flat_map(|piece| cut(piece, name)).collect();
    }
    pieces
}

fn cut<'a>(mut text: &'a [u8], name: &[u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    while let Some(place) = find(text, name) {
        pieces.push(&text[..place]);
        text = &text[place + name.len()..];
    }
    pieces.push(text);
    pieces
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// Whether a text consists of these pieces, with whatever between them.
fn fits(pieces: &[&[u8]], mut text: &[u8]) -> bool {
    let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else {
        return text.is_empty();
    };
    if pieces.len() == 1 {
        return *first == text;
    }
    // A name alone is like anything.
    if pieces.iter().all(|piece| piece.is_empty()) || !text.starts_with(first) {
        return false;
    }
    text = &text[first.len()..];
    for piece in &pieces[1..pieces.len() - 1] {
        let place = if piece.is_empty() {
            Some(0)
        } else {
            find(text, piece)
        };
        let Some(place) = place else {
            return false;
        };
        text = &text[place + piece.len()..];
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(status: u16, body: &str) -> Sample {
        Sample {
            status,
            location: None,
            body: body.into(),
        }
    }

    #[test]
    fn an_answer_is_known_again_but_for_the_name_in_it() {
        let names = ["pki-check/control", "pki-check", "0A0B"].map(str::to_owned);
        let alike = |device: &str, other: &str| is_alike(&sample(200, device), &sample(200, other), &names);
        for (device, other, is) in [
            ("hello\n", "hello\n", true),
            ("hello\n", "welcome\n", false),
            ("", "", true),
            ("", "welcome", false),
            ("device=pki-check/control\n", "device=-\n", true),
            ("device=pki-check/control\n", "device=\n", true),
            ("device=pki-check/control\n", "nginx\n", false),
            ("<b>pki-check/control</b><i>0A0B</i>!", "<b></b><i>-</i>!", true),
            ("<b>pki-check/control</b><i>0A0B</i>!", "<b></b>!", false),
            ("pki-check/control", "anything", false),
        ] {
            assert_eq!(alike(device, other), is, "{device:?} {other:?}");
        }
    }

    #[test]
    fn statuses_and_places_count() {
        assert!(!is_alike(&sample(200, "a"), &sample(404, "a"), &[]));
        assert!(!is_alike(&sample(404, "a"), &sample(404, "a"), &[]));
        let to = |place: Option<&str>| Sample {
            location: place.map(|place| place.as_bytes().to_vec()),
            ..sample(302, "")
        };
        assert!(is_alike(&to(Some("/in")), &to(Some("/in")), &[]));
        assert!(is_alike(&to(Some("/in")), &to(None), &[]));
        assert!(!is_alike(
            &to(Some("/in")),
            &to(Some("https://elsewhere.example/")),
            &[]
        ));
    }
}
