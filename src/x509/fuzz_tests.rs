//! What comes of damaged certificates, CRLs and requests: a refusal, or what they say.

use der::asn1::AnyRef;
use der::{Decode, Reader, SliceReader};

use super::any::AnyCertificate;
use super::crl::Crl;
use super::foreign::ForeignCertificate;
use super::key_kind::KeyKind;
use super::lint::{self, Expected};
use super::request::{self, Request};
use super::template::{AuthorityKind, Kind, Pointers, Template};
use super::{Certificate, cms, key_value, ocsp, pem};
use crate::fuzz::{self, seeds};
use crate::key::PublicKey;
use crate::model::{Authority, Serial};

#[test]
fn certificates_of_ours() {
    let mut company = seeds::Company::new();
    let certificates = company.certificates();
    let cas = [
        company.root.certificate(),
        company.devices.chain().ca(),
        company.servers.chain().ca(),
    ];
    fuzz::damaged(&certificates, |der| {
        let Ok(read) = Certificate::from_der(der) else {
            return false;
        };
        assert_eq!(read.der(), der);
        let key = super::subject_public_key(der).and_then(|spki| PublicKey::from_spki(spki).ok());
        assert!(key.is_none_or(|key| key == *read.public_key()));
        assert_eq!(Certificate::from_pem(read.pem().as_bytes()).as_ref(), Ok(&read));
        if cas.iter().any(|ca| read.is_issued_by(ca)) {
            assert!(
                certificates.iter().any(|whole| whole == der),
                "nobody has signed that"
            );
        }
        true
    });
}

#[test]
fn envelopes_of_certificates() {
    let mut company = seeds::Company::new();
    let certificates = company.certificates();
    let all: Vec<&[u8]> = certificates.iter().map(|der| &der[..]).collect();
    let whole = [cms::certs_only(&all), cms::certs_only(&all[..1])];
    fuzz::damaged(&whole, |octets| {
        let Ok(found) = cms::certificates(octets) else {
            return false;
        };
        for der in found {
            assert!(octets.windows(der.len()).any(|part| part == der));
        }
        true
    });
}

