//! Where the publication goes: the home's own directories, and those that pki.toml names.

use super::OperateError;
use crate::disk::{self, Ground, Shown};
use crate::home::Home;
use crate::publish::{Area, Destination, TargetError};

/// A place of the publication.
pub(super) struct Place {
    pub to: Destination,
    /// Whether it is the home's own.
    pub staging: bool,
}

/// A place that the publication cannot go to, and why: that keeps it from no other.
pub(super) type Failed = (Shown, TargetError);

/// Where the publication goes, the home's own directories first; and where it cannot go.
///
/// # Errors
/// Where the home's own directories cannot be opened.
pub(super) fn destinations(home: &Home) -> Result<(Vec<Place>, Vec<Failed>), OperateError> {
    let open = |area, directory, group, staging| {
        let signer = home.chain().issuing().public_key().clone();
        let to = Destination::open(area, directory, group, signer)?;
        Ok(Place { to, staging })
    };
    // By whoever's links: all of pki has followed them to the home.
    let path = home
        .path()
        .canonicalize()
        .map_err(disk::failed("located", home.path()))?;
    let mut places = Vec::new();
    for area in [Area::Server, Area::Public] {
        places.push(open(area, path.join(area.word()), None, true)?);
    }
    let mut failed = Vec::new();
    for target in &home.config().publish {
        let group = target.group.as_deref().map(disk::group_number).transpose();
        let server = target.server.clone().map(|directory| {
            let group = group.map_err(TargetError::from);
            (
                directory.clone(),
                group.and_then(|group| open(Area::Server, directory, group, false)),
            )
        });
        let public = target
            .public
            .clone()
            .map(|directory| (directory.clone(), open(Area::Public, directory, None, false)));
        for (directory, opened) in server.into_iter().chain(public) {
            match opened {
                Ok(place) => places.push(place),
                Err(error) => failed.push((Shown(directory), error)),
            }
        }
    }
    let ground = Ground::find(&path, 0)?;
    let apart: Vec<_> = places
        .iter()
        .map(|place| demand_apart(place, &places, &ground))
        .collect();
    let mut kept = Vec::new();
    for (place, apart) in places.into_iter().zip(apart) {
        match apart {
            Ok(()) => kept.push(place),
            Err(error) => failed.push((Shown(place.to.path), error)),
        }
    }
    Ok((kept, failed))
}

/// What `pki.toml` says was held against itself already, as text. By links and mounts two paths can lead to one directory.
fn demand_apart(place: &Place, all: &[Place], home: &Ground) -> Result<(), TargetError> {
    if place.staging {
        return Ok(());
    }
    let ground = place.to.ground();
    if ground.is_within(home) || home.is_within(ground) {
        return Err(TargetError::Home);
    }
    let other = all
        .iter()
        .find(|other| !std::ptr::eq(*other, place) && ground.is_within(other.to.ground()));
    match other {
        Some(other) => Err(TargetError::Shared(Shown(other.to.path.clone()))),
        None => Ok(()),
    }
}
