//! Finds out what a server offers, from its answers to ClientHello messages that no current TLS library can
//! produce.

pub mod client_hello;
pub mod groups;
pub mod renegotiation;
pub mod server_hello;
pub mod suites;

use std::io;

use crate::check::CheckError;
use crate::check::client::Refusal;
use crate::check::client::parallel;
use crate::check::client::version::Version;
use crate::check::client::ways::Name;
use crate::check::client::wire::Server;
use client_hello::{ClientHello, UNCOMPRESSED};
use server_hello::{Accepted, Answer, Extent, Group};
use suites::{Suite, Weakness};

/// The offers of a server.
#[derive(Debug, Default)]
pub struct Offers {
    /// To whom asks for the host of the URL: the versions, the oldest first.
    pub versions: Vec<Version>,
    /// To whom asks for no host, or another.
    pub elsewhere: Vec<(Name, Version)>,
    /// The suites that it takes and should not, by what is wrong with them.
    pub weak_suites: Vec<(Weakness, Vec<u16>)>,
    /// The curves that it takes and should not.
    pub weak_curves: Vec<u16>,
    /// The bits of the shortest prime below which it agrees upon keys.
    pub shortest_prime: Option<usize>,
    /// Whether it compresses.
    pub compresses: bool,
    /// Whether it takes part in old versions and does not support safe renegotiation.
    pub renegotiates_unsafely: bool,
    /// The things that could not be learnt, each with the reason.
    pub unclear: Vec<(&'static str, String)>,
    /// Its certificate as it was sent in the clear, DER; the server has not proved that it holds the key.
    pub unproved_leaf: Option<Vec<u8>>,
}

/// The offer that is made to the server.
#[derive(Debug, Clone)]
struct Offer {
    version: Version,
    name: Name,
    suites: Vec<u16>,
    groups: Vec<u16>,
    compression: &'static [u8],
}

impl Offer {
    fn usual(version: Version, name: Name) -> Self {
        Self {
            version,
            name,
            suites: of_version(version, suites::usual()),
            groups: groups::usual(version == Version::Tls13),
            compression: &UNCOMPRESSED,
        }
    }