/// A certificate, its issuer, and what it was to say.
fn drafted(
    read: &Certificate,
    issuer: Option<&Certificate>,
    kind: Kind<'_>,
    take: impl Fn(&[u8], &Expected<'_>),
) {
    let authority = match kind {
        Kind::Authority(_) => Authority::Root,
        Kind::Device(_) => Authority::Issuing,
        Kind::Server(_) => Authority::Servers,
    };
    let template = Template {
        serial: Serial::from_octets(read.serial()).unwrap(),
        public_key: read.public_key(),
        pointers: issuer.map(|_| Pointers::new(seeds::URL, authority)),
        kind,
    };
    let expected = Expected {
        template: &template,
        issuer,
    };
    take(parts(read.der())[0], &expected);
}

/// One of each kind: a root, a CA below it, a device's, a server's.
fn all_drafted(take: impl Fn(&[u8], &Expected<'_>)) {
    let mut company = seeds::Company::new();
    let (draft, server_draft) = (company.draft(), company.server_draft());
    let [device, server] =
        [company.device(), company.server()].map(|der| Certificate::from_der(&der).unwrap());
    let (devices, servers) = (company.devices.chain().ca(), company.servers.chain().ca());
    let root = company.root.certificate();
    for (authority, read, issuer) in [
        (Authority::Root, root, None),
        (Authority::Issuing, devices, Some(root)),
        (Authority::Servers, servers, Some(root)),
    ] {
        let kind = Kind::Authority(AuthorityKind {
            authority,
            organization: "Acme Ltd",
            validity: read.validity(),
            constraints: read.name_constraints(),
        });
        drafted(read, issuer, kind, &take);
    }
    drafted(&device, Some(devices), Kind::Device(&draft), &take);
    drafted(&server, Some(servers), Kind::Server(&server_draft), &take);
}

/// Of whatever an encoder might come up with the key signs what was drafted, in DER.
#[test]
fn what_is_about_to_be_signed() {
    all_drafted(|signed, expected| {
        fuzz::damaged(&[signed], |octets| {
            let passes = lint::certificate(octets, expected).is_ok();
            assert!(!passes || octets == signed, "that was not drafted");
            passes
        });
    });
}

/// Each of these the parser reads, and DER has another form for it.
#[test]
fn nothing_is_signed_that_is_no_der() {
    const ORGANIZATION: [u8; 6] = [0x06, 3, 0x55, 4, 10, 0x0c];
    const CRITICAL: [u8; 3] = [1, 1, 0xff];
    all_drafted(|signed, expected| {
        for (usual, at, other) in [
            (&ORGANIZATION[..], 0, 0x07),
            (&ORGANIZATION, 5, 0x4c),
            (&CRITICAL, 2, 0x01),
        ] {
            let mut octets = signed.to_vec();
            let place = octets.windows(usual.len()).rposition(|part| part == usual);
            // A server's certificate names no organization of its own, and its issuer's is compared as it is.
            let place = place.unwrap() + at;
            octets[place] = other;
            assert!(
                lint::certificate(&octets, expected).is_err(),
                "{other:02x} at {place}"
            );
        }
    });
}

#[test]
fn certificates_of_others() {
    let mut all = seeds::Company::new().certificates();
    all.push(seeds::foreign_certificate());
    let host = "api.acme.example".parse().unwrap();
    fuzz::damaged(&all, |der| {
        let any = AnyCertificate::from_der(der);
        let foreign = ForeignCertificate::from_der(der);
        if let Ok(foreign) = &foreign {
            assert_eq!(any.as_ref().map(|any| any.pin), Ok(foreign.pin));
            let _ = foreign.names(&host);
        }
        if let Ok(any) = &any {
            let _ = (any.key.to_string(), any.validity.not_after.to_string());
        }
        assert!(foreign.is_ok() || Certificate::from_der(der).is_err());
        any.is_ok() && foreign.is_ok()
    });
}

#[test]
fn lists_of_revoked_certificates() {
    let company = seeds::Company::new();
    let crls = company.crls();
    fuzz::damaged(&crls, |der| {
        let Ok(crl) = Crl::parse(der) else {
            return false;
        };
        let entries = crl.entries().take_while(Result::is_ok).count();
        assert!(entries <= der.len());
        if crl.is_issued_by(company.root.certificate()) {
            assert!(crls.iter().any(|whole| whole == der), "nobody has signed that");
        }
        true
    });
}

#[test]
fn requests() {
    let key = crate::key::SoftwareKey::generate(&mut fuzz::steady_rng());
    let host = "api.acme.example".parse().unwrap();
    let made = request::create(Some(&host), &key).unwrap();
    let der = pem::decode(pem::REQUEST, made.as_bytes()).unwrap();
    let read = |octets: &[u8]| {
        let read = Request::parse(octets);
        if let Err(why) = &read {
            assert!(!why.to_string().is_empty());
        }
        read.is_ok_and(|read| {
            assert_eq!(read.public_key(), key.public_key());
            true
        })
    };
    fuzz::damaged(&[made.into_bytes(), der], read);
}

#[test]
fn requests_of_any_kind() {
    let files = seeds::files("csr");
    fuzz::damaged(&files, |octets| {
        let _ = Request::parse(octets).map_err(|why| why.to_string());
        if let Ok(der) = pem::decode(pem::REQUEST, octets) {
            let _ = request::key(&der).map(|spki| (KeyKind::of(spki).to_string(), key_value::of(spki)));
        }
        true
    });
}

#[test]
fn public_keys() {
    let key = crate::key::SoftwareKey::generate(&mut fuzz::steady_rng());
    let mut keys = vec![key.public_key().spki().to_vec()];
    for request in seeds::files("csr") {
        let der = pem::decode(pem::REQUEST, &request).unwrap_or_default();
        keys.extend(request::key(&der).map(<[u8]>::to_vec));
    }
    assert!(keys.len() > 3);
    fuzz::damaged(&keys, |spki| {
        let _ = KeyKind::of(spki).to_string();
        let value = key_value::of(spki);
        if let Ok(key) = PublicKey::from_spki(spki) {
            let again = PublicKey::from_spki(key.spki());
            assert_eq!(again.as_ref().ok(), Some(&key));
            assert_eq!(value.as_ref().ok().map(|pin| pin.0), Some(key.spki_sha256()));
        }
        value.is_ok()
    });
}

#[test]
fn pem_blocks() {
    let der = seeds::Company::new().root.certificate().der().to_vec();
    let text = pem::encode(pem::CERTIFICATE, &der);
    let quoted = format!("Subject: x\r\n{}", text.replace('\n', "\r\n"));
    fuzz::damaged(&[text, quoted], |text| {
        let Ok(der) = pem::decode(pem::CERTIFICATE, text) else {
            return false;
        };
        assert!(pem::reads_back(pem::CERTIFICATE, &der));
        let again = pem::encode(pem::CERTIFICATE, &der);
        assert_eq!(pem::decode(pem::CERTIFICATE, again.as_bytes()), Ok(der));
        true
    });
}

/// The three parts of what is signed: the octets that are, the algorithm, the signature.
fn parts(der: &[u8]) -> [&[u8]; 3] {
    let mut content = SliceReader::new(AnyRef::from_der(der).unwrap().value()).unwrap();
    std::array::from_fn(|_| content.tlv_bytes().unwrap())
}

/// Three parts behind a tag, and what stands before the two octets of their length.
fn around(header: &[u8], parts: [&[u8]; 3]) -> Vec<u8> {
    let content = parts.concat();
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [header, &length, &content].concat()
}

/// No signature is over it, and other programs refuse what has another.
#[test]
fn what_stands_around_signed_octets_has_one_form() {
    let mut company = seeds::Company::new();
    let (crl, certificate) = (company.crls().remove(1), company.certificates().remove(1));
    let root = company.root.certificate();
    let is_taken = |der: &[u8]| {
        let crl = Crl::parse(der).is_ok_and(|crl| crl.is_issued_by(root));
        crl || Certificate::from_der(der).is_ok_and(|read| read.is_issued_by(root))
    };
    for der in [crl, certificate] {
        let [signed, algorithm, signature] = parts(&der);
        let usual = [0x30, 0x82];
        assert!(is_taken(&around(&usual, parts(&der))));
        for header in [
            &[0x10, 0x82][..],
            &[0x31, 0x82],
            &[0x30, 0x83, 0],
            &[0x30, 0x84, 0, 0],
        ] {
            assert!(!is_taken(&around(header, parts(&der))), "{header:02x?}");
        }
        let sha384 = [&algorithm[..algorithm.len() - 1], &[3]].concat();
        let with_null = [&[0x30, algorithm[1] + 2], &algorithm[2..], &[5, 0]].concat();
        for other in [sha384, with_null] {
            assert!(
                !is_taken(&around(&usual, [signed, &other, signature])),
                "{other:02x?}"
            );
        }
        let (length, bits) = (signature[1], &signature[2..]);
        for header in [&[3, 0x81, length][..], &[0x23, length], &[4, length]] {
            let other = [header, bits].concat();
            assert!(
                !is_taken(&around(&usual, [signed, algorithm, &other])),
                "{header:02x?}"
            );
        }
        let unused = [&[3, length, 1], &bits[1..]].concat();
        assert!(!is_taken(&around(&usual, [signed, algorithm, &unused])));
    }
}

/// What a client may ask of OCSP: by SHA-1 and SHA-256, with a nonce and without.
fn status_requests() -> Vec<Vec<u8>> {
    let name = |algorithm: &[u8], length: u8| {
        let hash = [vec![4, length], vec![7; length.into()]].concat();
        let content = [algorithm, &hash, &hash, &[2, 3, 1, 2, 3]].concat();
        [vec![0x30, u8::try_from(content.len()).unwrap()], content].concat()
    };
    let wrapped =
        |tag: u8, content: Vec<u8>| [vec![tag, u8::try_from(content.len()).unwrap()], content].concat();
    let sha1 = [0x30, 9, 6, 5, 0x2B, 14, 3, 2, 26, 5, 0];
    let sha256 = [0x30, 13, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0];
    let nonce = [
        0xA2, 0x11, 0x30, 15, 0x30, 13, 6, 9, 0x2B, 6, 1, 5, 5, 7, 0x30, 1, 2, 4, 0,
    ];
    let mut nonce = nonce.to_vec();
    nonce.splice(17.., [4, 4, 4, 2, 9, 9]);
    (nonce[1], nonce[3], nonce[5]) = (0x15, 0x13, 0x11);
    let mut all = Vec::new();
    for (algorithm, length) in [(&sha1[..], 20), (&sha256, 32)] {
        for extensions in [Vec::new(), nonce.clone()] {
            let list = wrapped(0x30, wrapped(0x30, name(algorithm, length)));
            all.push(wrapped(0x30, wrapped(0x30, [list, extensions].concat())));
        }
    }
    all
}

#[test]
fn requests_for_the_status_of_certificates() {
    let requests = status_requests();
    fuzz::damaged(&requests, |der| match ocsp::OcspRequest::parse(der) {
        Ok(request) => {
            assert!((1..=16).contains(&request.asked.len()));
            assert!(request.nonce.is_none_or(|nonce| (1..=128).contains(&nonce.len())));
            true
        }
        Err(unanswered) => {
            assert_eq!(unanswered, ocsp::Unanswered::Malformed);
            false
        }
    });
}
