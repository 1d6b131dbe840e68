//! A publication: every file of it, and the checks that it must pass before an octet of it is written.

use std::io::{self, Read};
use std::sync::Arc;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::manifest::Area;
use crate::authority::Chain;
use crate::model::{Authority, Record, Revocation, Serial, Time};
use crate::x509::crl::{Crl, Terms};
use crate::x509::{Certificate, X509Error, pem};

/// What a publication is made of.
pub struct Material<'a> {
    /// Root and issuing CA.
    pub chain: &'a Chain,
    /// The root's CRL, DER.
    pub root_crl: Arc<Vec<u8>>,
    /// The issuing CA's CRL, DER.
    pub issuing_crl: Arc<Vec<u8>>,
    /// What that CRL must revoke, by serial: no more and no less.
    pub revoked: &'a [Revocation],
    /// The certificates that servers accept, by serial.
    pub accepted: &'a [Record],
    /// When it is made.
    pub now: Time,
}

/// A CRL of one of our CAs that stands in a place of the publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedCrl {
    /// Whose.
    pub authority: Authority,
    /// Its cRLNumber.
    pub number: u64,
    /// SHA-256 of its DER.
    pub sha256: [u8; 32],
}

/// The content of a file, in parts that other files share: lists of a million entries stand in memory once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body(Vec<Arc<Vec<u8>>>);

/// A file of a publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path in its area.
    pub path: &'static str,
    /// What is in it.
    pub body: Body,
}

/// A publication that passed every check.
#[derive(Debug, Clone)]
pub struct Publication {
    server: Vec<File>,
    public: Vec<File>,
    issuing: Terms,
    root: Terms,
    now: Time,
}

/// Why a publication must not go out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// A CRL cannot be read, or is not what this program writes.
    #[error("the CRL of the {0} CA: {1}")]
    Unreadable(Authority, X509Error),
    /// A CRL is not signed by its CA.
    #[error("the CRL of the {0} CA is not signed by it")]
    Signature(Authority),
    /// A CRL has run out.
    #[error("the CRL of the {0} CA ended on {1}")]
    Ended(Authority, Time),
    /// A CRL is not good yet.
    #[error("the CRL of the {0} CA begins on {1}, after now")]
    NotYet(Authority, Time),
    /// A CRL is older than the one that is published.
    #[error("the CRL of the {authority} CA has number {number}, and {published} is published already")]
    Older {
        /// Whose.
        authority: Authority,
        /// The new one's number.
        number: u64,
        /// The published one's number.
        published: u64,
    },
    /// Two CRLs have one number.
    #[error("two different CRLs of the {0} CA have the number {1}")]
    SameNumber(Authority, u64),
    /// The CRL does not revoke what it should.
    #[error("the CRL of the issuing CA does not hold what the ledger says: {0}")]
    Entries(String),
    /// A PEM file is not its DER file.
    #[error("{0} does not read back")]
    Pem(&'static str),
}

impl Rejected {
    /// The command that mends it: the root's CRL needs the root.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unreadable(authority, _)
            | Self::Signature(authority)
            | Self::Ended(authority, _)
            | Self::NotYet(authority, _)
            | Self::Older { authority, .. }
            | Self::SameNumber(authority, _) => match authority {
                Authority::Root => "pki root crl",
                Authority::Issuing => "pki publish",
            },
            Self::Entries(_) | Self::Pem(_) => "pki publish",
        }
    }
}

impl Body {
    fn of(octets: impl Into<Arc<Vec<u8>>>) -> Self {
        Self(vec![octets.into()])
    }

    fn join(bodies: &[&Self]) -> Self {
        Self(bodies.iter().flat_map(|body| body.0.iter().cloned()).collect())
    }

    /// The content, part by part.
    pub fn parts(&self) -> Vec<&[u8]> {
        self.0.iter().map(|part| part.as_slice()).collect()
    }

    /// Its length in octets.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|part| part.len() as u64).sum()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// SHA-256 of the content.
    pub fn sha256(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        self.0.iter().for_each(|part| hash.update(part.as_slice()));
        hash.finalize().into()
    }