    fn make(&self, server: &Server, random: [u8; 32], extent: Extent) -> io::Result<Answer> {
        let host = server.url.dns_name();
        let hello = ClientHello {
            version: self.version,
            suites: &self.suites,
            groups: &self.groups,
            compression: self.compression,
            renegotiates: None,
            server_name: match self.name {
                Name::Right | Name::RightAfterNone | Name::RightAfterForeign => host.as_deref(),
                Name::None => None,
                Name::Foreign => Some(Name::NOBODYS),
            },
            random,
        };
        let mut wire = server.connect()?;
        io::Write::write_all(&mut wire, &hello.record())?;
        server_hello::read(&mut wire, extent)
    }
}

/// DEFLATE and none (RFC 3749).
const COMPRESSED: [u8; 2] = [1, 0];

fn of_version(version: Version, all: Vec<u16>) -> Vec<u16> {
    let is_of_it = |suite: &Suite| suite.is_of_tls13() == (version == Version::Tls13);
    let registered: Vec<u16> = suites::registered()
        .filter(is_of_it)
        .map(|suite| suite.number)
        .collect();
    all.into_iter()
        .filter(|number| registered.contains(number))
        .collect()
}

/// Learns what it offers.
///
/// # Errors
/// Where there is nobody who speaks TLS.
pub fn learn(server: &Server, random: [u8; 32]) -> Result<Offers, CheckError> {
    let mut offers = Offers::default();
    versions(server, random, &mut offers)?;
    let older: Vec<Version> = offers
        .versions
        .iter()
        .copied()
        .filter(|version| *version != Version::Tls13)
        .collect();
    let mut questions = Vec::new();
    for &version in &offers.versions {
        questions.extend(Weakness::ALL.map(|weakness| Thing::Suites(version, weakness)));
    }
    for &version in &older {
        questions.extend([
            Thing::Curves(version),
            Thing::Prime(version),
            Thing::Compression(version),
        ]);
    }
    for answer in parallel::each(&questions, |thing| thing.learn(server, random)) {
        match answer {
            Learnt::Suites(weakness, taken) if !taken.is_empty() => {
                match offers
                    .weak_suites
                    .iter_mut()
                    .find(|(known, _)| *known == weakness)
                {
                    Some((_, known)) => known.extend(
                        taken
                            .iter()
                            .filter(|suite| !known.contains(suite))
                            .copied()
                            .collect::<Vec<_>>(),
                    ),
                    None => offers.weak_suites.push((weakness, taken)),
                }
            }
            Learnt::Suites(..) => {}
            Learnt::Curves(taken) => {
                let known = &offers.weak_curves;
                let new: Vec<u16> = taken.into_iter().filter(|curve| !known.contains(curve)).collect();
                offers.weak_curves.extend(new);
            }
            Learnt::Prime(bits) => {
                let known = offers.shortest_prime.unwrap_or(usize::MAX);
                offers.shortest_prime = bits.map(|bits| bits.min(known)).or(offers.shortest_prime);
            }
            Learnt::Compression(does) => offers.compresses |= does,
            Learnt::Nothing(what, why) => {
                if !offers.unclear.iter().any(|(known, _)| *known == what) {
                    offers.unclear.push((what, why));
                }
            }
        }
    }
    offers.weak_suites.sort();
    Ok(offers)
}

/// The versions that it offers, by each name.
fn versions(server: &Server, random: [u8; 32], offers: &mut Offers) -> Result<(), CheckError> {
    let names: &[Name] = match server.url.dns_name() {
        Some(_) => &Name::ASKED_FOR,
        // Where the host is an address, nobody asks for it by a name.
        None => &[Name::Right, Name::Foreign],
    };
    let questions: Vec<Offer> = names
        .iter()
        .flat_map(|name| Version::ALL.map(|version| Offer::usual(version, *name)))
        .collect();
    let answers = parallel::each(&questions, |offer| {
        let extent = if offer.version == Version::Tls12 {
            Extent::Flight
        } else {
            Extent::Hello
        };
        offer.make(server, random, extent)
    });
    let mut refusals = Vec::new();
    let mut failed = None;
    let mut is_foreign = false;
    for (offer, answer) in questions.iter().zip(answers) {
        let is_right = offer.name == Name::Right;
        match answer {
            Ok(Answer::Accepted(accepted)) if accepted.version == offer.version.number() => {
                offers.renegotiates_unsafely |= is_right && is_unsafe(offer.version, &accepted);
                if is_right {
                    offers.versions.push(offer.version);
                    offers.unproved_leaf = accepted.leaf.or(offers.unproved_leaf.take());
                } else {
                    offers.elsewhere.push((offer.name, offer.version));
                }
            }
            // Another version than was asked for.
            Ok(Answer::Accepted(_)) => {}
            Ok(Answer::Refused(alert)) if is_right => refusals.push(alert),
            Ok(Answer::NotTls) if is_right => is_foreign = true,
            // It closes to whoever comes by another name, or knows no such host.
            Ok(Answer::Refused(_) | Answer::NotTls) => {}
            Err(why) => {
                let what = if is_right {
                    "protocol versions"
                } else {
                    "protocol versions by other names"
                };
                offers.unclear.push((what, format!("{}: {why}", offer.version)));
                if is_right {
                    failed = Some(why);
                }
            }
        }
    }
    if !offers.versions.is_empty() {
        return Ok(());
    }
    let address = server.address;
    if is_foreign {
        return Err(CheckError::NotTls(address));
    }
    let alert = refusals.into_iter().flatten().next();
    let how = alert.map_or(Refusal::Closed, |alert| {
        Refusal::Alert(crate::check::client::alert::meaning(alert).into())
    });
    match failed {
        Some(why) if alert.is_none() => Err(CheckError::Silent { address, why }),
        Some(_) | None => Err(CheckError::RefusesAll { address, how }),
    }
}

/// SSL 3.0 is sent no extension, and may be told none.
fn is_unsafe(version: Version, accepted: &Accepted) -> bool {
    version != Version::Tls13 && version != Version::Ssl3 && !accepted.renegotiates_safely
}

/// A thing that is asked for by itself.
#[derive(Debug, Clone, Copy)]
enum Thing {
    Suites(Version, Weakness),
    Curves(Version),
    Prime(Version),
    Compression(Version),
}

/// The result of asking.
enum Learnt {
    Suites(Weakness, Vec<u16>),
    Curves(Vec<u16>),
    Prime(Option<usize>),
    Compression(bool),
    /// What could not be learnt, and why.
    Nothing(&'static str, String),
}

impl Thing {
    fn learn(self, server: &Server, random: [u8; 32]) -> Learnt {
        let make = |offer: &Offer| offer.make(server, random, Extent::Flight);
        let learnt = match self {
            Self::Suites(version, weakness) => {
                let suites = weak(version, weakness);
                let offer = Offer {
                    suites,
                    ..Offer::usual(version, Name::Right)
                };
                let offer_of = |suites: &[u16]| {
                    make(&Offer {
                        suites: suites.to_vec(),
                        ..offer.clone()
                    })
                };
                taken(&offer.suites, offer_of, |accepted| Some(accepted.suite))
                    .map(|taken| Learnt::Suites(weakness, taken))
            }
            Self::Curves(version) => {
                let offer = Offer::usual(version, Name::Right);
                let ecdhe = suites::registered().filter(|suite| suite.has_ecdhe());
                let suites = of_version(version, ecdhe.map(|suite| suite.number).collect());
                let offer_of = |groups: &[u16]| {
                    make(&Offer {
                        suites: suites.clone(),
                        groups: groups.to_vec(),
                        ..offer.clone()
                    })
                };
                taken(&groups::weak(), offer_of, |accepted| match accepted.group {
                    Some(Group::Curve(curve)) => Some(curve),
                    Some(Group::Prime(_)) | None => None,
                })
                .map(Learnt::Curves)
            }
            Self::Prime(version) => {
                let dhe = suites::registered().filter(|suite| suite.has_dhe());
                let suites = of_version(version, dhe.map(|suite| suite.number).collect());
                let offer = Offer {
                    suites,
                    ..Offer::usual(version, Name::Right)
                };
                make(&offer).map(|answer| match answer {
                    Answer::Accepted(accepted) => match accepted.group {
                        Some(Group::Prime(bits)) => Learnt::Prime(Some(bits)),
                        Some(Group::Curve(_)) => Learnt::Prime(None),
                        None => Learnt::Nothing(self.words(), "the prime cannot be read".into()),
                    },
                    Answer::Refused(_) | Answer::NotTls => Learnt::Prime(None),
                })
            }
            Self::Compression(version) => {
                let offer = Offer {
                    compression: &COMPRESSED,
                    ..Offer::usual(version, Name::Right)
                };
                make(&offer).map(|answer| match answer {
                    Answer::Accepted(accepted) => Learnt::Compression(accepted.compression != 0),
                    Answer::Refused(_) | Answer::NotTls => Learnt::Compression(false),
                })
            }
        };
        learnt.unwrap_or_else(|why| Learnt::Nothing(self.words(), why.to_string()))
    }

