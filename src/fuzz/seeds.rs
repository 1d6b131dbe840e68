//! What is valid before it is damaged: made by this program's own code, with keys that are the same in every
//! run and protect nothing.

use std::path::Path;

use rcgen::PublicKeyData;

use super::steady_rng;
use crate::issuer::{Devices, Order, Root, Servers};
use crate::key::{self, PublicKey, SoftwareKey};
use crate::model::acme::BoundKey;
use crate::model::draft::Holder;
use crate::model::event::{InviteCreated, Issued, KeySource, Recovered};
use crate::model::invite::{Approval, Invite, RefusedKey};
use crate::model::profile::Names;
use crate::model::server::{Certified, Certifier, OldPin, Origin, ServerCertificate, ServerDraft};
use crate::model::{
    AccountId, AcmeGrant, Authority, CheckValue, Draft, Fact, Host, InviteId, InviteSecret, NameConstraints,
    Pin, Platform, Profile, Reason, Revocation, Serial, Span, Time,
};
use crate::x509::Certificate;
use crate::x509::crl::Terms;

/// Where CRLs and certificates of CAs are served.
pub const URL: &str = "http://pki.acme.example";

/// The time of whatever is made here.
pub fn now() -> Time {
    Time::from_unix(1_800_000_000)
}

/// The CAs of a company, with their certificates.
pub struct Company {
    pub root: Root,
    pub devices: Devices,
    pub servers: Servers,
    pub rng: Box<dyn rand_core::CryptoRng>,
}

impl Company {
    pub fn new() -> Self {
        let mut rng: Box<dyn rand_core::CryptoRng> = Box::new(steady_rng());
        let constraints = NameConstraints {
            domains: vec!["acme.example".parse().unwrap()],
            email_domains: vec!["mail.example".parse().unwrap()],
            ip_ranges: vec!["10.0.0.0/8".parse().unwrap()],
            any_address: false,
        };
        let begun = now() - Span::days(1);
        let [root_key, devices_key, servers_key] = std::array::from_fn(|_| SoftwareKey::generate(&mut rng));
        let root = Root::create(root_key, "Acme Ltd", Some(&constraints), begun, &mut rng).unwrap();
        let chain = root.sign_issuing(devices_key.public_key(), &constraints, Some(URL), begun, &mut rng);
        let devices = Devices::open(chain.unwrap(), devices_key, Some(URL.into())).unwrap();
        let chain = root.sign_servers(
            servers_key.public_key(),
            Some(&constraints),
            Some(URL),
            begun,
            &mut rng,
        );
        let servers = Servers::open(chain.unwrap(), servers_key, Some(URL.into())).unwrap();
        Self {
            root,
            devices,
            servers,
            rng,
        }
    }

    /// A device's certificate, DER.
    pub fn device(&mut self) -> Vec<u8> {
        self.issued().certificate
    }

    /// The certificate of the device at this address, with this key.
    pub fn device_of(&mut self, address: &str, key: &PublicKey) -> Certificate {
        let draft = self.draft_of(address);
        let order = Order {
            draft,
            public_key: key,
            source: KeySource::Request,
            supersedes: Vec::new(),
            enrolled_by: None,
        };
        let signed = self.devices.sign(order, &mut self.rng).unwrap();
        Certificate::from_der(&signed.into_issued().certificate).unwrap()
    }

    /// What no CA for servers signs: a certificate for a client, with this address and key; and that CA.
    pub fn client_by_servers_ca(&mut self, address: &str, key: &PublicKey) -> [Certificate; 2] {
        const USER_ID: &[u64] = &[0, 9, 2342, 19_200_300, 100, 1, 1];
        let own = SoftwareKey::generate(&mut self.rng);
        let begun = now() - Span::days(1);
        let chain = self
            .root
            .sign_servers(own.public_key(), None, Some(URL), begun, &mut self.rng)
            .unwrap();
        let mut ca = rcgen::CertificateParams::default();
        ca.distinguished_name = rcgen::DistinguishedName::new();
        ca.distinguished_name
            .push(rcgen::DnType::OrganizationName, "Acme Ltd");
        ca.distinguished_name
            .push(rcgen::DnType::CommonName, "Acme Ltd Servers CA");
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let user_id = rcgen::DnType::CustomDnType(USER_ID.to_vec());
        params.distinguished_name.push(user_id, address);
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(vec![7].into());
        params.not_before = time::OffsetDateTime::from_unix_timestamp(begun.unix()).unwrap();
        let issuer = rcgen::Issuer::new(ca, Foreign(own));
        let signed = params.signed_by(&Subject(key), &issuer).unwrap();
        [Certificate::from_der(signed.der()).unwrap(), chain.ca().clone()]
    }

    /// What the certificates of devices are drafted to say.
    pub fn draft(&self) -> Draft {
        self.draft_of("alice/phone")
    }

