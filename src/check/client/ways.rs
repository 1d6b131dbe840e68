//! The ways into a server that it can configure separately: the TLS version, the name that a client asks for
//! in the handshake (SNI), and the protocol that is spoken inside.

use std::fmt;

use super::version::Version;

/// One way into a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// The version of the handshake.
    pub version: Version,
    /// The name that the client asks for.
    pub name: Name,
    /// The protocol that is spoken inside.
    pub inside: Inside,
}

/// The host that a client asks for in the handshake (SNI, RFC 6066 §3). Whatever it is, the requests are for
/// the host of the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// The host of the URL.
    Right,
    /// No host at all.
    None,
    /// A host that belongs to nobody.
    Foreign,
    /// The host of the URL, on a session that was begun without a name.
    RightAfterNone,
    /// The host of the URL, on a session that was begun with a host that is nobody's.
    RightAfterForeign,
}

impl Name {
    /// The names of a handshake that does not resume a session.
    pub const ASKED_FOR: [Self; 3] = [Self::Right, Self::None, Self::Foreign];
    /// Every choice of a name.
    pub const ALL: [Self; 5] = [
        Self::Right,
        Self::None,
        Self::Foreign,
        Self::RightAfterNone,
        Self::RightAfterForeign,
    ];
    /// A name that no server has (RFC 6761 §6.4).
    pub const NOBODYS: &str = "pki-check.invalid";

    /// The right name on a session that was begun by this one, where this is another: a server that verifies
    /// by name may not verify a client again that resumes.
    pub fn returning(self) -> Option<Self> {
        match self {
            Self::None => Some(Self::RightAfterNone),
            Self::Foreign => Some(Self::RightAfterForeign),
            Self::Right | Self::RightAfterNone | Self::RightAfterForeign => None,
        }
    }
}

/// The protocol that is spoken inside, as ALPN chooses it (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inside {
    /// HTTP/1.1, offered by ALPN.
    Http11,
    /// HTTP/2.
    Http2,
    /// HTTP/1.1, without ALPN.
    Unsaid,
}

impl Inside {
    /// Every choice of a protocol.
    pub const ALL: [Self; 3] = [Self::Http11, Self::Http2, Self::Unsaid];

    /// The protocols that are offered by ALPN.
    pub fn protocols(self) -> Vec<Vec<u8>> {
        match self {
            Self::Http11 => vec![b"http/1.1".to_vec()],
            Self::Http2 => vec![b"h2".to_vec()],
            Self::Unsaid => Vec::new(),
        }
    }
}

/// Ways that have something in common: what is not said is any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    version: Option<Version>,
    name: Option<Name>,
    inside: Option<Inside>,
}

impl Region {
    /// Whether a way is one of them.
    pub fn has(&self, way: &Way) -> bool {
        self.version.is_none_or(|version| version == way.version)
            && self.name.is_none_or(|name| name == way.name)
            && self.inside.is_none_or(|inside| inside == way.inside)
    }

    fn particulars(&self) -> usize {
        usize::from(self.version.is_some())
            + usize::from(self.name.is_some())
            + usize::from(self.inside.is_some())
    }
}

/// Says which ways: nothing where it is all.
impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(version) = self.version {
            write!(f, " over {version}")?;
        }
        match self.name {
            None => {}
            Some(Name::Right) => f.write_str(" with the host's own SNI")?,
            Some(Name::None) => f.write_str(" without SNI")?,
            Some(Name::Foreign) => f.write_str(" with another host's SNI")?,
            Some(Name::RightAfterNone) => f.write_str(" by a session from without SNI")?,
            Some(Name::RightAfterForeign) => f.write_str(" by a session from another host's SNI")?,
        }
        match self.inside {
            None => {}
            Some(Inside::Http11) => f.write_str(" by http/1.1")?,
            Some(Inside::Http2) => f.write_str(" by h2")?,
            Some(Inside::Unsaid) => f.write_str(" without ALPN")?,
        }
        Ok(())
    }
}

/// The fewest words for `some` of the ways that were `tried`: the widest regions of which every way is among
/// them, and that say something new.
pub fn regions(tried: &[Way], some: &[Way]) -> Vec<Region> {
    let any = |all: &[Name]| -> Vec<Option<Name>> { all.iter().copied().map(Some).chain([None]).collect() };
    let versions: Vec<_> = Version::ALL.map(Some).into_iter().chain([None]).collect();
    let insides: Vec<_> = Inside::ALL.map(Some).into_iter().chain([None]).collect();
    let mut candidates = Vec::new();
    for &version in &versions {
        for name in any(&Name::ALL) {
            for &inside in &insides {
                candidates.push(Region {
                    version,
                    name,
                    inside,
                });
            }
        }
    }
    candidates.sort_by_key(Region::particulars);
    let mut chosen: Vec<Region> = Vec::new();
    for region in candidates {
        let is_whole = tried
            .iter()
            .filter(|way| region.has(way))
            .all(|way| some.contains(way));
        let mut new = some
            .iter()
            .filter(|way| region.has(way) && !chosen.iter().any(|known| known.has(way)));
        if is_whole && new.next().is_some() {
            chosen.push(region);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Way> {
        let mut all = Vec::new();
        for version in [Version::Tls12, Version::Tls13] {
            for name in Name::ASKED_FOR {
                all.extend(Inside::ALL.map(|inside| Way {
                    version,
                    name,
                    inside,
                }));
            }
        }
        all
    }

    fn told(is_open: impl Fn(&Way) -> bool) -> Vec<String> {
        let open: Vec<Way> = all().into_iter().filter(is_open).collect();
        regions(&all(), &open).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn ways_are_told_by_what_they_have_in_common() {
        assert_eq!(told(|_| true), [""]);
        assert_eq!(told(|_| false), [""; 0]);
        assert_eq!(told(|way| way.version == Version::Tls12), [" over TLS 1.2"]);
        assert_eq!(told(|way| way.inside == Inside::Http2), [" by h2"]);
        assert_eq!(
            told(|way| way.name != Name::Right),
            [" without SNI", " with another host's SNI"]
        );
        assert_eq!(
            told(|way| way.version == Version::Tls12 || way.name == Name::None),
            [" over TLS 1.2", " without SNI"]
        );
        let one = |way: &Way| {
            (way.version, way.name, way.inside) == (Version::Tls13, Name::Foreign, Inside::Unsaid)
        };
        assert_eq!(told(one), [" over TLS 1.3 with another host's SNI without ALPN"]);
    }
}
