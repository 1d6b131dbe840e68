//! What comes of damaged requests over the network: a refusal, or what they say.

use std::path::Path;

use axum::http::{HeaderMap, HeaderValue, header};
use data_encoding::BASE64;

use super::{body, est, ocsp, page, profile, request, status};
use crate::bundle::{self, BundleKeys, Contents, Stretch};
use crate::fuzz::{self, seeds};
use crate::key::{Passphrase, SoftwareKey};
use crate::model::{Form, InviteSecret};
use crate::x509;

const SECRET: &str = "0123456789ABCDEFGHJKMNPQRR";

#[test]
fn names_and_secrets_of_invites_in_a_header() {
    let basic = |text: &str| format!("Basic {}", BASE64.encode(text.as_bytes()));
    let valid = [
        basic(&format!("2WCX1Z1Q:{SECRET}")),
        basic(&format!("2WCX1Z1Q:{SECRET}:123456")),
        format!("Bearer 2WCX1Z1Q.{SECRET}"),
        format!("bearer 2WCX1Z1Q.{SECRET}.123456"),
    ];
    fuzz::damaged(&valid, |octets| {
        let Ok(value) = HeaderValue::from_bytes(octets) else {
            return false;
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value);
        let read = est::credentials(&headers);
        if let Some((id, secret, code)) = &read {
            // What stands between the three is in none of them but the last.
            assert!(!id.contains([':', '.']));
            assert!(code.is_none() || !secret.contains([':', '.']));
            assert!(id.len() + secret.len() <= octets.len());
            if let Some(secret) = InviteSecret::read(secret) {
                assert!(
                    InviteSecret::read(&secret.expose()).is_some_and(|again| again.token() == secret.token())
                );
            }
        }
        read.is_some()
    });
}

#[test]
fn requests_to_redeem_in_json() {
    let csr = x509::request::create(None, &SoftwareKey::generate(&mut fuzz::steady_rng())).unwrap();
    let valid = [
        serde_json::json!({ "secret": SECRET, "csr": csr }),
        serde_json::json!({ "secret": SECRET, "csr": csr, "code": "123456" }),
        serde_json::json!({ "secret": SECRET, "csr": "", "code": null }),
    ];
    fuzz::damaged(&valid.map(|valid| valid.to_string()), |octets| {
        serde_json::from_slice::<page::Asked>(octets).is_ok()
    });
}

#[test]
fn files_to_become_profiles_in_json() {
    let valid = serde_json::json!({ "secret": SECRET, "p12": "MAA=", "signature": BASE64.encode(&[7; 64]) });
    fuzz::damaged(&[valid.to_string()], |octets| {
        serde_json::from_slice::<profile::Asked>(octets).is_ok()
    });
}

/// A request as strongSwan, curl or a person sends it.
#[test]
fn requests_for_certificates_in_every_form() {
    let key = SoftwareKey::generate(&mut fuzz::steady_rng());
    let pem = x509::request::create(None, &key).unwrap();
    let der = x509::pem::decode(x509::pem::REQUEST, pem.as_bytes()).unwrap();
    let base64 = BASE64.encode(&der);
    let lines: Vec<&str> = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let broken = lines.join("\r\n");
    let valid = [pem.into_bytes(), der, base64.into_bytes(), broken.into_bytes()];
    fuzz::damaged(&valid, |octets| match request::key_of(octets) {
        Ok(read) => {
            assert_eq!(&read, key.public_key(), "nobody has signed for that key");
            true
        }
        Err(why) => {
            assert!(!why.is_empty() && why.lines().count() == 1, "{why:?}");
            false
        }
    });
}

#[test]
fn paths_of_est() {
    let valid = [
        "/.well-known/est/cacerts",
        "/pki/.well-known/est/phones/simpleenroll",
    ];
    fuzz::damaged_texts(&valid, |path| {
        let operation = est::operation(path);
        assert!(operation.is_none_or(|operation| path.ends_with(operation) && !operation.contains('/')));
        operation.is_some()
    });
}

#[test]
fn paths_of_ocsp() {
    let valid = [
        "MEMwQTA/MD0wOzAJBgUrDgMCGgUABBQ=",
        "MEMwQTA%2FMD0wOzAJBgUrDgMCGgUABBQ%3d",
    ];
    fuzz::damaged_texts(&valid, |text| {
        let read = ocsp::percent_decoded(text);
        assert!(read.as_ref().is_none_or(|octets| octets.len() <= text.len()));
        assert!(text.contains('%') || read.as_deref() == Some(text.as_bytes()));
        read.is_some()
    });
}

#[test]
fn paths_of_what_is_published() {
    let public = Path::new("/home/public");
    let valid = ["/crl/issuing.crl", "/ca/root.crt", "/pins/pins.jws"];
    fuzz::damaged_texts(&valid, |path| {
        let place = status::place(public, path);
        if let Some(place) = &place {
            let within = place.strip_prefix(public).unwrap();
            let names: Vec<_> = within.components().collect();
            let plain = |name: &std::path::Component<'_>| matches!(name, std::path::Component::Normal(_));
            assert!(names.len() == 2 && names.iter().all(plain), "{path:?}");
        }
        place.is_some()
    });
}

/// Where a body ends is told in one way, or the request is not read.
#[test]
fn heads_that_tell_of_a_body() {
    let valid = [
        "content-length: 5",
        "transfer-encoding: chunked",
        "transfer-encoding: CHUNKED",
        "x: y",
    ];
    fuzz::damaged_texts(&valid, |text| {
        let mut headers = HeaderMap::new();
        for line in text.split(['\n', ',']) {
            let Some((name, value)) = line.split_once(": ") else {
                continue;
            };
            let name = header::HeaderName::try_from(name);
            if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
                headers.append(name, value);
            }
        }
        let has_one = body::has_one_end(&headers);
        let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
        let is_coded = codings.next().is_some();
        assert!(!has_one || codings.next().is_none(), "{headers:?}");
        headers.append(header::CONTENT_LENGTH, HeaderValue::from_static("5"));
        assert_eq!(body::has_one_end(&headers), !is_coded, "{headers:?}");
        has_one
    });
}

#[test]
fn files_of_a_certificate() {
    let mut company = seeds::Company::new();
    let [leaf, other] = [company.device(), company.device()];
    let rng = &mut fuzz::steady_rng();
    let passphrase = Passphrase::from_octets(b"orbit-velvet-canyon-17".to_vec().into()).unwrap();
    let keys = BundleKeys::derive(&passphrase, Form::Modern, Stretch::Generated, rng).unwrap();
    let contents = Contents {
        friendly_name: "alice/phone",
        key: b"0123456789abcdef",
        leaf: &leaf,
        authorities: &[company.devices.chain().ca().der()],
    };
    let bundle = bundle::encode(&contents, keys, rng).unwrap();
    fuzz::damaged(&[bundle], |p12| {
        assert!(!bundle::is_of(p12, &other));
        bundle::is_of(p12, &leaf)
    });
}