    fn draft_of(&self, address: &str) -> Draft {
        let holder = Holder {
            address: address.parse().unwrap(),
            name: Some("Zoë Doe".parse().unwrap()),
            email: Some("alice@mail.example".parse().unwrap()),
            platform: Platform::Any,
        };
        let profile = Profile::parse("device", "days = 90\nmax_days = 398").unwrap();
        let issuer = self.devices.chain().issuer();
        profile.draft(holder, None, Names::Shown, issuer, now()).unwrap()
    }

    fn issued(&mut self) -> Issued {
        let key = SoftwareKey::generate(&mut self.rng);
        let order = Order {
            draft: self.draft(),
            public_key: key.public_key(),
            source: KeySource::Request,
            supersedes: Vec::new(),
            enrolled_by: None,
        };
        let signed = self.devices.sign(order, &mut self.rng).unwrap();
        signed.into_issued()
    }

    /// A server's certificate, DER.
    pub fn server(&mut self) -> Vec<u8> {
        self.certified().certificate
    }

    /// What the certificates of servers are drafted to say.
    pub fn server_draft(&self) -> ServerDraft {
        let host = "api.acme.example".parse().unwrap();
        ServerDraft::new(&host, None, self.servers.chain().issuer(), now()).unwrap()
    }

    fn certified(&mut self) -> Certified {
        let draft = self.server_draft();
        let key = SoftwareKey::generate(&mut self.rng);
        let signed = self.servers.sign(&draft, key.public_key(), &mut self.rng);
        signed.unwrap().into_certified()
    }

    /// One of each kind of its certificates, DER, from the root down.
    pub fn certificates(&mut self) -> Vec<Vec<u8>> {
        let root = self.root.certificate().der().to_vec();
        let cas = [self.devices.chain(), self.servers.chain()].map(|chain| chain.ca().der().to_vec());
        [root]
            .into_iter()
            .chain(cas)
            .chain([self.device(), self.server()])
            .collect()
    }

    /// One of every kind of event, in an order in which they may come.
    pub fn facts(&mut self) -> Vec<Fact> {
        let serial = |octet| Serial::from_random([octet; 16]);
        let pin = |octet| Pin([octet; 32]);
        let host: Host = "api.acme.example".parse().unwrap();
        let issued = self.issued();
        let (first, address) = (issued.serial, issued.address.clone());
        let certified = self.certified();
        let [created, approved] = self.invited();
        let id = InviteId::from_random([7; 5]);
        let account = AccountId::from_random([7; 8]);
        let employee = address.employee.clone();
        let imported = ServerCertificate {
            issuer: Certifier::Other,
            serial: "7F".into(),
            pin: pin(1),
            validity: certified.validity,
            key: Some(pin(1)),
        };
        vec![
            Fact::Initialized {
                organization: "Acme Ltd".into(),
                root: "0".repeat(64),
                issuing: "1".repeat(64),
                permitted: Some(NameConstraints::default()),
            },
            Fact::Issued(Box::new(issued)),
            Fact::Delivered {
                serial: first,
                sha256: "2".repeat(64),
                supersedes: vec![serial(9)],
            },
            Fact::Revoked {
                serial: first,
                address: Some(address.clone()),
                reason: Reason::Lost,
                since: Some(now()),
            },
            Fact::Recovered(Recovered {
                serial: serial(9),
                address,
                not_after: now() + Span::days(9),
                superseded: true,
                supersedes: vec![first],
                spki_sha256: [9; 32],
                certificate_sha256: [9; 32],
            }),
            Fact::Kept { serial: serial(9) },
            Fact::Offboarded {
                employee: employee.clone(),
            },
            Fact::Reinstated { employee },
            Fact::CrlSigned {
                authority: Authority::Issuing,
                number: 7,
                this_update: now(),
                next_update: now() + Span::days(30),
                entries: 1,
                sha256: "3".repeat(64),
            },
            Fact::Published {
                public: 1,
                server: 2,
                targets: vec!["/srv/pki".into()],
                server_manifest: Some("4".repeat(64)),
            },
            Fact::ServersCa {
                certificate: self.servers.chain().ca().der().to_vec(),
            },
            Fact::ServerAdded {
                host: host.clone(),
                include_subdomains: true,
                active: pin(1),
                origin: Origin::Made,
                backup: pin(2),
            },
            Fact::ServerRevoked {
                serial: certified.serial,
                host: Some(host.clone()),
                reason: Reason::Replaced,
                since: None,
            },
            Fact::ServerCertified(Box::new(certified)),
            Fact::ServerImported {
                host: host.clone(),
                certificate: imported,
            },
            Fact::ServerRotated {
                host: host.clone(),
                backup: pin(3),
                old_pin: OldPin::Retires,
            },
            Fact::HmacRotated {
                host: "api.acme.example".parse().unwrap(),
                epoch: 2,
                check: CheckValue([7; 16]),
                previous_until: now(),
            },
            Fact::HmacHandedOut {
                host: "api.acme.example".parse().unwrap(),
                address: Some("alice/phone".parse().unwrap()),
            },
            Fact::HmacFirst {
                address: "alice/phone".parse().unwrap(),
                first: serial(9),
            },
            Fact::AcmeGranted(AcmeGrant {
                account,
                names: vec![
                    "api.acme.example".parse().unwrap(),
                    "www.acme.example".parse().unwrap(),
                ],
                days: Some(30),
                check: CheckValue([8; 16]),
            }),
            Fact::AcmeBound {
                account,
                key: BoundKey {
                    jwk: r#"{"crv":"P-256","kty":"EC","x":"AA","y":"AA"}"#.into(),
                    number: 1,
                    proof: CheckValue([9; 16]),
                },
            },
            Fact::AcmeDeactivated { account },
            Fact::AcmeCancelled {
                account,
                gives_up_key: true,
            },
            Fact::PinsSigned {
                number: 5,
                expires: now() + Span::days(365),
                pins: vec![pin(1), pin(2)],
                sha256: "5".repeat(64),
            },
            Fact::ServerRemoved {
                host,
                old_pins: OldPin::Dropped,
            },
            Fact::Restored {
                made: now(),
                events: 17,
            },
            Fact::Reconciled {
                read: vec!["/var/www/pki".into()],
                given_up: vec!["s3://bucket/pki".into()],
            },
            Fact::PassphraseChanged {
                authority: Authority::Issuing,
            },
            Fact::ClockConfirmed {
                clock: now(),
                last: now() + Span::days(1),
            },
            created,
            Fact::InviteAsked { id, spki: [5; 32] },
            approved,
            Fact::InviteRefused {
                id,
                spki: [6; 32],
                why: RefusedKey::WrongCode,
                from: "192.0.2.0/24".into(),
            },
            Fact::InviteRedeemed {
                id,
                serial: first,
                spki: [5; 32],
                from: Some("192.0.2.0/24".into()),
            },
            Fact::InviteFetchedAgain {
                id,
                from: "198.51.100.0/24".into(),
            },
            Fact::InviteSuspended { id },
            Fact::InviteCancelled { id },
        ]
    }

