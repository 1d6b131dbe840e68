//! The places that the publication goes to: the home's own directories, and the targets that `pki.toml`
//! names.

use crate::ca::CaError;
use crate::disk::{self, Ground, Shown, Spot};
use crate::home::Home;
use crate::publish::{Access, Area, Destination, Hashes, Location, TargetError};

/// A place of the publication.
pub(in crate::ca) struct Place {
    pub to: Destination,
    /// The role of the place.
    pub role: Role,
}

/// The role of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ca) enum Role {
    /// It is the home's own place.
    Staging,
    /// It is named by pki.toml.
    Target,
    /// Handed in to be taken in: it is read and never written.
    Source,
}

impl Place {
    /// Whether it is the home's own.
    pub fn is_staging(&self) -> bool {
        self.role == Role::Staging
    }
}

/// A place that the publication cannot go to, and why: that keeps it from no other.
pub(in crate::ca) type Failed = (Shown, TargetError);

/// The places of the publication, the home's own directories first; and those that it cannot go to. Files
/// there are read unless their `hashes` are trusted.
///
/// # Errors
/// Where the home itself cannot be opened.
pub(in crate::ca) fn destinations(
    home: &Home,
    hashes: &Hashes,
) -> Result<(Vec<Place>, Vec<Failed>), CaError> {
    let open = |area, location: &Location, access: &Access, group, role| {
        let to = Destination::open(area, location, access, group, home.chain(), hashes)?;
        Ok(Place { to, role })
    };
    // By whoever's links: all of pki has followed them to the home.
    let path = home
        .path()
        .canonicalize()
        .map_err(disk::failed("located", home.path()))?;
    let (mut places, mut failed) = (Vec::new(), Vec::new());
    for area in [Area::Server, Area::Public] {
        let own = Location::Directory(path.join(area.word()));
        match open(area, &own, &Access::default(), None, Role::Staging) {
            Ok(place) => places.push(place),
            Err(error) => failed.push((Shown(own.name()), error)),
        }
    }
    if let Some(why) = home.unread() {
        let why = TargetError::Unconfigured(why.to_string());
        failed.push((Shown(home.config_path()), why));
    }
    for target in &home.config().publish {
        let access = target.access();
        let group = target.group.as_deref().map(disk::group_number).transpose();
        let server = target.server.as_ref().map(|location| {
            let group = group.map_err(TargetError::from);
            let opened = group.and_then(|group| open(Area::Server, location, &access, group, Role::Target));
            (location, opened)
        });
        let public = target.public.as_ref();
        let public = public.map(|location| {
            (
                location,
                open(Area::Public, location, &access, None, Role::Target),
            )
        });
        for (location, opened) in server.into_iter().chain(public) {
            match opened {
                Ok(place) => places.push(place),
                Err(error) => failed.push((Shown(location.name()), error)),
            }
        }
    }
    // What is at hand is not kept waiting by what is far away.
    places.sort_by_key(|place| place.to.spot().is_none());
    let own = Ground::find(&path, 0)?;
    let apart: Vec<_> = places
        .iter()
        .map(|place| demand_apart(place, &places, own.spot()))
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

/// What `pki.toml` says was held against itself already, as text. By links and mounts two paths can lead to
/// one directory.
fn demand_apart(place: &Place, all: &[Place], home: &Spot) -> Result<(), TargetError> {
    if place.is_staging() {
        return Ok(());
    }
    let Some(spot) = place.to.spot() else {
        return Ok(());
    };
    if spot.is_within(home) || home.is_within(spot) {
        return Err(TargetError::Home);
    }
    let other = all
        .iter()
        .filter(|other| !std::ptr::eq(*other, place))
        .find(|other| other.to.spot().is_some_and(|other| spot.is_within(other)));
    match other {
        Some(other) => Err(TargetError::Shared(Shown(other.to.path.clone()))),
        None => Ok(()),
    }
}
