//! Writing certificates: rcgen encodes, [`lint`] reads the octets again, and only then does the key sign
//! them.

use std::cell::RefCell;

use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData,
    SanType, SerialNumber, SignatureAlgorithm, SigningKey,
};

use super::lint::{self, Expected};
use super::{Certificate, X509Error, extension};
use crate::key::{self, PublicKey, Signer};
use crate::model::server::ServerDraft;
use crate::model::{Authority, Draft, Host, NameConstraints, Serial, Time, Validity};

/// UID (RFC 4519 §2.39).
const USER_ID: &[u64] = &[0, 9, 2342, 19_200_300, 100, 1, 1];

/// What a certificate will hold, whoever signs it.
#[derive(Debug, Clone)]
pub struct Template<'a> {
    /// Its serial number.
    pub serial: Serial,
    /// Its subject's key.
    pub public_key: &'a PublicKey,
    /// Where its issuer's CRL and certificate are served.
    pub pointers: Option<Pointers>,
    /// Whose certificate it is.
    pub kind: Kind<'a>,
}

/// The kinds of certificate.
#[derive(Debug, Clone)]
pub enum Kind<'a> {
    /// A CA's own.
    Authority(AuthorityKind<'a>),
    /// A device's.
    Device(&'a Draft),
    /// A server's.
    Server(&'a ServerDraft),
}

/// What a CA's certificate says.
#[derive(Debug, Clone)]
pub struct AuthorityKind<'a> {
    /// Which CA.
    pub authority: Authority,
    /// O.
    pub organization: &'a str,
    /// When it is good.
    pub validity: Validity,
    /// Whom it can vouch for, where it says so.
    pub constraints: Option<&'a NameConstraints>,
}

/// Where a CA's CRL and its certificate are served (RFC 5280 §4.2.1.13 and §4.2.2.1). Plain http, as both are
/// signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointers {
    /// The CRL's URL.
    pub crl: String,
    /// The CA certificate's URL.
    pub ca: String,
}

impl Pointers {
    /// Where `base_url` serves what `authority` publishes.
    pub fn new(base_url: &str, authority: Authority) -> Self {
        let base = base_url.trim_end_matches('/');
        Self {
            crl: format!("{base}/crl/{authority}.crl"),
            ca: format!("{base}/ca/{authority}.der"),
        }
    }
}

/// The CN of a CA of this organization.
pub fn authority_name(authority: Authority, organization: &str) -> String {
    match authority {
        Authority::Root => format!("{organization} Root CA"),
        Authority::Issuing => format!("{organization} Issuing CA"),
        Authority::Servers => format!("{organization} Servers CA"),
    }
}

/// Signs `template` with the key of `issuer`.
///
/// # Errors
/// Where it cannot be encoded, or what was encoded is not what the template says.
pub fn certificate(
    template: &Template<'_>,
    issuer: &Certificate,
    key: &dyn Signer,
) -> Result<Certificate, X509Error> {
    let params = params(template)?;
    let issuer_params = issuer_params(issuer)?;
    let expected = Expected {
        template,
        issuer: Some(issuer),
    };
    let gate = Gate::new(key, &expected);
    let signed = params.signed_by(
        &Subject(template.public_key),
        &rcgen::Issuer::from_params(&issuer_params, &gate),
    );
    let certificate = gate.outcome(signed)?;
    if !certificate.is_issued_by(issuer) {
        return Err(X509Error::NotSignedBy("the new certificate", "its issuing CA"));
    }
    Ok(certificate)
}

/// Signs the root's `template` with its own key.
///
/// # Errors
/// As [`certificate`].
pub fn self_signed(template: &Template<'_>, key: &dyn Signer) -> Result<Certificate, X509Error> {
    let params = params(template)?;
    let expected = Expected {
        template,
        issuer: None,
    };
    let gate = Gate::new(key, &expected);
    let certificate = gate.outcome(params.self_signed(&gate))?;
    if !certificate.is_issued_by(&certificate) {
        return Err(X509Error::NotSignedBy("the new root", "itself"));
    }
    Ok(certificate)
}

