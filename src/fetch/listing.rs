//! The files that an area can have, and the longest that each may be: a manifest can list these and no
//! others, whoever has signed it.

use std::collections::BTreeMap;

use crate::publish::{
    ALLOWED, Area, DEVICES, HISTORY, History, LONGEST_CRL, LONGEST_LIST, Manifest, RECENT_ALLOWED,
    RECENT_DEVICES, REVOKED,
};

use super::error::Unfit;

/// A file that an area can have.
pub(super) struct Known {
    path: &'static str,
    part: Part,
    longest: u64,
}

/// The files of a part are there together or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// In every publication.
    Core,
    /// Once there is a servers' CA.
    Servers,
    /// Once there are servers with pins.
    Pins,
    /// Where the lists of devices are long.
    Recent,
    /// Once the home keeps one.
    History,
}

/// The most octets of all files of one area together: half a gigabyte.
const LONGEST_TOTAL: u64 = 512 << 20;
const CERTIFICATE: u64 = 64 << 10;
/// PEM is a third longer than DER, and has line ends.
const CRL_PEM: u64 = LONGEST_CRL / 2 * 3;
const PINS: u64 = 4 << 20;

/// The files in the order of download. A publication is installed only once all of its files are there, so
/// that the order decides no more than which error is found first.
const PUBLIC: [Known; 16] = [
    known("crl/root.crl", Part::Core, LONGEST_CRL),
    known("crl/issuing.crl", Part::Core, LONGEST_CRL),
    known("crl/bundle.pem", Part::Core, CRL_PEM * 2),
    known("crl/issuing.pem", Part::Core, CRL_PEM),
    known("crl/root.pem", Part::Core, CRL_PEM),
    known("ca/bundle.pem", Part::Core, CERTIFICATE),
    known("ca/root.crt", Part::Core, CERTIFICATE),
    known("ca/issuing.crt", Part::Core, CERTIFICATE),
    known("ca/root.der", Part::Core, CERTIFICATE),
    known("ca/issuing.der", Part::Core, CERTIFICATE),
    known("ca/servers.crt", Part::Servers, CERTIFICATE),
    known("ca/servers.der", Part::Servers, CERTIFICATE),
    known("crl/servers.crl", Part::Servers, LONGEST_CRL),
    known("crl/servers.pem", Part::Servers, CRL_PEM),
    known("pins/pins.json", Part::Pins, PINS),
    known("pins/pins.jws", Part::Pins, PINS * 2),
];
const SERVER: [Known; 3] = [
    known(REVOKED, Part::Core, LONGEST_LIST),
    known(ALLOWED, Part::Core, LONGEST_LIST),
    known(DEVICES, Part::Core, LONGEST_LIST),
];

/// What a manifest lists apart from the others, in `recent`.
const RECENT: [Known; 2] = [
    known(RECENT_ALLOWED, Part::Recent, LONGEST_LIST),
    known(RECENT_DEVICES, Part::Recent, LONGEST_LIST),
];

/// What a manifest lists in `optional`, as far as it is known here: the rest is left out.
const OPTIONAL: [Known; 1] = [known(HISTORY, Part::History, History::LONGEST)];

const fn known(path: &'static str, part: Part, longest: u64) -> Known {
    Known { path, part, longest }
}

fn files(area: Area) -> &'static [Known] {
    match area {
        Area::Public => &PUBLIC,
        Area::Server => &SERVER,
    }
}

/// The files that a manifest lists, in the order in which they are read.
///
/// # Errors
/// Where it lists a file that its area cannot have, lacks one that it must have, or one is too long.
pub(super) fn listed(manifest: &Manifest) -> Result<Vec<&'static str>, Unfit> {
    let known = files(manifest.area);
    // The public half has none.
    let (beside, optional) = match manifest.area {
        Area::Public => (&[][..], &[][..]),
        Area::Server => (&RECENT[..], &OPTIONAL[..]),
    };
    let is_unknown = |path: &&String, known: &[Known]| !known.iter().any(|file| file.path == **path);
    let mut strays = manifest.files.keys().filter(|path| is_unknown(path, known));
    let recent = manifest.recent.iter().flat_map(BTreeMap::keys);
    let stray = strays
        .next()
        .or(recent.into_iter().find(|path| is_unknown(path, beside)));
    if let Some(stray) = stray {
        return Err(Unfit::stray(stray, manifest.area));
    }
    let mut total = 0_u64;
    let mut found = Vec::new();
    for file in known.iter().chain(beside).chain(optional) {
        let Some(listed) = manifest.listed(file.path) else {
            if has(manifest, file.part) {
                return Err(Unfit::NotListed(file.path));
            }
            continue;
        };
        total = total.saturating_add(listed.size);
        if listed.size > file.longest {
            return Err(Unfit::TooLong {
                file: file.path.into(),
                size: listed.size,
                longest: file.longest,
            });
        }
        found.push(file.path);
    }
    if total > LONGEST_TOTAL {
        return Err(Unfit::TooLong {
            file: "the whole of it".into(),
            size: total,
            longest: LONGEST_TOTAL,
        });
    }
    Ok(found)
}

/// Whether a publication has a part.
pub(super) fn has(manifest: &Manifest, part: Part) -> bool {
    let mut files = files(manifest.area).iter().filter(|file| file.part == part);
    match part {
        Part::Core => true,
        Part::Servers | Part::Pins => files.any(|file| manifest.files.contains_key(file.path)),
        Part::Recent => manifest.recent.is_some(),
        Part::History => manifest.listed(HISTORY).is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Time;
    use crate::publish::Listed;

    fn manifest(paths: &[&str], size: u64) -> Manifest {
        let listed = Listed {
            sha256: "0".repeat(64),
            size,
        };
        Manifest {
            version: 1,
            area: Area::Public,
            number: 1,
            made: Time::from_unix(0),
            valid_until: Time::from_unix(0),
            ended: None,
            recent: None,
            optional: None,
            files: paths
                .iter()
                .map(|path| ((*path).to_owned(), listed.clone()))
                .collect(),
        }
    }

    fn paths(part: Part) -> Vec<&'static str> {
        let files = PUBLIC.iter().filter(|file| file.part == part);
        files.map(|file| file.path).collect()
    }

    #[test]
    fn a_part_is_there_as_a_whole_or_not_at_all() {
        let core = paths(Part::Core);
        assert_eq!(listed(&manifest(&core, 1)).unwrap(), core);
        for part in [Part::Servers, Part::Pins] {
            let whole = [core.clone(), paths(part)].concat();
            assert_eq!(listed(&manifest(&whole, 1)).unwrap().len(), whole.len());
            assert!(matches!(
                listed(&manifest(&whole[..whole.len() - 1], 1)),
                Err(Unfit::NotListed(_))
            ));
        }
        for missing in 0..core.len() {
            let mut some = core.clone();
            let path = some.remove(missing);
            assert!(matches!(listed(&manifest(&some, 1)), Err(Unfit::NotListed(p)) if p == path));
        }
    }

    #[test]
    fn nothing_else_may_be_listed_and_nothing_without_end() {
        let core = paths(Part::Core);
        for stray in [
            "crl/../../x",
            "/etc/passwd",
            "manifest.json",
            "crl/other.crl",
            "",
            "revoked.map",
        ] {
            let files = [core.clone(), vec![stray]].concat();
            assert!(
                matches!(listed(&manifest(&files, 1)), Err(Unfit::Stray { .. })),
                "{stray}"
            );
        }
        assert!(matches!(
            listed(&manifest(&core, 2 << 30)),
            Err(Unfit::TooLong { .. })
        ));
    }
}
