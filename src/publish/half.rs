//! One half of a publication as it stands in a place: read whole under its own signed manifest, and written
//! to other places as it is. So it needs no key, and nothing is made anew.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::accepted::{ALLOWED, DEVICES, RECENT_ALLOWED, RECENT_DEVICES, REVOKED};
use super::destination::{BothForms, Destination, SERVERS_CA};
use super::error::TargetError;
use super::file::{Body, File, Section};
use super::history::HISTORY;
use super::manifest::Manifest;
use super::pins::Pins;

/// Every file of either half, in the order in which they are written: what shrinks what servers accept comes
/// first.
pub(super) const ALL_FILES: [&str; 22] = [
    REVOKED,
    RECENT_ALLOWED,
    RECENT_DEVICES,
    ALLOWED,
    DEVICES,
    HISTORY,
    "crl/bundle.pem",
    "crl/issuing.pem",
    "crl/issuing.crl",
    "crl/root.pem",
    "crl/root.crl",
    "ca/bundle.pem",
    "ca/root.crt",
    "ca/issuing.crt",
    "ca/root.der",
    "ca/issuing.der",
    "crl/servers.pem",
    "crl/servers.crl",
    "ca/servers.crt",
    SERVERS_CA,
    Pins::JSON,
    Pins::JWS,
];

/// One half of a publication, whole.
#[derive(Debug)]
pub struct Half {
    /// The manifest that it stands under.
    pub manifest: Manifest,
    statement: BothForms,
    files: Vec<File>,
}

impl Destination {
    /// Reads the half that is there, where it is ours and each octet of it is what its signed manifest says.
    ///
    /// # Errors
    /// Where the system does not let it be read.
    pub fn half(&self) -> Result<Option<Half>, TargetError> {
        let Some(statement) = self.statement()? else {
            return Ok(None);
        };
        let Ok(manifest) = serde_json::from_slice::<Manifest>(&statement.0) else {
            return Ok(None);
        };
        let mut files = Vec::new();
        for path in ALL_FILES {
            let Some(listed) = manifest.listed(path) else {
                continue;
            };
            let Some(octets) = self.read(path, listed.size)? else {
                return Ok(None);
            };
            let has =
                |files: &Option<BTreeMap<_, _>>| files.as_ref().is_some_and(|files| files.contains_key(path));
            let section = match () {
                () if has(&manifest.recent) => Section::Recent,
                () if has(&manifest.optional) => Section::Optional,
                () => Section::Files,
            };
            files.push(File::new(path, Body::of(octets)).listed_in(section));
        }
        // It has every file that the manifest names, and each has the length and the hash that it says.
        let is_whole = manifest.area == self.area && manifest.lists(&files);
        Ok(is_whole.then_some(Half {
            manifest,
            statement,
            files,
        }))
    }

    /// Whether exactly this half is here, under the same signed manifest.
    ///
    /// # Errors
    /// Where the place cannot be read.
    pub fn has_half(&self, half: &Half) -> Result<bool, TargetError> {
        Ok(self.statement()?.as_ref() == Some(&half.statement) && self.holds(&half.files)?)
    }

    /// Writes a half here as it is.
    ///
    /// # Errors
    /// Where a file cannot be written, or another manifest is here than the one that was looked at.
    pub fn write_half(&self, half: &Half) -> Result<(), TargetError> {
        let (manifest, jws) = &half.statement;
        self.write(&half.files, manifest, jws)
    }
}

impl Half {
    /// The content of the file at this path, where the half has one.
    pub fn octets(&self, path: &str) -> Option<Cow<'_, [u8]>> {
        let file = self.files.iter().find(|file| file.path == path)?;
        file.body.as_ref()?.pieces().next()
    }

    /// The pin sets, where the half has some.
    pub fn pins(&self) -> Option<BothForms> {
        let [json, jws] = [Pins::JSON, Pins::JWS].map(|path| self.octets(path).map(Cow::into_owned));
        json.zip(jws)
    }
}