fn params(template: &Template<'_>) -> Result<CertificateParams, X509Error> {
    let mut params = CertificateParams::default();
    let identifier = template.public_key.key_identifier();
    params.serial_number = Some(SerialNumber::from_slice(template.serial.octets()));
    params.use_authority_key_identifier_extension = true;
    params.key_identifier_method = KeyIdMethod::PreSpecified(identifier.clone());
    params.distinguished_name = DistinguishedName::new();
    if let Some(pointers) = &template.pointers {
        params.crl_distribution_points = vec![CrlDistributionPoint {
            uris: vec![pointers.crl.clone()],
        }];
        params
            .custom_extensions
            .push(extension::ca_issuers(&pointers.ca)?);
    }
    let validity = match &template.kind {
        Kind::Authority(ca) => {
            authority_params(&mut params, ca)?;
            ca.validity
        }
        Kind::Device(draft) => {
            device_params(
                &mut params,
                draft,
                extension::subject_key_identifier(&identifier)?,
            )?;
            draft.validity()
        }
        Kind::Server(draft) => {
            server_params(
                &mut params,
                draft,
                extension::subject_key_identifier(&identifier)?,
            )?;
            draft.validity()
        }
    };
    params.not_before = date_time(validity.not_before)?;
    params.not_after = date_time(validity.not_after)?;
    Ok(params)
}

fn authority_params(params: &mut CertificateParams, ca: &AuthorityKind<'_>) -> Result<(), X509Error> {
    let name = authority_name(ca.authority, ca.organization);
    params
        .distinguished_name
        .push(DnType::OrganizationName, ca.organization);
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(constraints) = ca.constraints {
        params
            .custom_extensions
            .push(extension::name_constraints(constraints)?);
    }
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    match ca.authority {
        Authority::Root => params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1)),
        Authority::Issuing => {
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages.insert(0, KeyUsagePurpose::DigitalSignature);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        }
        // It signs no statements: those are the devices' CA's.
        Authority::Servers => {
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        }
    }
    Ok(())
}

fn device_params(
    params: &mut CertificateParams,
    draft: &Draft,
    ski: CustomExtension,
) -> Result<(), X509Error> {
    let subject = draft.subject();
    let name = &mut params.distinguished_name;
    name.push(DnType::OrganizationName, subject.organization.as_str());
    name.push(DnType::CustomDnType(USER_ID.to_vec()), subject.uid.to_string());
    if let Some(common_name) = &subject.common_name {
        name.push(DnType::CommonName, common_name.as_str());
    }
    if let Some(email) = draft.rfc822_name() {
        let email = email
            .as_str()
            .try_into()
            .map_err(|e: rcgen::Error| X509Error::Build(e.to_string()))?;
        params.subject_alt_names = vec![SanType::Rfc822Name(email)];
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.custom_extensions.push(ski);
    Ok(())
}

fn server_params(
    params: &mut CertificateParams,
    draft: &ServerDraft,
    ski: CustomExtension,
) -> Result<(), X509Error> {
    let host = draft.host();
    params
        .distinguished_name
        .push(DnType::CommonName, host.common_name());
    params.subject_alt_names = vec![match host {
        Host::Name(name) => SanType::DnsName(
            name.as_str()
                .try_into()
                .map_err(|e: rcgen::Error| X509Error::Build(e.to_string()))?,
        ),
        Host::Address(address) => SanType::IpAddress(*address),
    }];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.custom_extensions.push(ski);
    Ok(())
}

/// What rcgen must know of an issuer. Our CAs' subjects are O and CN; the lint compares the octets.
fn issuer_params(issuer: &Certificate) -> Result<CertificateParams, X509Error> {
    let foreign = || X509Error::Foreign("the issuer's subject is not O and CN".into());
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(
        DnType::OrganizationName,
        issuer.organization().ok_or_else(foreign)?,
    );
    params
        .distinguished_name
        .push(DnType::CommonName, issuer.common_name().ok_or_else(foreign)?);
    params.key_identifier_method = KeyIdMethod::PreSpecified(issuer.key_identifier());
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn date_time(time: Time) -> Result<time::OffsetDateTime, X509Error> {
    time::OffsetDateTime::from_unix_timestamp(time.unix()).map_err(|e| X509Error::Build(e.to_string()))
}

/// A subject's public key, as rcgen wants it.
struct Subject<'a>(&'a PublicKey);

impl PublicKeyData for Subject<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.point()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

/// The only way to a key: what rcgen hands over for signing is read by the lint first.
struct Gate<'a> {
    key: &'a dyn Signer,
    expected: &'a Expected<'a>,
    refused: RefCell<Option<X509Error>>,
}