    fn words(self) -> &'static str {
        match self {
            Self::Suites(..) => "cipher suites",
            Self::Curves(_) => "curves",
            Self::Prime(_) => "the prime of DHE",
            Self::Compression(_) => "compression",
        }
    }
}

/// The suites of this version with this weakness.
fn weak(version: Version, weakness: Weakness) -> Vec<u16> {
    let weak = suites::registered().filter(|suite| suite.weakness() == Some(weakness));
    of_version(version, weak.map(|suite| suite.number).collect())
}

/// Which of these it takes: it is offered all, then all but the one that it took, until it takes none. Each
/// connection takes one away, so that there are never more than there are things.
fn taken(
    all: &[u16],
    offer: impl Fn(&[u16]) -> io::Result<Answer>,
    chosen: impl Fn(&Accepted) -> Option<u16>,
) -> io::Result<Vec<u16>> {
    let mut left = all.to_vec();
    let mut taken = Vec::new();
    while !left.is_empty() {
        let Answer::Accepted(accepted) = offer(&left)? else {
            break;
        };
        let place = chosen(&accepted).and_then(|choice| left.iter().position(|offered| *offered == choice));
        // One that takes what was not offered takes it whatever is offered.
        let Some(place) = place else {
            break;
        };
        taken.push(left.remove(place));
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_suite_that_is_taken_is_found_with_one_connection() {
        let accepts = [3, 5, 9];
        let asked = std::cell::Cell::new(0);
        let offer = |left: &[u16]| {
            asked.set(asked.get() + 1);
            let suite = left.iter().copied().find(|suite| accepts.contains(suite));
            Ok(suite.map_or(Answer::Refused(Some(40)), |suite| {
                Answer::Accepted(Accepted {
                    suite,
                    ..Accepted::default()
                })
            }))
        };
        let all: Vec<u16> = (0..10).collect();
        assert_eq!(
            taken(&all, offer, |accepted| Some(accepted.suite)).unwrap(),
            accepts
        );
        assert_eq!(asked.get(), 4);
        // One that answers with what nobody offered does not go on for ever.
        let stubborn = |_: &[u16]| Ok(Answer::Accepted(Accepted::default()));
        assert_eq!(
            taken(&[7], stubborn, |accepted| Some(accepted.suite)).unwrap(),
            [0; 0]
        );
    }

    #[test]
    fn a_version_is_offered_its_own_suites() {
        for (weakness, of_tls13, of_tls12) in [
            (Weakness::Broken, 0xc0b4, 0x0005),
            (Weakness::ShortTag, 0x1305, 0xc0ae),
        ] {
            let [new, old] = [Version::Tls13, Version::Tls12].map(|version| weak(version, weakness));
            assert!(
                new.contains(&of_tls13) && !new.contains(&of_tls12),
                "{weakness:?}"
            );
            assert!(
                old.contains(&of_tls12) && !old.contains(&of_tls13),
                "{weakness:?}"
            );
        }
        assert!(weak(Version::Tls12, Weakness::NoForwardSecrecy).contains(&0xc09c));
    }
}