    /// Whether a reader gives exactly this content. Reads piece by piece: a long file is not held a second time.
    ///
    /// # Errors
    /// What the reader says.
    pub fn is_read_from(&self, reader: &mut impl Read) -> io::Result<bool> {
        const PIECE: usize = 1 << 16;
        let mut buffer = vec![0; PIECE];
        for piece in self.0.iter().flat_map(|part| part.chunks(PIECE)) {
            let place = &mut buffer[..piece.len()];
            match reader.read_exact(place) {
                Ok(()) if place == piece => {}
                Ok(()) => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(reader.read(&mut buffer[..1])? == 0)
    }
}

/// One line of `devices.json`.
#[derive(Serialize)]
struct Device<'a> {
    serial: Serial,
    address: &'a crate::model::Address,
    spki_sha256: String,
    #[serde(rename = "x5t#S256")]
    x5t_s256: String,
    not_after: Time,
    status: crate::model::Status,
}

impl Publication {
    /// Builds and checks a publication. `published` holds the CRLs that stand in any place it will go to.
    ///
    /// # Errors
    /// The first check that it fails. A root CRL that has ended is no obstacle here: see [`Self::root_crl_ended`].
    pub fn build(material: &Material<'_>, published: &[PublishedCrl]) -> Result<Self, Rejected> {
        let Material {
            chain,
            root_crl,
            issuing_crl,
            ..
        } = material;
        let issuing = check_crl(
            Authority::Issuing,
            issuing_crl,
            chain.issuing(),
            material.now,
            published,
        )?;
        if issuing.next_update < material.now {
            return Err(Rejected::Ended(Authority::Issuing, issuing.next_update));
        }
        let root = check_crl(Authority::Root, root_crl, chain.root(), material.now, published)?;
        check_entries(issuing_crl, material.revoked)?;
        Ok(Self {
            server: server(material),
            public: public(material)?,
            issuing,
            root,
            now: material.now,
        })
    }

    /// The files of an area, in the order in which they are written.
    pub fn files(&self, area: Area) -> &[File] {
        match area {
            Area::Public => &self.public,
            Area::Server => &self.server,
        }
    }

    /// The least nextUpdate of its CRLs.
    pub fn valid_until(&self) -> Time {
        self.issuing.next_update.min(self.root.next_update)
    }

    /// nextUpdate of the root's CRL.
    pub fn root_crl_end(&self) -> Time {
        self.root.next_update
    }

    /// When the root's CRL ended, where it has: servers then refuse everyone, but what shrinks what they accept must go out all the same.
    pub fn root_crl_ended(&self) -> Option<Time> {
        (self.root.next_update < self.now).then_some(self.root.next_update)
    }
}

fn server(material: &Material<'_>) -> Vec<File> {
    let mut revoked = String::with_capacity(material.revoked.len() * 36);
    for revocation in material.revoked {
        revoked.push_str(&revocation.serial.to_string());
        revoked.push_str(" 1;\n");
    }
    let mut allowed = String::new();
    let mut devices = String::from("{\"version\":1,\"devices\":[");
    for (i, record) in material.accepted.iter().enumerate() {
        // An address has no character that nginx or JSON would read as more than itself.
        allowed.push_str(&format!("{} \"{}\";\n", record.serial, record.address));
        let device = Device {
            serial: record.serial,
            address: &record.address,
            spki_sha256: BASE64.encode(&record.spki_sha256),
            x5t_s256: BASE64URL_NOPAD.encode(&record.certificate_sha256),
            not_after: record.validity.not_after,
            status: record.status(material.now),
        };
        devices.push_str(if i == 0 { "\n" } else { ",\n" });
        devices.push_str(&serde_json::to_string(&device).expect("strings have a JSON form"));
    }
    devices.push_str("\n]}\n");
    vec![
        File {
            path: "revoked.map",
            body: Body::of(revoked.into_bytes()),
        },
        File {
            path: "allowed.map",
            body: Body::of(allowed.into_bytes()),
        },
        File {
            path: "devices.json",
            body: Body::of(devices.into_bytes()),
        },
    ]
}

fn public(material: &Material<'_>) -> Result<Vec<File>, Rejected> {
    let crl = |path: &'static str, der: &[u8]| {
        let text = pem::encode(pem::CRL, der);
        if pem::is_block_of(pem::CRL, der, &text) {
            Ok(Body::of(text.into_bytes()))
        } else {
            Err(Rejected::Pem(path))
        }
    };
    let chain = material.chain;
    let issuing_pem = crl("crl/issuing.pem", &material.issuing_crl)?;
    let root_pem = crl("crl/root.pem", &material.root_crl)?;
    let certificate = |certificate: &Certificate| Body::of(certificate.pem().into_bytes());
    let (root_ca, issuing_ca) = (certificate(chain.root()), certificate(chain.issuing()));
    Ok(vec![
        File {
            path: "crl/bundle.pem",
            body: Body::join(&[&issuing_pem, &root_pem]),
        },
        File {
            path: "crl/issuing.pem",
            body: issuing_pem,
        },
        File {
            path: "crl/issuing.crl",
            body: Body::of(material.issuing_crl.clone()),
        },
        File {
            path: "crl/root.pem",
            body: root_pem,
        },
        File {
            path: "crl/root.crl",
            body: Body::of(material.root_crl.clone()),
        },
        File {
            path: "ca/bundle.pem",
            body: Body::join(&[&root_ca, &issuing_ca]),
        },
        File {
            path: "ca/root.crt",
            body: root_ca,
        },
        File {
            path: "ca/issuing.crt",
            body: issuing_ca,
        },
        File {
            path: "ca/root.der",
            body: Body::of(chain.root().der().to_vec()),
        },
        File {
            path: "ca/issuing.der",
            body: Body::of(chain.issuing().der().to_vec()),
        },
    ])
}

