//! What comes of damaged answers and URLs of a service: a refusal, or what they say.

use data_encoding::BASE64;

use super::EstUrl;
use super::answer::certificates;
use crate::fuzz::{self, seeds};
use crate::x509::cms::certs_only;

#[test]
fn answers() {
    let mut company = seeds::Company::new();
    let all = company.certificates();
    let all: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
    let valid = [&all[..1], &all].map(|some| BASE64.encode(&certs_only(some)).into_bytes());
    fuzz::damaged(&valid, |body| {
        let Ok(found) = certificates(body) else {
            return false;
        };
        assert!(found.iter().all(|der| !der.is_empty() && der.len() < body.len()));
        true
    });
}

#[test]
fn urls() {
    let valid = [
        "https://enroll.acme.example:8444/.well-known/est/laptops",
        "https://enroll.acme.example",
    ];
    fuzz::damaged(&valid, |octets| {
        let Some(url) = std::str::from_utf8(octets)
            .ok()
            .and_then(|text| text.parse::<EstUrl>().ok())
        else {
            return false;
        };
        assert_eq!(url.to_string().parse(), Ok(url.clone()));
        assert!(url.operation("cacerts").path().ends_with("/cacerts"));
        true
    });
}
