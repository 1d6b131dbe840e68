//! Builds a publication: every file of it, and the checks that it must pass before an octet of it is written.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::accepted::{AcceptedLists, REVOKED};
use super::destination::{BothForms, SERVERS_CA};
use super::file::{Body, File};
use super::history::{self, HISTORY};
use super::manifest::Area;
use super::pins::{Pins, UnfitPins};
use super::statement::signs;
use crate::issuer::Chain;
use crate::model::fault::{Fault, Kind};
use crate::model::{Authority, Revocation, Time};
use crate::x509::crl::{Crl, Terms};
use crate::x509::{Certificate, X509Error, pem};

/// The material for a publication.
pub struct Material<'a> {
    /// The chain of the root and the issuing CA.
    pub chain: &'a Chain,
    /// The root's CRL, DER.
    pub root_crl: Arc<Vec<u8>>,
    /// The issuing CA's CRL, DER.
    pub issuing_crl: Arc<Vec<u8>>,
    /// The revocations that this CRL must have, by serial: no more and no less.
    pub revoked: Arc<Vec<Revocation>>,
    /// The servers' CA and its CRL, once there is one.
    pub servers: Option<ServersPart<'a>>,
    /// The pin sets, where there are servers.
    pub pins: Option<BothForms>,
    /// The highest number of pin sets in any of the places that it will go to.
    pub published_pins: Option<u64>,
    /// The certificates that servers accept.
    pub accepted: AcceptedLists,
    /// The history of the ledger that stands, where there is one.
    pub history: Option<Vec<u8>>,
    /// The time at which it is made.
    pub now: Time,
}

/// The material of the servers' CA for a publication.
pub struct ServersPart<'a> {
    /// The chain of the root and the servers' CA.
    pub chain: &'a Chain,
    /// Its CRL, DER.
    pub crl: Arc<Vec<u8>>,
    /// The revocations that this CRL must have.
    pub revoked: Vec<Revocation>,
}

/// A CRL of one of our CAs in a place of the publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedCrl {
    /// The CA of the CRL.
    pub authority: Authority,
    /// Its cRLNumber.
    pub number: u64,
    /// SHA-256 of its DER.
    pub sha256: [u8; 32],
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

/// The checks of a publication: a variant for each way to fail one, for which it is not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// A CRL cannot be read, or is not what this program writes.
    #[error("the CRL of the {0} CA: {1}")]
    Unreadable(Authority, X509Error),
    /// A CRL is not signed by its CA.
    #[error("the CRL of the {0} CA is not signed by it")]
    Signature(Authority),
    /// A CRL has expired.
    #[error("the CRL of the {0} CA ended on {1}")]
    Ended(Authority, Time),
    /// A CRL is not valid yet.
    #[error("the CRL of the {0} CA begins on {1}, after now")]
    NotYet(Authority, Time),
    /// A CRL is older than the one that is published.
    #[error("the CRL of the {authority} CA has number {number}, and {published} is published already")]
    Older {
        /// The CA of the CRL.
        authority: Authority,
        /// The new one's number.
        number: u64,
        /// The published one's number.
        published: u64,
    },
    /// Two CRLs have one number.
    #[error("two different CRLs of the {0} CA have the number {1}")]
    SameNumber(Authority, u64),
    /// A CRL does not revoke exactly what the ledger says.
    #[error("the CRL of the {0} CA does not hold what the ledger says: {1}")]
    Entries(Authority, String),
    /// A PEM file is not its DER file.
    #[error("{0} does not read back")]
    Pem(&'static str),
    /// The pin sets would lock apps out.
    #[error(transparent)]
    Pins(#[from] UnfitPins),
}

impl Rejected {
    /// The command that mends the publication: a new CRL of the root needs the root.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unreadable(authority, _)
            | Self::Signature(authority)
            | Self::Ended(authority, _)
            | Self::NotYet(authority, _)
            | Self::Older { authority, .. }
            | Self::SameNumber(authority, _) => match authority {
                Authority::Root => "pki root crl",
                Authority::Issuing | Authority::Servers => "pki publish",
            },
            Self::Entries(..) | Self::Pem(_) | Self::Pins(_) => "pki publish",
        }
    }
}

impl Fault for Rejected {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        let kind = match self {
            Self::NotYet(..) => Kind::ClockDoubt,
            Self::Unreadable(..)
            | Self::Signature(_)
            | Self::Ended(..)
            | Self::Older { .. }
            | Self::SameNumber(..)
            | Self::Entries(..)
            | Self::Pem(_)
            | Self::Pins(_) => Kind::Damaged,
        };
        (kind, "publication")
    }
}

