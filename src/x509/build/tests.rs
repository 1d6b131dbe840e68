//! Nothing but what was drafted reaches the key, and what was drafted does.

use super::*;
use crate::key::{SoftwareKey, os_rng};
use crate::model::draft::{Holder, Issuer};
use crate::model::profile::Names;
use crate::model::{NameConstraints, Platform, Profile, Serial, Span, Validity};
use crate::x509::template::Pointers;
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
            Box::new(|p| p.subject_alt_names = vec![SanType::DnsName("acme.example".try_into().unwrap())]),
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

#[test]
fn a_certificate_is_what_was_signed_and_nothing_else() {
    let (ca, other_key) = (ca(), SoftwareKey::generate(&mut os_rng()));
    let draft = draft(&ca);
    let template = Template {
        serial: serial(7),
        public_key: other_key.public_key(),
        pointers: None,
        kind: Kind::Device(&draft),
    };
    let refused = |outcome| matches!(outcome, Err(X509Error::NotSignedBy(..)));
    assert!(refused(certificate(&template, &ca.certificate, &other_key)));
    let expected = Expected {
        template: &template,
        issuer: Some(&ca.certificate),
    };
    let issuer_params = issuer_params(&ca.certificate).unwrap();
    let build = |gate: &Gate<'_>| {
        let issuer = rcgen::Issuer::from_params(&issuer_params, gate);
        params(&template)
            .unwrap()
            .signed_by(&Subject(template.public_key), &issuer)
    };
    let gate = Gate::new(&ca.key, &expected);
    let alterations: [fn(&mut Signed); 2] = [
        |signed| signed.to_be_signed[9] ^= 1,
        |signed| signed.signature[9] ^= 1,
    ];
    for alter in alterations {
        let built = build(&gate);
        alter(gate.signed.borrow_mut().as_mut().unwrap().as_mut().unwrap());
        assert!(refused(gate.outcome(built)));
    }
    // Nothing was signed at all.
    let built = build(&gate);
    gate.signed.take();
    assert!(refused(gate.outcome(built)));
    let built = build(&gate);
    assert!(gate.outcome(built).unwrap().is_issued_by(&ca.certificate));
}
