//! Finds stray files: what lies in a target and is no part of the publication.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::disk::{self, Directory, DiskError, Kind};
use crate::model::contents::is_pkcs12;

/// A file, directory or link that is no part of the publication.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stray {
    /// Its path. The name is whatever the account that may write there has given it.
    pub path: PathBuf,
    /// The kind of it.
    pub kind: StrayKind,
}

/// The kinds of strays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StrayKind {
    /// A file with a private key in it, encrypted or not.
    Key,
    /// A symbolic link.
    Link,
    /// Anything else.
    Other,
}

/// Finds everything in `directory` (called `path` in messages) that is not one of the `known` files. A
/// directory that is not ours is searched for private keys only.
pub(super) fn find(
    directory: &Directory,
    path: &Path,
    known: &BTreeSet<PathBuf>,
) -> Result<Vec<Stray>, DiskError> {
    let mut search = Search {
        known,
        // Whoever may write there must not keep us looking for ever.
        names: 10_000,
        found: Vec::new(),
    };
    search.look(directory, Path::new(""), true, 8)?;
    let place = |stray: Stray| Stray {
        path: path.join(stray.path),
        ..stray
    };
    let mut strays: Vec<Stray> = search.found.into_iter().map(place).collect();
    strays.sort_unstable();
    Ok(strays)
}

struct Search<'a> {
    known: &'a BTreeSet<PathBuf>,
    /// How many names may still be looked at.
    names: usize,
    found: Vec<Stray>,
}

impl Search<'_> {
    /// Looks through a directory, which is called `below` there, and as many levels of others in it.
    fn look(
        &mut self,
        directory: &Directory,
        below: &Path,
        is_ours: bool,
        levels: usize,
    ) -> Result<(), DiskError> {
        for name in directory.names()? {
            let Some(left) = self.names.checked_sub(1) else {
                break;
            };
            self.names = left;
            let path = below.join(&name);
            let is_known = self.known.iter().any(|file| file.starts_with(&path));
            let is_staged =
                disk::staged_for(&name).is_some_and(|name| self.known.contains(&below.join(name)));
            let kind = match directory.kind(&name) {
                Some(Kind::Link) => Some(StrayKind::Link),
                Some(Kind::Directory) => {
                    // What cannot be entered, or is gone by now, keeps nobody from the rest.
                    if let Ok(Some(inner)) = directory.below(&name)
                        && levels > 0
                    {
                        let _ = self.look(&inner, &path, is_known, levels - 1);
                    }
                    (!is_known).then_some(StrayKind::Other)
                }
                Some(Kind::Other) | None if is_known || is_staged => None,
                Some(Kind::Other) | None if holds_key(directory, &name) => Some(StrayKind::Key),
                Some(Kind::Other) | None => Some(StrayKind::Other),
            };
            self.found.extend(
                kind.filter(|kind| is_ours || *kind == StrayKind::Key)
                    .map(|kind| Stray { path, kind }),
            );
        }
        Ok(())
    }
}

/// Whether a file has a private key in it, as far as its name and its beginning tell.
fn holds_key(directory: &Directory, name: &OsStr) -> bool {
    /// Of what `issue` writes, and of what others call such files.
    const ENDINGS: [&str; 6] = [".p12", ".pfx", ".key", ".mobileconfig", ".qr.png", ".qr.svg"];
    const BEGINNING: u64 = 4096;
    let lower = name.as_bytes().to_ascii_lowercase();
    if ENDINGS.iter().any(|ending| lower.ends_with(ending.as_bytes())) {
        return true;
    }
    let Ok(Some(file)) = directory.file(name) else {
        return false;
    };
    let mut octets = Vec::new();
    let read = file.take(BEGINNING).read_to_end(&mut octets);
    read.is_ok() && (octets.windows(PEM.len()).any(|some| some == PEM) || is_pkcs12(&octets))
}

/// The end of the first line of a key in PEM, of whatever kind.
const PEM: &[u8] = b"PRIVATE KEY-----";
