//! Checks the free disk space for what the next commands write. A revocation that cannot be written reaches
//! no server.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Finding, Severity};
use crate::disk::{self, Room};
use crate::home::Home;
use crate::publish::{Area, Location};

/// The space that must be free beside a second publication, in octets: for events, an index that is made
/// anew, bundles.
const SPARE: u64 = 16 << 20;
/// The least number of files that can still be created: below it, no publication or bundle can be written
/// completely.
const FILES: u64 = 100;
/// The least number of free octets: below it, the next command fails.
const LAST: u64 = 1 << 20;

pub(super) fn examine(home: &Home, findings: &mut Vec<Finding>) {
    // A publication is written beside the one that stands.
    let enough = SPARE + published(home);
    let mut seen = HashSet::new();
    for place in places(home) {
        // What is not there, or closed, is told by what examines the place itself.
        let Ok(device) = place.metadata().map(|there| there.dev()) else {
            continue;
        };
        if seen.insert(device)
            && let Ok(room) = disk::room(place)
        {
            findings.extend(judged(place, room, enough));
        }
    }
}

/// The home, and every directory that is published to.
fn places(home: &Home) -> impl Iterator<Item = &Path> {
    let targets = home.config().publish.iter().flat_map(|target| target.places());
    std::iter::once(home.path()).chain(targets.filter_map(Location::directory))
}

/// How large the publication in the home is, in octets.
fn published(home: &Home) -> u64 {
    let areas = [Area::Public, Area::Server].map(|area| home.path().join(area.word()));
    let entries = areas.iter().filter_map(|area| area.read_dir().ok()).flatten();
    let sizes = entries.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len()));
    sizes.sum()
}

fn judged(place: &Path, room: Room, enough: u64) -> Option<Finding> {
    let few = room.files.filter(|files| *files < FILES);
    let severity = match few {
        Some(_) => Severity::Error,
        None if room.octets < LAST => Severity::Error,
        None if room.octets < enough => Severity::Warning,
        None => return None,
    };
    let left = match few {
        Some(files) => format!("{files} more files"),
        None => format!("{} KiB more", room.octets >> 10),
    };
    Some(Finding::new(
        "disk-full",
        severity,
        format!(
            "{} has room for {left}: who is revoked may stay on no list",
            place.display()
        ),
        "make room there (`df -h` and `df -i` show how much), then `pki publish`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_told_before_there_is_none() {
        let judge = |octets, files| {
            let found = judged(Path::new("/srv"), Room { octets, files }, 20 << 20);
            found.map(|finding| finding.severity)
        };
        assert_eq!(judge(1 << 30, Some(1 << 20)), None);
        assert_eq!(judge(20 << 20, None), None);
        assert_eq!(judge((20 << 20) - 1, None), Some(Severity::Warning));
        assert_eq!(judge(1 << 19, Some(1 << 20)), Some(Severity::Error));
        assert_eq!(judge(1 << 30, Some(99)), Some(Severity::Error));
    }
}