impl<'a> Gate<'a> {
    fn new(key: &'a dyn Signer, expected: &'a Expected<'a>) -> Self {
        Self {
            key,
            expected,
            refused: RefCell::new(None),
        }
    }

    /// rcgen's answer, or why there is no signature: the lint or the key refused.
    fn outcome(&self, signed: Result<rcgen::Certificate, rcgen::Error>) -> Result<Certificate, X509Error> {
        match (signed, self.refused.take()) {
            (_, Some(refusal)) => Err(refusal),
            (Err(error), None) => Err(X509Error::Build(error.to_string())),
            (Ok(certificate), None) => Certificate::from_der(certificate.der()),
        }
    }
}

impl PublicKeyData for Gate<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.key.public_key().point()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for Gate<'_> {
    fn sign(&self, to_be_signed: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature = lint::certificate(to_be_signed, self.expected)
            .and_then(|()| Ok(key::sign(self.key, to_be_signed)?));
        match signature {
            Ok(signature) => Ok(signature.to_der()),
            Err(refusal) => {
                self.refused.replace(Some(refusal));
                Err(rcgen::Error::RemoteKeyError)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{SoftwareKey, os_rng};
    use crate::model::draft::{Holder, Issuer};
    use crate::model::profile::Names;
    use crate::model::{Platform, Profile, Span};
    use der::Decode;

    struct Ca {
        key: SoftwareKey,
        certificate: Certificate,
        constraints: NameConstraints,
    }

    fn now() -> Time {
        Time::from_unix(1_800_000_000)
    }

    fn serial(octet: u8) -> Serial {
        Serial::from_random([octet; 16])
    }

    fn authority<'a>(authority: Authority, constraints: &'a NameConstraints) -> Kind<'a> {
        let validity = Validity::starting(now() - Span::days(1), Time::from_unix(0), Span::days(900));
        Kind::Authority(AuthorityKind {
            authority,
            organization: "Acme Ltd",
            validity,
            constraints: Some(constraints),
        })
    }

    fn ca() -> Ca {
        let constraints = NameConstraints {
            domains: vec!["acme.example".parse().unwrap()],
            email_domains: vec!["mail.example".parse().unwrap()],
            ip_ranges: vec![],
            any_address: false,
        };
        let root_key = SoftwareKey::generate(&mut os_rng());
        let template = |kind, public_key, serial| Template {
            serial,
            public_key,
            pointers: None,
            kind,
        };
        let root = template(
            authority(Authority::Root, &constraints),
            root_key.public_key(),
            serial(1),
        );
        let root = self_signed(&root, &root_key).unwrap();
        let key = SoftwareKey::generate(&mut os_rng());
        let issuing = template(
            authority(Authority::Issuing, &constraints),
            key.public_key(),
            serial(2),
        );
        let certificate = certificate(&issuing, &root, &root_key).unwrap();
        Ca {
            key,
            certificate,
            constraints,
        }
    }

    fn draft(ca: &Ca) -> Draft {
        let holder = Holder {
            address: "alice/phone".parse().unwrap(),
            name: Some("Zoë Doe".parse().unwrap()),
            email: Some("alice@acme.example".parse().unwrap()),
            platform: Platform::Any,
        };
        let issuer = Issuer {
            organization: "Acme Ltd".into(),
            validity: ca.certificate.validity(),
            constraints: vec![ca.constraints.clone()],
        };
        let profile = Profile::parse("device", "days = 90\nmax_days = 398").unwrap();
        profile.draft(holder, None, Names::Shown, &issuer, now()).unwrap()
    }

    /// What comes of a device's certificate that an encoder changed on its way to the key.
    fn attempt(ca: &Ca, change: impl FnOnce(&mut CertificateParams)) -> Result<Certificate, X509Error> {
        attempt_of(ca, Kind::Device(&draft(ca)), change)
    }

    fn attempt_of(
        ca: &Ca,
        kind: Kind<'_>,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Result<Certificate, X509Error> {
        let subject = SoftwareKey::generate(&mut os_rng());
        let template = Template {
            serial: serial(3),
            public_key: subject.public_key(),
            pointers: Some(Pointers::new("http://pki.acme.example/", Authority::Issuing)),
            kind,
        };
        let mut params = params(&template)?;
        change(&mut params);
        let issuer_params = issuer_params(&ca.certificate)?;
        let expected = Expected {
            template: &template,
            issuer: Some(&ca.certificate),
        };
        let gate = Gate::new(&ca.key, &expected);
        let issuer = rcgen::Issuer::from_params(&issuer_params, &gate);
        gate.outcome(params.signed_by(&Subject(subject.public_key()), &issuer))
    }

    #[test]
    fn what_was_drafted_is_signed_and_reads_back() {
        let ca = ca();
        let certificate = attempt(&ca, |_| {}).unwrap();
        assert!(certificate.is_issued_by(&ca.certificate) && !certificate.is_ca());
        assert_eq!(certificate.serial(), serial(3).octets());
        assert_eq!(certificate.common_name(), Some("Zoë Doe (phone)"));
        assert_eq!(certificate.validity(), draft(&ca).validity());
        assert_eq!(ca.certificate.name_constraints(), Some(&ca.constraints));
    }

    #[test]
    fn nothing_but_what_was_drafted_reaches_the_key() {
        let ca = ca();
        let email = |text: &str| SanType::Rfc822Name(text.try_into().unwrap());
        let custom = |oid: &[u64]| CustomExtension::from_oid_content(oid, vec![0x05, 0x00]);
        type Change = Box<dyn FnOnce(&mut CertificateParams)>;
        let changes: Vec<(&str, Change)> = vec![
            (
                "CA:TRUE",
                Box::new(|p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
            ),
            ("CA:FALSE", Box::new(|p| p.is_ca = IsCa::ExplicitNoCa)),
            (
                "serial",
                Box::new(|p| p.serial_number = Some(SerialNumber::from_slice(&[0x42; 16]))),
            ),
            (
                "short serial",
                Box::new(|p| p.serial_number = Some(SerialNumber::from_slice(&[1]))),
            ),
            (
                "notAfter",
                Box::new(|p| p.not_after += time::Duration::seconds(1)),
            ),
            (
                "notBefore",
                Box::new(|p| p.not_before -= time::Duration::seconds(1)),
            ),
            (
                "server EKU",
                Box::new(|p| p.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth)),
            ),
            (
                "any EKU",
                Box::new(|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any]),
            ),
            ("no EKU", Box::new(|p| p.extended_key_usages.clear())),
            (
                "key usage",
                Box::new(|p| p.key_usages.push(KeyUsagePurpose::KeyCertSign)),
            ),
            ("no key usage", Box::new(|p| p.key_usages.clear())),
            (
                "another e-mail",
                Box::new(move |p| p.subject_alt_names = vec![email("eve@acme.example")]),
            ),
            (
                "a second e-mail",
                Box::new(move |p| p.subject_alt_names.push(email("eve@acme.example"))),
            ),
            (
                "a DNS name",
                Box::new(|p| {
                    p.subject_alt_names = vec![SanType::DnsName("acme.example".try_into().unwrap())]
                }),
            ),
            ("no SAN", Box::new(|p| p.subject_alt_names.clear())),
            (
                "another CN",
                Box::new(|p| p.distinguished_name.push(DnType::CommonName, "Eve (phone)")),
            ),
            (
                "O as another type of string",
                Box::new(|p| {
                    let text = rcgen::string::PrintableString::try_from("Acme Ltd").unwrap();
                    p.distinguished_name
                        .push(DnType::OrganizationName, rcgen::DnValue::PrintableString(text));
                }),
            ),
            (
                "one more attribute",
                Box::new(|p| p.distinguished_name.push(DnType::LocalityName, "Here")),
            ),
            (
                "no AKI",
                Box::new(|p| p.use_authority_key_identifier_extension = false),
            ),
            ("no pointers", Box::new(|p| p.crl_distribution_points.clear())),
            (
                "another pointer",
                Box::new(|p| p.crl_distribution_points[0].uris = vec!["http://evil.example/x".into()]),
            ),
            (
                "an unknown extension",
                Box::new(move |p| p.custom_extensions.push(custom(&[1, 2, 3, 4]))),
            ),
            (
                "OCSP no-check",
                Box::new(move |p| p.custom_extensions.push(custom(&[1, 3, 6, 1, 5, 5, 7, 48, 1, 5]))),
            ),
            (
                "no SKI",
                Box::new(|p| {
                    p.custom_extensions
                        .retain(|e| !e.oid_components().eq([2, 5, 29, 14]))
                }),
            ),
        ];
        for (what, change) in changes {
            let outcome = attempt(&ca, change);
            assert!(matches!(outcome, Err(X509Error::Lint(_))), "{what}: {outcome:?}");
        }
    }

    #[test]
    fn a_time_is_encoded_as_its_year_demands() {
        let ca = ca();
        let draft = draft(&ca);
        let device = SoftwareKey::generate(&mut os_rng());
        let template = Template {
            serial: serial(3),
            public_key: device.public_key(),
            pointers: None,
            kind: Kind::Device(&draft),
        };
        let expected = Expected {
            template: &template,
            issuer: Some(&ca.certificate),
        };
        let signed = certificate(&template, &ca.certificate, &ca.key).unwrap();
        // TBSCertificate is the first element of the outer SEQUENCE (RFC 5280 §4.1).
        let outer = der::asn1::AnyRef::from_der(signed.der()).unwrap();
        let length = usize::from(u16::from_be_bytes([outer.value()[2], outer.value()[3]]));
        let mut octets = outer.value()[..length + 4].to_vec();
        lint::certificate(&octets, &expected).unwrap();
        // SEQUENCE of 30 octets, UTCTime of 13: the same time as a GeneralizedTime has two octets more.
        let place = octets.windows(4).position(|w| w == [0x30, 30, 0x17, 13]).unwrap();
        octets.splice(place..place + 4, [0x30, 32, 0x18, 15, b'2', b'0']);
        let length = u16::from_be_bytes([octets[2], octets[3]]) + 2;
        octets.splice(2..4, length.to_be_bytes());
        let outcome = lint::certificate(&octets, &expected).unwrap_err();
        assert!(
            outcome.to_string().contains("not encoded as their years"),
            "{outcome}"
        );
    }

    #[test]
    fn nothing_but_the_host_that_was_drafted_reaches_the_key() {
        let ca = ca();
        let issuer = Issuer {
            organization: "Acme Ltd".into(),
            validity: ca.certificate.validity(),
            constraints: vec![NameConstraints {
                ip_ranges: vec!["10.0.0.0/8".parse().unwrap()],
                ..ca.constraints.clone()
            }],
        };
        let attempt = |host: &str, change: &dyn Fn(&mut CertificateParams)| {
            let draft = ServerDraft::new(&host.parse().unwrap(), None, &issuer, now()).unwrap();
            attempt_of(&ca, Kind::Server(&draft), change)
        };
        let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
        let other = dns("www.acme.example");
        let addresses = ["10.0.0.1", "10.0.0.2"].map(|a| SanType::IpAddress(a.parse().unwrap()));
        let client = ExtendedKeyUsagePurpose::ClientAuth;
        type Change<'a> = &'a dyn Fn(&mut CertificateParams);
        for host in ["api.acme.example", "10.0.0.1"] {
            let changes: [(&str, Change<'_>); 9] = [
                ("another host", &|p| p.subject_alt_names = vec![other.clone()]),
                ("one host more", &|p| p.subject_alt_names.push(other.clone())),
                ("one address more", &|p| {
                    p.subject_alt_names.push(addresses[1].clone());
                }),
                ("another address", &|p| {
                    p.subject_alt_names = vec![addresses[1].clone()]
                }),
                ("no host", &|p| p.subject_alt_names.clear()),
                ("another CN", &|p| {
                    p.distinguished_name.remove(DnType::CommonName);
                    p.distinguished_name.push(DnType::CommonName, "www.acme.example");
                }),
                ("client EKU too", &|p| p.extended_key_usages.push(client.clone())),
                ("client EKU", &|p| p.extended_key_usages = vec![client.clone()]),
                ("a CA", &|p| p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0))),
            ];
            let good = attempt(host, &|_| {}).unwrap();
            assert!(good.usage().server_auth && !good.usage().client_auth && !good.is_ca());
            for (what, change) in changes {
                let refused = attempt(host, change);
                assert!(matches!(refused, Err(X509Error::Lint(_))), "{host}, {what}");
            }
        }
    }

    #[test]
    fn a_ca_gets_its_own_constraints_and_no_others() {
        let ca = ca();
        let wider = NameConstraints {
            domains: vec!["evil.example".parse().unwrap()],
            ..ca.constraints.clone()
        };
        let key = SoftwareKey::generate(&mut os_rng());
        let drafted = Template {
            serial: serial(4),
            public_key: key.public_key(),
            pointers: None,
            kind: authority(Authority::Root, &ca.constraints),
        };
        let other = Template {
            kind: authority(Authority::Root, &wider),
            ..drafted.clone()
        };
        let expected = Expected {
            template: &drafted,
            issuer: None,
        };
        let gate = Gate::new(&key, &expected);
        let outcome = gate.outcome(params(&other).unwrap().self_signed(&gate));
        assert!(matches!(outcome, Err(X509Error::Lint(_))), "{outcome:?}");
    }

    #[test]
    fn no_certificate_outlives_its_issuer_whatever_was_drafted() {
        let mut ca = ca();
        let long = draft(&ca);
        let short = NameConstraints {
            ..ca.constraints.clone()
        };
        let validity = Validity {
            not_after: long.validity().not_after - Span::seconds(1),
            ..ca.certificate.validity()
        };
        let kind = AuthorityKind {
            authority: Authority::Root,
            organization: "Acme Ltd",
            validity,
            constraints: Some(&short),
        };
        let template = Template {
            serial: serial(5),
            public_key: ca.key.public_key(),
            pointers: None,
            kind: Kind::Authority(kind),
        };
        let ending = self_signed(&template, &ca.key).unwrap();
        let device = SoftwareKey::generate(&mut os_rng());
        let leaf = Template {
            serial: serial(6),
            public_key: device.public_key(),
            pointers: None,
            kind: Kind::Device(&long),
        };
        ca.certificate = ending;
        assert!(matches!(
            certificate(&leaf, &ca.certificate, &ca.key),
            Err(X509Error::Lint(_))
        ));
    }
}