impl Publication {
    /// Builds and checks a publication. `published` holds the CRLs that stand in any place it will go to.
    ///
    /// # Errors
    /// The first check that it fails. A root CRL that has ended or not begun is no obstacle here: see
    /// [`Self::root_crl_unfit`].
    pub fn build(material: Material<'_>, published: &[PublishedCrl]) -> Result<Self, Rejected> {
        let Material {
            chain,
            root_crl,
            issuing_crl,
            revoked,
            servers,
            pins,
            published_pins,
            accepted,
            history,
            now,
        } = material;
        let issuing = check_crl(Authority::Issuing, &issuing_crl, chain.ca(), published)?;
        if let Some(unfit) = unfit(Authority::Issuing, issuing, now) {
            return Err(unfit);
        }
        let root = check_crl(Authority::Root, &root_crl, chain.root(), published)?;
        check_entries(Authority::Issuing, &issuing_crl, &revoked)?;
        if let Some(part) = &servers {
            check_crl(Authority::Servers, &part.crl, part.chain.ca(), published)?;
            check_entries(Authority::Servers, &part.crl, &part.revoked)?;
        }
        if let Some(pins) = &pins {
            check_pins(pins, chain, published_pins, now)?;
        }
        let servers_files = servers.map(servers_files).transpose()?.unwrap_or_default();
        let pins_files = pins.map(pins_files).unwrap_or_default();
        Ok(Self {
            server: server(revoked, accepted, history),
            public: [public(chain, issuing_crl, root_crl)?, servers_files, pins_files].concat(),
            issuing,
            root,
            now,
        })
    }

    /// The files of an area, in the order in which they are written.
    pub fn files(&self, area: Area) -> &[File] {
        match area {
            Area::Public => &self.public,
            Area::Server => &self.server,
        }
    }

    /// The same publication with this history of the ledger in its servers' half.
    #[must_use]
    pub fn with_history(mut self, history: Vec<u8>) -> Self {
        self.server.retain(|file| file.path != HISTORY);
        self.server.push(history::file(history));
        self
    }

    /// The least nextUpdate of its CRLs.
    pub fn valid_until(&self) -> Time {
        self.issuing.next_update.min(self.root.next_update)
    }

    /// nextUpdate of the root's CRL.
    pub fn root_crl_end(&self) -> Time {
        self.root.next_update
    }

    /// The validity period of the issuing CA's CRL.
    pub fn issuing_crl(&self) -> (Time, Time) {
        (self.issuing.this_update, self.issuing.next_update)
    }

    /// The reason why servers do not accept the root's CRL now, if they do not: they refuse everyone then,
    /// but what shrinks the set that they accept must be published all the same.
    pub fn root_crl_unfit(&self) -> Option<Rejected> {
        unfit(Authority::Root, self.root, self.now)
    }
}

/// Why a CRL is not good at this time, where it is not.
fn unfit(authority: Authority, terms: Terms, now: Time) -> Option<Rejected> {
    if terms.this_update > now {
        Some(Rejected::NotYet(authority, terms.this_update))
    } else if terms.next_update < now {
        Some(Rejected::Ended(authority, terms.next_update))
    } else {
        None
    }
}

/// What shrinks what servers accept comes first.
fn server(revoked: Arc<Vec<Revocation>>, accepted: AcceptedLists, history: Option<Vec<u8>>) -> Vec<File> {
    let revoked = File::new(REVOKED, Body::revoked_map(revoked));
    let lists = std::iter::once(revoked).chain(accepted.into_files());
    lists.chain(history.map(history::file)).collect()
}

fn crl_pem(path: &'static str, der: &Arc<Vec<u8>>) -> Result<Body, Rejected> {
    if pem::reads_back(pem::CRL, der) {
        Ok(Body::pem(pem::CRL, der.clone()))
    } else {
        Err(Rejected::Pem(path))
    }
}

/// What apps need that check the certificates of the company's servers. It is in no bundle: a server that
/// verifies devices does not know the servers' CA.
fn servers_files(part: ServersPart<'_>) -> Result<Vec<File>, Rejected> {
    let ca = part.chain.ca();
    Ok(vec![
        File::new("crl/servers.pem", crl_pem("crl/servers.pem", &part.crl)?),
        File::new("crl/servers.crl", Body::of(part.crl)),
        File::new("ca/servers.crt", Body::of(ca.pem().into_bytes())),
        File::new(SERVERS_CA, Body::of(ca.der().to_vec())),
    ])
}

fn pins_files((json, jws): BothForms) -> Vec<File> {
    vec![
        File::new(Pins::JSON, Body::of(json)),
        File::new(Pins::JWS, Body::of(jws)),
    ]
}

/// The pin sets lock nobody out, and their signed form says the same and is the issuing CA's.
fn check_pins(
    (json, jws): &BothForms,
    chain: &Chain,
    published: Option<u64>,
    now: Time,
) -> Result<(), Rejected> {
    let pins = Pins::read(json).filter(|_| signs(chain.ca().public_key(), jws, json));
    let pins = pins.ok_or(UnfitPins::Signature)?;
    if let Some(published) = published.filter(|published| *published > pins.number) {
        let number = pins.number;
        return Err(UnfitPins::Older { number, published }.into());
    }
    Ok(pins.demand_fit(now)?)
}