/// Reads a CRL again with the independent parser and holds it against its CA, the clock and what is published.
fn check_crl(
    authority: Authority,
    der: &[u8],
    issuer: &Certificate,
    now: Time,
    published: &[PublishedCrl],
) -> Result<Terms, Rejected> {
    let crl = Crl::parse(der).map_err(|e| Rejected::Unreadable(authority, e))?;
    if !crl.is_issued_by(issuer) {
        return Err(Rejected::Signature(authority));
    }
    let terms = crl.terms();
    if terms.this_update > now {
        return Err(Rejected::NotYet(authority, terms.this_update));
    }
    for other in published.iter().filter(|other| other.authority == authority) {
        let same = || Sha256::digest(der)[..] == other.sha256;
        match other.number {
            number if number > terms.number => {
                return Err(Rejected::Older {
                    authority,
                    number: terms.number,
                    published: number,
                });
            }
            number if number == terms.number && !same() => {
                return Err(Rejected::SameNumber(authority, number));
            }
            _ => {}
        }
    }
    Ok(terms)
}

/// The CRL revokes exactly what the ledger says: both lists are in the order of the serials.
fn check_entries(der: &[u8], revoked: &[Revocation]) -> Result<(), Rejected> {
    let unreadable = |e| Rejected::Unreadable(Authority::Issuing, e);
    let crl = Crl::parse(der).map_err(unreadable)?;
    let mut wanted = revoked.iter();
    for entry in crl.entries() {
        let entry = entry.map_err(unreadable)?;
        let same = wanted.next().is_some_and(|wanted| {
            (wanted.serial, wanted.at, wanted.reason.crl_reason())
                == (entry.serial, entry.at, entry.reason.crl_reason())
        });
        if !same {
            return Err(Rejected::Entries(format!(
                "the entry of {} is out of place",
                entry.serial
            )));
        }
    }
    match wanted.next() {
        Some(missing) => Err(Rejected::Entries(format!("{} is missing", missing.serial))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::{Issuing, Root};
    use crate::key::{SoftwareKey, os_rng};
    use crate::model::{NameConstraints, Reason, Span};

    struct Cas {
        root: Root,
        issuing: Issuing,
    }

    fn now() -> Time {
        Time::from_unix(1_800_000_000)
    }

    fn terms(number: u64) -> Terms {
        Terms {
            number,
            this_update: now() - Span::minutes(5),
            next_update: now() + Span::days(30),
        }
    }

    fn revoked() -> Vec<Revocation> {
        [1, 2]
            .map(|octet| Revocation {
                serial: Serial::from_random([octet; 16]),
                at: now(),
                reason: Reason::Lost,
            })
            .to_vec()
    }

    impl Cas {
        fn new() -> Self {
            let constraints = NameConstraints {
                domains: vec!["acme.example".parse().unwrap()],
                ..NameConstraints::default()
            };
            let begun = now() - Span::days(1);
            let root = Root::create("Acme Ltd", &constraints, begun, &mut os_rng()).unwrap();
            let key = SoftwareKey::generate(&mut os_rng());
            let chain = root
                .sign_issuing(key.public_key(), None, begun, &mut os_rng())
                .unwrap();
            Self {
                root,
                issuing: Issuing::open(chain, key, None).unwrap(),
            }
        }

        /// Builds a publication of these two CRLs, with two revocations.
        fn build(
            &self,
            issuing: Vec<u8>,
            root: Vec<u8>,
            published: &[PublishedCrl],
        ) -> Result<Publication, Rejected> {
            let material = Material {
                chain: self.issuing.chain(),
                root_crl: root.into(),
                issuing_crl: issuing.into(),
                revoked: &revoked(),
                accepted: &[],
                now: now(),
            };
            Publication::build(&material, published)
        }

        fn issuing_crl(&self, terms: Terms) -> Vec<u8> {
            self.issuing.sign_crl(terms, &revoked()).unwrap()
        }

        fn root_crl(&self, terms: Terms) -> Vec<u8> {
            self.root.sign_crl(terms, &[]).unwrap()
        }

        fn rejection(&self, issuing: Vec<u8>, root: Vec<u8>) -> Rejected {
            self.build(issuing, root, &[]).unwrap_err()
        }
    }

    #[test]
    fn a_good_publication_has_each_file_once_and_the_maps_first() {
        let cas = Cas::new();
        let publication = cas
            .build(cas.issuing_crl(terms(7)), cas.root_crl(terms(3)), &[])
            .unwrap();
        let paths = |area| {
            publication
                .files(area)
                .iter()
                .map(|file| file.path)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            paths(Area::Server),
            ["revoked.map", "allowed.map", "devices.json"]
        );
        let public = paths(Area::Public);
        assert!(
            public.iter().rposition(|p| p.starts_with("crl/"))
                < public.iter().position(|p| p.starts_with("ca/"))
        );
        assert_eq!(publication.valid_until(), terms(7).next_update);
        assert_eq!(publication.root_crl_ended(), None);
    }

    #[test]
    fn a_crl_that_would_lock_everyone_out_is_rejected() {
        let cas = Cas::new();
        let good = || (cas.issuing_crl(terms(7)), cas.root_crl(terms(3)));
        let ended = Terms {
            this_update: now() - Span::days(1),
            next_update: now() - Span::seconds(1),
            ..terms(7)
        };
        assert!(matches!(
            cas.rejection(cas.issuing_crl(ended), good().1),
            Rejected::Ended(Authority::Issuing, _)
        ));
        let future = Terms {
            this_update: now() + Span::seconds(1),
            ..terms(7)
        };
        assert!(matches!(
            cas.rejection(cas.issuing_crl(future), good().1),
            Rejected::NotYet(Authority::Issuing, _)
        ));
        assert!(matches!(
            cas.rejection(good().0, cas.root_crl(future)),
            Rejected::NotYet(Authority::Root, _)
        ));
        assert!(matches!(
            cas.rejection(good().1, good().1),
            Rejected::Signature(Authority::Issuing)
        ));
        assert!(matches!(
            cas.rejection(good().0, good().0),
            Rejected::Signature(Authority::Root)
        ));
        let other = Cas::new();
        assert!(matches!(
            cas.rejection(good().0, other.root_crl(terms(3))),
            Rejected::Signature(Authority::Root)
        ));
        assert!(matches!(
            cas.rejection(vec![0x30, 0], good().1),
            Rejected::Unreadable(Authority::Issuing, _)
        ));
    }

    #[test]
    fn a_root_crl_that_ended_is_told_and_no_obstacle() {
        let cas = Cas::new();
        let ended = Terms {
            this_update: now() - Span::days(1),
            next_update: now() - Span::seconds(1),
            ..terms(3)
        };
        let publication = cas
            .build(cas.issuing_crl(terms(7)), cas.root_crl(ended), &[])
            .unwrap();
        assert_eq!(publication.root_crl_ended(), Some(ended.next_update));
    }

    #[test]
    fn a_crl_must_revoke_what_the_ledger_says_no_more_and_no_less() {
        let cas = Cas::new();
        let root = || cas.root_crl(terms(3));
        let mut more = revoked();
        more.push(Revocation {
            serial: Serial::from_random([3; 16]),
            ..more[0]
        });
        let mut other_reason = revoked();
        other_reason[0].reason = Reason::Replaced;
        for entries in [&revoked()[..1], &more, &other_reason, &[]] {
            let crl = cas.issuing.sign_crl(terms(7), entries).unwrap();
            assert!(
                matches!(cas.rejection(crl, root()), Rejected::Entries(_)),
                "{entries:?}"
            );
        }
    }

    #[test]
    fn a_number_never_falls_and_names_one_crl() {
        let cas = Cas::new();
        let (issuing, root) = (cas.issuing_crl(terms(7)), cas.root_crl(terms(3)));
        let build = |number, sha256| {
            let there = PublishedCrl {
                authority: Authority::Issuing,
                number,
                sha256,
            };
            cas.build(issuing.clone(), root.clone(), &[there])
        };
        let same: [u8; 32] = Sha256::digest(&issuing).into();
        assert!(build(6, [0; 32]).is_ok() && build(7, same).is_ok());
        assert!(matches!(
            build(7, [0; 32]),
            Err(Rejected::SameNumber(Authority::Issuing, 7))
        ));
        assert!(matches!(
            build(8, [0; 32]),
            Err(Rejected::Older {
                number: 7,
                published: 8,
                ..
            })
        ));
    }
}
