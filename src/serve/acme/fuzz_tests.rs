//! What comes of damaged requests of ACME clients: a refusal, or what they say.

use data_encoding::BASE64URL_NOPAD;

use super::certify;
use super::jws::Jws;
use crate::fuzz;
use crate::key::SoftwareKey;
use crate::x509;

/// What servers sign by ACME: whoever reads it has what was signed, or refuses it.
#[test]
fn signed_requests_of_servers() {
    let encoded = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    let jwk = r#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}"#;
    let headers = [
        format!(
            r#"{{"alg":"ES256","jwk":{jwk},"nonce":"AA","url":"https://pki.acme.example/acme/new-account"}}"#
        ),
        r#"{"alg":"RS256","kid":"https://pki.acme.example/acme/account/00","nonce":"AA","url":""}"#
            .to_owned(),
    ];
    let valid = headers.map(|header| {
        let (header, payload) = (encoded(&header), encoded(r#"{"identifiers":[]}"#));
        format!(
            r#"{{"protected":"{header}","payload":"{payload}","signature":"{}"}}"#,
            encoded("signature")
        )
    });
    fuzz::damaged(&valid, |octets| match Jws::parse(octets) {
        Ok(read) => {
            assert!(read.payload.len() < octets.len());
            assert!(!read.is_authenticated_by(&[0; 32]));
            true
        }
        Err(problem) => {
            assert!(!problem.detail.is_empty());
            false
        }
    });
}

/// What servers have certified: the names in it are those that were ordered, or nothing is.
#[test]
fn requests_for_certificates_of_servers() {
    let hosts = ["api.acme.example".parse().unwrap()];
    let key = SoftwareKey::generate(&mut fuzz::steady_rng());
    let pem = x509::request::create(Some(&hosts[0]), &key).unwrap();
    let der = x509::pem::decode(x509::pem::REQUEST, pem.as_bytes()).unwrap();
    fuzz::damaged(&[der], |octets| match certify::requested(octets, &hosts) {
        Ok(read) => {
            assert_eq!(&read, key.public_key());
            true
        }
        Err(problem) => {
            assert!(!problem.detail.is_empty());
            let _ = x509::request::names(octets);
            false
        }
    });
}