fn public(chain: &Chain, issuing_crl: Arc<Vec<u8>>, root_crl: Arc<Vec<u8>>) -> Result<Vec<File>, Rejected> {
    let issuing_pem = crl_pem("crl/issuing.pem", &issuing_crl)?;
    let root_pem = crl_pem("crl/root.pem", &root_crl)?;
    let certificate = |certificate: &Certificate| Body::of(certificate.pem().into_bytes());
    let (root_ca, issuing_ca) = (certificate(chain.root()), certificate(chain.ca()));
    Ok(vec![
        File::new("crl/bundle.pem", Body::join(&[&issuing_pem, &root_pem])),
        File::new("crl/issuing.pem", issuing_pem),
        File::new("crl/issuing.crl", Body::of(issuing_crl)),
        File::new("crl/root.pem", root_pem),
        File::new("crl/root.crl", Body::of(root_crl)),
        File::new("ca/bundle.pem", Body::join(&[&root_ca, &issuing_ca])),
        File::new("ca/root.crt", root_ca),
        File::new("ca/issuing.crt", issuing_ca),
        File::new("ca/root.der", Body::of(chain.root().der().to_vec())),
        File::new("ca/issuing.der", Body::of(chain.ca().der().to_vec())),
    ])
}

/// Reads a CRL again with the independent parser and holds it against its CA and what is published.
fn check_crl(
    authority: Authority,
    der: &[u8],
    issuer: &Certificate,
    published: &[PublishedCrl],
) -> Result<Terms, Rejected> {
    let crl = Crl::parse(der).map_err(|e| Rejected::Unreadable(authority, e))?;
    if !crl.is_issued_by(issuer) {
        return Err(Rejected::Signature(authority));
    }
    let terms = crl.terms();
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
fn check_entries(authority: Authority, der: &[u8], revoked: &[Revocation]) -> Result<(), Rejected> {
    let unreadable = |e| Rejected::Unreadable(authority, e);
    let crl = Crl::parse(der).map_err(unreadable)?;
    let mut wanted = revoked.iter();
    for entry in crl.entries() {
        let entry = entry.map_err(unreadable)?;
        let same = wanted.next().is_some_and(|wanted| {
            (wanted.serial, wanted.at, wanted.reason.crl_reason())
                == (entry.serial, entry.at, entry.reason.crl_reason())
        });
        if !same {
            let what = format!("the entry of {} is out of place", entry.serial);
            return Err(Rejected::Entries(authority, what));
        }
    }
    match wanted.next() {
        Some(missing) => {
            let what = format!("{} is missing", missing.serial);
            Err(Rejected::Entries(authority, what))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::accepted::Accepted;
    use super::super::half::ALL_FILES;
    use super::*;
    use crate::issuer::{Devices, Root};
    use crate::key::{SoftwareKey, os_rng};
    use crate::model::{NameConstraints, Reason, Serial, Span};

    struct Cas {
        root: Root,
        issuing: Devices,
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
        let revocation = |octet| Revocation {
            serial: Serial::from_random([octet; 16]),
            at: now(),
            reason: Reason::Lost,
        };
        [1, 2].map(revocation).into()
    }

    impl Cas {
        fn new() -> Self {
            let constraints = NameConstraints {
                domains: vec!["acme.example".parse().unwrap()],
                ..NameConstraints::default()
            };
            let begun = now() - Span::days(1);
            let [root_key, key] = std::array::from_fn(|_| SoftwareKey::generate(&mut os_rng()));
            let root = Root::create(root_key, "Acme Ltd", Some(&constraints), begun, &mut os_rng()).unwrap();
            let chain = root
                .sign_issuing(key.public_key(), &constraints, None, begun, &mut os_rng())
                .unwrap();
            Self {
                root,
                issuing: Devices::open(chain, key, None).unwrap(),
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
                revoked: revoked().into(),
                servers: None,
                pins: None,
                published_pins: None,
                accepted: AcceptedLists::Whole(Accepted::new(now())),
                history: None,
                now: now(),
            };
            Publication::build(material, published)
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
        // A half that is brought as it stands is written in the same order.
        for paths in [paths(Area::Server), public] {
            let known = ALL_FILES.into_iter().filter(|path| paths.contains(path));
            assert_eq!(known.collect::<Vec<_>>(), paths);
        }
        assert_eq!(publication.valid_until(), terms(7).next_update);
        assert!(publication.root_crl_unfit().is_none());
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
    fn a_root_crl_that_is_not_good_now_is_told_and_no_obstacle() {
        let cas = Cas::new();
        let ended = Terms {
            this_update: now() - Span::days(1),
            next_update: now() - Span::seconds(1),
            ..terms(3)
        };
        let publication = cas
            .build(cas.issuing_crl(terms(7)), cas.root_crl(ended), &[])
            .unwrap();
        assert!(matches!(
            publication.root_crl_unfit(),
            Some(Rejected::Ended(Authority::Root, end)) if end == ended.next_update
        ));
        let future = Terms {
            this_update: now() + Span::seconds(1),
            ..terms(3)
        };
        let publication = cas
            .build(cas.issuing_crl(terms(7)), cas.root_crl(future), &[])
            .unwrap();
        assert!(matches!(
            publication.root_crl_unfit(),
            Some(Rejected::NotYet(Authority::Root, begin)) if begin == future.this_update
        ));
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
                matches!(cas.rejection(crl, root()), Rejected::Entries(..)),
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