    /// The events by which a device is invited, and its key approved.
    fn invited(&self) -> [Fact; 2] {
        let secret = InviteSecret::from_random([7; 16]);
        let invite = Invite {
            id: InviteId::from_random([7; 5]),
            address: "alice/phone".parse().unwrap(),
            name: Some("Zoë Doe".parse().unwrap()),
            email: Some("alice@mail.example".parse().unwrap()),
            platform: Platform::Any,
            profile: "device".into(),
            days: Some(30),
            until: now() + Span::days(1),
            token: secret.token(),
            code: Some(secret.token_with("123456")),
            approve: true,
            replace: true,
            server_key: Some(Serial::from_octets(&[3; 16]).expect("a serial number")),
        };
        let (id, spki) = (invite.id, [5; 32]);
        let signed = |payload: Vec<u8>| self.devices.sign_statement("pki-invite+jws", &payload).unwrap();
        let approval = Approval { approves: id, spki };
        [
            Fact::InviteCreated(Box::new(InviteCreated {
                statement: signed(serde_json::to_vec(&invite).unwrap()),
                invite,
            })),
            Fact::InviteApproved {
                id,
                spki,
                statement: signed(serde_json::to_vec(&approval).unwrap()),
            },
        ]
    }

    /// CRLs of the root, DER: one without entries, one with two.
    pub fn crls(&self) -> Vec<Vec<u8>> {
        let terms = Terms {
            number: 300,
            this_update: now(),
            next_update: now() + Span::days(400),
        };
        let entry = |octet, reason| Revocation {
            serial: Serial::from_random([octet; 16]),
            at: now(),
            reason,
        };
        let entries = [entry(1, Reason::Unspecified), entry(2, Reason::Stolen)];
        [&entries[..0], &entries]
            .map(|entries| self.root.sign_crl(terms, entries).unwrap())
            .into()
    }
}

/// A key, as rcgen wants it.
struct Foreign(SoftwareKey);

impl PublicKeyData for Foreign {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key().point()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Foreign {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(key::sign(&self.0, message).unwrap().to_der())
    }
}

/// A public key, as rcgen wants it.
struct Subject<'a>(&'a PublicKey);

impl PublicKeyData for Subject<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.point()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

/// A server's certificate of its own making, DER.
pub fn foreign_certificate() -> Vec<u8> {
    let names = ["api.acme.example", "*.wild.example", "10.0.0.1"].map(str::to_owned);
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    params.serial_number = Some(vec![0x80].into());
    let key = Foreign(SoftwareKey::generate(&mut steady_rng()));
    params.self_signed(&key).unwrap().der().to_vec()
}

/// The files of a directory of `tests/data`, in the order of their names.
pub fn files(directory: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(directory);
    let entries = std::fs::read_dir(directory).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}
