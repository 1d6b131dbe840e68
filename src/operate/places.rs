//! Where the publication goes: the home's own directories, and those that pki.toml names.

use std::path::Path;

use rustix::fs::Gid;

use crate::disk::{self, DiskError, Shown};
use crate::home::Home;
use crate::publish::{Area, Destination, TargetError};

/// A place of the publication.
pub(super) struct Place {
    pub to: Destination,
    /// Whether it is the home's own.
    pub staging: bool,
}

/// Where the publication goes, the home's own directories first; and where it cannot go, which keeps it from nobody else.
pub(super) fn destinations(home: &Home) -> (Vec<Place>, Vec<(Shown, TargetError)>) {
    let place = |area, directory, group, staging| Place {
        to: Destination {
            area,
            directory,
            group,
            signer: home.chain().issuing().public_key().clone(),
        },
        staging,
    };
    let own = |area: Area| place(area, home.path().join(area.word()), None, true);
    let mut places = vec![own(Area::Server), own(Area::Public)];
    let mut failed = Vec::new();
    for target in &home.config().publish {
        if let Some(directory) = target.server.clone() {
            match target.group.as_deref().map(group_number).transpose() {
                Ok(group) => places.push(place(Area::Server, directory, group, false)),
                Err(error) => failed.push((Shown(directory), error.into())),
            }
        }
        places.extend(
            target
                .public
                .clone()
                .map(|directory| place(Area::Public, directory, None, false)),
        );
    }
    (places, failed)
}

/// The number of a group, from the system's list.
fn group_number(name: &str) -> Result<u32, DiskError> {
    let list = Path::new("/etc/group");
    let unknown = || {
        disk::failed("searched for a group of a [[publish]] table", list)(std::io::Error::other(format!(
            "there is no group {name}"
        )))
    };
    let text = String::from_utf8_lossy(&disk::read(list, 16 << 20)?).into_owned();
    let number = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name))
            .then(|| fields.nth(1)?.parse::<u32>().ok())
            .flatten()
    });
    number
        .map(|number| Gid::from_raw(number).as_raw())
        .ok_or_else(unknown)
}
