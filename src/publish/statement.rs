//! Verifies statements. A statement is a JWS in compact form (RFC 7515 §7.1), signed with ES256 by the
//! devices' CA for those who read a publication.
//!
//! [`Statement::verify`] checks the signature, that the signer is the devices' CA, and that its certificate
//! was issued by the given root and is valid at the time. [`Statement::demand_unrevoked`] checks revocation
//! apart. Keys of devices, of servers and of the servers' CA chain to the same root, and are refused as
//! signers.

use data_encoding::{BASE64URL_NOPAD, HEXUPPER};
use serde::Deserialize;

use crate::issuer::Chain;
use crate::key::PublicKey;
use crate::model::text::{of_base64, quoted};
use crate::model::{Authority, Time};
use crate::x509::crl::Crl;
use crate::x509::{Certificate, X509Error};

/// A statement whose signature holds, and whose signer the root vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    payload: Vec<u8>,
    signer: Certificate,
}

/// The reasons for which a statement is not trusted: one variant for each rule that it can break.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidStatement {
    /// It is not three parts of base64url.
    #[error("it is no JWS in compact form")]
    Form,
    /// The header is not exactly the one that a CA of this program writes.
    #[error("its header is not as it should be: {0}")]
    Header(String),
    /// The certificate in the header cannot be read.
    #[error("the certificate in its header: {0}")]
    Certificate(X509Error),
    /// The signer is no CA, or one that is not for devices: the root's servers' CA, a device, a server.
    #[error("it is signed by {0}, which is not the devices' CA")]
    NotDevicesCa(String),
    /// The root did not issue the signer's certificate itself.
    #[error("it is signed by {signer}, which the root that was given has not issued")]
    OtherRoot {
        /// The subject of the signer's certificate, escaped.
        signer: String,
        /// The SHA-256 of the root that was given, as `pki show` writes it.
        root: String,
    },
    /// The signer's certificate is not valid at this time.
    #[error("the certificate of its signer is good from {from} to {to}, and it is {now}")]
    OutOfDate {
        /// The start of the validity period (notBefore), inclusive.
        from: Time,
        /// The end of the validity period (notAfter), inclusive.
        to: Time,
        /// The current time.
        now: Time,
    },
    /// The root has revoked the signer's certificate.
    #[error("the certificate of its signer, {0}, is revoked by the root")]
    Revoked(String),
    /// The signature is not the signer's, or of another text.
    #[error("its signature does not hold")]
    Signature,
}

impl Statement {
    /// Reads a statement of the type `typ` and verifies it: the header has `alg` ES256, that `typ`, one
    /// certificate as `x5c` and nothing else; that certificate is in date, is the devices' CA's, and was
    /// issued by `root` itself. Whether the root has revoked it is for [`Self::demand_unrevoked`].
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn verify(typ: &str, jws: &[u8], root: &Certificate, now: Time) -> Result<Self, InvalidStatement> {
        let statement = Self::of_root(typ, jws, root)?;
        let validity = statement.signer.validity();
        if now < validity.not_before || validity.not_after < now {
            return Err(InvalidStatement::OutOfDate {
                from: validity.not_before,
                to: validity.not_after,
                now,
            });
        }
        Ok(statement)
    }

