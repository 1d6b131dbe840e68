//! The manifest of an area: it lists every file of the area with its hash, and has a number that only rises.

use std::collections::BTreeMap;
use std::fmt;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::file::{File, Section};
use crate::model::{Serial, Span, Time};

/// The longest manifest that is read, in either form: with 75,000 certificates that have ended it has 11 MB.
pub const LONGEST_MANIFEST: u64 = 16 << 20;

/// The two halves of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// The public half, which anyone may read: certificates and CRLs.
    Public,
    /// The servers' half, which only the API's servers read: lists that name employees.
    Server,
}

impl Area {
    /// The word for the area, which is also the name of its directory in a home.
    pub fn word(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Server => "server",
        }
    }

    /// The modes of its directories and of its files.
    pub fn modes(self) -> (u32, u32) {
        match self {
            Self::Public => (0o755, 0o644),
            Self::Server => (0o750, 0o640),
        }
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the format: 1.
    pub version: u32,
    /// The area that it describes.
    pub area: Area,
    /// The number of the publication, which rises with every change of the area.
    pub number: u64,
    /// The time at which it was made.
    pub made: Time,
    /// The least nextUpdate of the publication's CRLs.
    pub valid_until: Time,
    /// Revoked certificates that have ended since, the newest at most 400 days: only they may have left a
    /// CRL. None in a manifest of version 0.1 of this program.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended: Option<Vec<Ended>>,
    /// Every file of the area but the manifest's own two, by its path.
    pub files: BTreeMap<String, Listed>,
    /// The short lists, where the long ones are not written whole each time. They are apart from the others
    /// because a reader of an earlier version refuses files that it does not know; it goes by the long ones.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub recent: Option<BTreeMap<String, Listed>>,
    /// The files that a reader leaves out which does not know them. None in a manifest of a version that has
    /// no such files.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub optional: Option<BTreeMap<String, Listed>>,
}

/// The files of an area, as its manifest has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// `files`.
    pub files: BTreeMap<String, Listed>,
    /// `recent`.
    pub recent: Option<BTreeMap<String, Listed>>,
    /// `optional`.
    pub optional: Option<BTreeMap<String, Listed>>,
}

/// A revoked certificate that has expired: no server would accept it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Its serial number.
    pub serial: Serial,
    /// The end of the validity period (notAfter), inclusive.
    pub not_after: Time,
}

impl Ended {
    /// The most that a manifest lists.
    pub const ROOM: usize = 75_000;
    /// The time for which a manifest lists one after its expiry. Whoever has fetched nothing for so long has
    /// let nobody in for a year: a CRL is valid for some weeks.
    pub const KEPT: Span = Span::days(400);
}

/// A file in a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// SHA-256 of its content, hexadecimal.
    pub sha256: String,
    /// Its length in octets.
    pub size: u64,
}

impl Listed {
    /// The SHA-256, where it is one.
    pub fn sha256(&self) -> Option<[u8; 32]> {
        let octets = HEXLOWER.decode(self.sha256.as_bytes()).ok()?;
        octets.try_into().ok()
    }
}

impl Manifest {
    /// `typ` of `manifest.jws`.
    pub const TYPE: &'static str = "pki-manifest+jws";
    /// The name of the unsigned form.
    pub const JSON: &'static str = "manifest.json";
    /// The name of the signed form.
    pub const JWS: &'static str = "manifest.jws";

    /// The listing of `files`, for comparison and for the manifest.
    pub fn list(files: &[File]) -> Listing {
        let listed = |file: &File| {
            let listed = Listed {
                sha256: HEXLOWER.encode(&file.sha256),
                size: file.size,
            };
            (file.path.to_owned(), listed)
        };
        let of = |section| -> BTreeMap<String, Listed> {
            let files = files.iter().filter(|file| file.section == section);
            files.map(listed).collect()
        };
        let some = |section| Some(of(section)).filter(|files| !files.is_empty());
        Listing {
            files: of(Section::Files),
            recent: some(Section::Recent),
            optional: some(Section::Optional),
        }
    }

    /// Whether it is a manifest of these files.
    pub fn lists(&self, files: &[File]) -> bool {
        let Listing {
            files,
            recent,
            optional,
        } = Self::list(files);
        self.files == files && self.recent == recent && self.optional == optional
    }

    /// The entry for the file at this path.
    pub fn listed(&self, path: &str) -> Option<&Listed> {
        let beside = [&self.recent, &self.optional];
        let beside = || beside.into_iter().flatten().find_map(|files| files.get(path));
        self.files.get(path).or_else(beside)
    }

    /// The paths of all its files.
    pub fn paths(&self) -> impl Iterator<Item = &String> {
        self.files
            .keys()
            .chain(self.recent.iter().flat_map(BTreeMap::keys))
            .chain(self.optional.iter().flat_map(BTreeMap::keys))
    }

    /// Its text, with a newline at the end.
    pub fn text(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("strings, numbers and times have a JSON form");
        text.push(b'\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is published must be read again, by whoever fetches it, too.
    #[test]
    fn a_manifest_with_all_the_ends_that_it_has_room_for_is_not_too_long() {
        let one = Ended {
            serial: Serial::from_random([7; 16]),
            not_after: Time::from_unix(1_800_000_000),
        };
        let manifest = Manifest {
            version: 1,
            area: Area::Public,
            number: u64::MAX,
            made: one.not_after,
            valid_until: one.not_after,
            ended: Some(vec![one; Ended::ROOM]),
            files: BTreeMap::new(),
            recent: None,
            optional: None,
        };
        let base64 = manifest.text().len() as u64 / 3 * 4;
        // The header with the certificate, the signature, and the files.
        assert!(base64 + (1 << 20) < LONGEST_MANIFEST, "{base64}");
    }
}