    /// As [`Self::verify`], but whatever the validity period of the signer's certificate: for a statement
    /// that was verified when it came.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn of_root(typ: &str, jws: &[u8], root: &Certificate) -> Result<Self, InvalidStatement> {
        Self::of_anyone(typ, jws)?.vouched_for(root, |signer| signer.is_issued_by(root))
    }

    /// As [`Self::of_root`], for the root of this chain. One that the chain's own CA signed costs less than
    /// half of that: its certificate was read, and whose it is was verified, with the chain.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn of_chain(typ: &str, jws: &[u8], chain: &Chain) -> Result<Self, InvalidStatement> {
        let statement = Self::read(typ, jws, |der| match der == chain.ca().der() {
            true => Ok(chain.ca().clone()),
            false => Certificate::from_der(der),
        })?;
        statement.vouched_for(chain.root(), |signer| chain.has_issued(signer))
    }

    fn vouched_for(
        self,
        root: &Certificate,
        has_issued: impl FnOnce(&Certificate) -> bool,
    ) -> Result<Self, InvalidStatement> {
        if has_issued(&self.signer) {
            Ok(self)
        } else {
            Err(InvalidStatement::OtherRoot {
                signer: quoted(self.signer.subject_text()),
                root: HEXUPPER.encode(&root.sha256()),
            })
        }
    }

    /// As [`Self::of_root`], whoever vouches for the signer.
    fn of_anyone(typ: &str, jws: &[u8]) -> Result<Self, InvalidStatement> {
        Self::read(typ, jws, Certificate::from_der)
    }

    fn read(
        typ: &str,
        jws: &[u8],
        certificate: impl FnOnce(&[u8]) -> Result<Certificate, X509Error>,
    ) -> Result<Self, InvalidStatement> {
        let jws = Jws::read(jws).ok_or(InvalidStatement::Form)?;
        let signer = certificate(&signer(typ, &jws.header)?).map_err(InvalidStatement::Certificate)?;
        if !signer.is_ca_like(Authority::Issuing) {
            return Err(InvalidStatement::NotDevicesCa(quoted(signer.subject_text())));
        }
        if !jws.is_signed_by(signer.public_key()) {
            return Err(InvalidStatement::Signature);
        }
        Ok(Self {
            payload: jws.payload,
            signer,
        })
    }

    /// Makes sure that the root's CRL, which the caller has verified, does not name the signer.
    ///
    /// # Errors
    /// Where it does, or cannot be read to its end.
    pub fn demand_unrevoked(&self, root_crl: &Crl<'_>) -> Result<(), InvalidStatement> {
        for entry in root_crl.entries() {
            let entry = entry.map_err(InvalidStatement::Certificate)?;
            if entry.serial.octets()[..] == *self.signer.serial() {
                return Err(InvalidStatement::Revoked(quoted(self.signer.subject_text())));
            }
        }
        Ok(())
    }

    /// The signed payload: the octets of the JSON document.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The certificate of the signer, the devices' CA.
    pub fn signer(&self) -> &Certificate {
        &self.signer
    }
}

/// The contents of a JWS, whoever has made it: to be shown, and not to be trusted.
#[derive(Debug)]
pub struct Unproven {
    /// Its type: `typ` in the header.
    pub typ: String,
    /// The payload: the octets of the JSON document.
    pub payload: Vec<u8>,
    /// The certificate in its header, if there is one.
    pub signer: Option<Certificate>,
}

impl Unproven {
    /// Reads a JWS in compact form that names its type.
    pub fn read(jws: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Header {
            typ: String,
            #[serde(default)]
            x5c: Vec<String>,
        }
        let jws = Jws::read(jws)?;
        let header: Header = serde_json::from_slice(&jws.header).ok()?;
        let der = header.x5c.first().and_then(|first| of_base64(first));
        Some(Self {
            typ: header.typ,
            payload: jws.payload,
            signer: der.and_then(|der| Certificate::from_der(&der).ok()),
        })
    }
}

/// Whether this JWS says exactly that, and `signer` signed it: whoever may write to a directory cannot speak
/// for the CA.
pub(super) fn signs(signer: &PublicKey, jws: &[u8], payload: &[u8]) -> bool {
    said(signer, jws).is_some_and(|said| said == payload)
}

/// The payload of this JWS, if `signer` signed it.
pub(super) fn said(signer: &PublicKey, jws: &[u8]) -> Option<Vec<u8>> {
    let jws = Jws::read(jws)?;
    jws.is_signed_by(signer).then_some(jws.payload)
}

/// The signer of a statement of this type, if it is a devices' CA, of whatever PKI and whatever the validity
/// period of its certificate.
pub(super) fn vouched(typ: &str, jws: &[u8]) -> Option<String> {
    let signer = Statement::of_anyone(typ, jws).ok()?.signer;
    let serial = HEXUPPER.encode(signer.serial());
    Some(format!("{} (serial {serial})", quoted(signer.subject_text())))
}

struct Jws<'a> {
    header: Vec<u8>,
    payload: Vec<u8>,
    signed: &'a [u8],
    signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    fn read(jws: &'a [u8]) -> Option<Self> {
        let parts: Vec<&[u8]> = jws.splitn(4, |octet| *octet == b'.').collect();
        let &[header, payload, signature] = parts.as_slice() else {
            return None;
        };
        let decoded = |part| BASE64URL_NOPAD.decode(part).ok();
        Some(Self {
            header: decoded(header)?,
            payload: decoded(payload)?,
            signed: &jws[..header.len() + 1 + payload.len()],
            signature: decoded(signature)?,
        })
    }

    fn is_signed_by(&self, key: &PublicKey) -> bool {
        key.verifies_es256(self.signed, &self.signature)
    }
}

/// The certificate in a header that says nothing but what it must, DER.
fn signer(typ: &str, header: &[u8]) -> Result<Vec<u8>, InvalidStatement> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Header {
        alg: String,
        typ: String,
        x5c: Vec<String>,
    }
    let refused = |why: String| InvalidStatement::Header(why);
    let header: Header = serde_json::from_slice(header).map_err(|e| refused(e.to_string()))?;
    if header.alg != "ES256" {
        return Err(refused(format!("alg is {}", quoted(&header.alg))));
    }
    if header.typ != typ {
        return Err(refused(format!("typ is {}, and not {typ}", quoted(&header.typ))));
    }
    let [certificate] = header.x5c.as_slice() else {
        return Err(refused(format!(
            "x5c has {} certificates, and not one",
            header.x5c.len()
        )));
    };
    of_base64(certificate).ok_or_else(|| refused("x5c is no base64".into()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use data_encoding::BASE64;

    use super::*;
    use crate::issuer::{Devices, Root};
    use crate::key::{self, PublicKey, Signer, SigningError, SoftwareKey, Unverified, os_rng};
    use crate::model::{NameConstraints, Reason, Revocation, Serial, Span};
    use crate::x509::crl::Terms;

    const TYPE: &str = "pki-manifest+jws";

    fn now() -> Time {
        Time::from_unix(1_800_000_000)
    }

    fn begun() -> Time {
        now() - Span::days(1)
    }

    fn constraints() -> NameConstraints {
        NameConstraints {
            domains: vec!["acme.example".parse().unwrap()],
            ..NameConstraints::default()
        }
    }

    fn cas() -> (Root, Devices) {
        let key = SoftwareKey::generate(&mut os_rng());
        let root = Root::create(key, "Acme Ltd", Some(&constraints()), begun(), &mut os_rng()).unwrap();
        let issuing = devices(&root);
        (root, issuing)
    }

    fn devices(root: &Root) -> Devices {
        let key = SoftwareKey::generate(&mut os_rng());
        let chain = root.sign_issuing(key.public_key(), &constraints(), None, begun(), &mut os_rng());
        Devices::open(chain.unwrap(), key, None).unwrap()
    }

    /// A key that the root has and the test, too.
    #[derive(Debug)]
    struct Shared(Arc<SoftwareKey>);

    impl Signer for Shared {
        fn public_key(&self) -> &PublicKey {
            self.0.public_key()
        }

        fn sign(&self, message: &[u8]) -> Result<Unverified, SigningError> {
            self.0.sign(message)
        }
    }

    fn verify(jws: &str, root: &Root) -> Result<Statement, InvalidStatement> {
        Statement::verify(TYPE, jws.as_bytes(), root.certificate(), now())
    }

    /// The statement with another header under it, and the signature that it had.
    fn with_header(jws: &str, header: &str) -> String {
        let (_, rest) = jws.split_once('.').unwrap();
        format!("{}.{rest}", BASE64URL_NOPAD.encode(header.as_bytes()))
    }

    #[test]
    fn a_statement_of_the_issuing_ca_holds_and_gives_its_octets() {
        let (root, issuing) = cas();
        let statement = verify(&issuing.sign_statement(TYPE, b"{}\n").unwrap(), &root).unwrap();
        assert_eq!(statement.payload(), b"{}\n");
        assert_eq!(statement.signer(), issuing.chain().ca());
    }

    #[test]
    fn another_root_another_type_or_another_time_is_refused() {
        let ((root, issuing), (other, others)) = (cas(), cas());
        let jws = issuing.sign_statement(TYPE, b"{}").unwrap();
        assert!(matches!(
            verify(&jws, &other),
            Err(InvalidStatement::OtherRoot { .. })
        ));
        let of = |devices: &Devices| Statement::of_chain(TYPE, jws.as_bytes(), devices.chain());
        assert_eq!(of(&issuing), Ok(verify(&jws, &root).unwrap()));
        assert!(matches!(of(&others), Err(InvalidStatement::OtherRoot { .. })));
        // The CA before of the same root is as good, and so is the one after.
        assert!(of(&devices(&root)).is_ok());
        assert!(matches!(
            verify(&issuing.sign_statement("pki-pins+jws", b"{}").unwrap(), &root),
            Err(InvalidStatement::Header(_))
        ));
        let validity = issuing.chain().ca().validity();
        for (at, good) in [
            (validity.not_before, true),
            (validity.not_before - Span::seconds(1), false),
            (validity.not_after, true),
            (validity.not_after + Span::seconds(1), false),
        ] {
            let read = Statement::verify(TYPE, jws.as_bytes(), root.certificate(), at);
            assert_eq!(read.is_ok(), good, "{at}: {read:?}");
        }
    }

    #[test]
    fn the_root_itself_is_no_signer() {
        let key = Arc::new(SoftwareKey::generate(&mut os_rng()));
        let root = Shared(Arc::clone(&key));
        let root = Root::create(root, "Acme Ltd", None, now() - Span::days(1), &mut os_rng()).unwrap();
        let header = serde_json::json!({
            "alg": "ES256", "typ": TYPE, "x5c": [BASE64.encode(root.certificate().der())]
        });
        let signed = format!("{}.e30", BASE64URL_NOPAD.encode(header.to_string().as_bytes()));
        let signature = key::sign(&*key, signed.as_bytes()).unwrap().to_fixed();
        let signature = BASE64URL_NOPAD.encode(&signature);
        assert!(matches!(
            verify(&format!("{signed}.{signature}"), &root),
            Err(InvalidStatement::NotDevicesCa(_))
        ));
    }

    #[test]
    fn a_header_with_anything_else_is_refused() {
        let (root, issuing) = cas();
        let jws = issuing.sign_statement(TYPE, b"{}").unwrap();
        let certificate = BASE64.encode(issuing.chain().ca().der());
        let typ = format!(r#""typ":"{TYPE}""#);
        for header in [
            format!(r#"{{"alg":"none",{typ},"x5c":["{certificate}"]}}"#),
            format!(r#"{{"alg":"es256",{typ},"x5c":["{certificate}"]}}"#),
            format!(r#"{{"alg":"ES256","x5c":["{certificate}"]}}"#),
            format!(r#"{{"alg":"ES256",{typ}}}"#),
            format!(r#"{{"alg":"ES256",{typ},"x5c":[]}}"#),
            format!(r#"{{"alg":"ES256",{typ},"x5c":["{certificate}","{certificate}"]}}"#),
            format!(r#"{{"alg":"ES256",{typ},"x5c":"{certificate}"}}"#),
            format!(r#"{{"alg":"ES256",{typ},"x5c":["{certificate}\n"]}}"#),
            format!(r#"{{"alg":"ES256",{typ},"x5c":["{certificate}"],"crit":["b64"]}}"#),
            format!(r#"{{"alg":"ES256",{typ},"x5c":["{certificate}"],"jku":"https://a.example"}}"#),
            format!(r#"{{"alg":"ES256","alg":"ES256",{typ},"x5c":["{certificate}"]}}"#),
            "[]".into(),
        ] {
            let read = verify(&with_header(&jws, &header), &root);
            assert!(
                matches!(read, Err(InvalidStatement::Header(_))),
                "{header}: {read:?}"
            );
        }
    }

    #[test]
    fn a_signer_on_the_roots_crl_is_refused() {
        let (root, issuing) = cas();
        let statement = verify(&issuing.sign_statement(TYPE, b"{}").unwrap(), &root).unwrap();
        let terms = Terms {
            number: 1,
            this_update: now(),
            next_update: now() + Span::days(400),
        };
        let own = Serial::from_octets(issuing.chain().ca().serial()).unwrap();
        for (serial, good) in [(own, false), (Serial::from_random([1; 16]), true)] {
            let entry = Revocation {
                serial,
                at: now(),
                reason: Reason::Compromised,
            };
            let der = root.sign_crl(terms, &[entry]).unwrap();
            let outcome = statement.demand_unrevoked(&Crl::parse(&der).unwrap());
            assert_eq!(outcome.is_ok(), good, "{outcome:?}");
        }
    }

    #[test]
    fn each_changed_character_is_noticed() {
        let (root, issuing) = cas();
        let jws = issuing.sign_statement(TYPE, b"{\"number\":1}").unwrap();
        for at in 0..jws.len() {
            let mut changed = jws.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let read = Statement::verify(TYPE, &changed, root.certificate(), now());
            assert!(read.is_err(), "character {at}");
        }
    }
}
