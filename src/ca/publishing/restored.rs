//! Decides when a restored home knows what happened since its backup: by every place that it has published
//! to, unless the operator gives one up by name, or by what a server has fetched and was handed in.
//!
//! A place that stands lower than the backup itself proves nothing: whoever can write there may have put back
//! an older publication, in which a lost phone is let in.

use super::targets::{Failed, Place, Role};
use crate::ca::session::Session;
use crate::ca::{CaError, PublishingError};
use crate::disk::Shown;
use crate::model::Fact;
use crate::publish::Area;
use crate::store::LastPublication;

/// What the operator says of places that cannot be read.
#[derive(Debug, Clone, Copy, Default)]
pub struct GivenUp<'a> {
    /// The places of `pki.toml` whose knowledge is given up, by their names.
    pub places: &'a [String],
    /// Whether the ledger is the newest that there is, where no place could know more.
    pub is_current: bool,
}

/// The event that a restored home is reconciled; none where it was not restored, or was reconciled before.
///
/// # Errors
/// Where a place may know what happened since, and is neither read nor given up.
pub(super) fn reconciled(
    session: &Session<'_>,
    places: &[Place],
    failed: &[Failed],
    given_up: GivenUp<'_>,
) -> Result<Option<Fact>, CaError> {
    let Some(made) = session.unreconciled else {
        return Ok(None);
    };
    let last = session.store.last_publication()?;
    let (mut read, mut missing) = (Vec::new(), Vec::new());
    let mut is_answered = false;
    for place in places {
        let name = place.to.path.display().to_string();
        match (place.role, unread(place, &last)) {
            (Role::Staging, _) => {}
            (Role::Source, None) => {
                is_answered = true;
                read.push(name);
            }
            (Role::Target, None) => read.push(name),
            (Role::Source | Role::Target, Some(why)) => missing.push((name, why)),
        }
    }
    missing.extend(
        failed
            .iter()
            .map(|(place, why)| (place.to_string(), why.to_string())),
    );
    let (mut up, mut open) = (Vec::new(), Vec::new());
    for (place, why) in missing {
        if given_up.places.contains(&place) {
            up.push(place);
        } else {
            open.push((Shown(place.into()), why));
        }
    }
    let has_none = read.is_empty() && up.is_empty() && open.is_empty();
    let is_known = if has_none {
        given_up.is_current
    } else {
        open.is_empty()
    };
    if is_answered || is_known {
        return Ok(Some(Fact::Reconciled { read, given_up: up }));
    }
    Err(PublishingError::Unreconciled { made, open }.into())
}

/// Why a place says nothing of what happened since the backup; none where it does.
fn unread(place: &Place, last: &LastPublication) -> Option<String> {
    let known = match place.to.area {
        Area::Public => last.public,
        Area::Server => last.server,
    };
    match place.to.manifest() {
        Err(error) => Some(error.to_string()),
        Ok(None) => Some("it has no publication of this PKI".into()),
        Ok(Some(manifest)) if manifest.number < known => Some(format!(
            "it has the publication {}, and {known} was published before the backup",
            manifest.number
        )),
        Ok(Some(_)) => match place.to.torn() {
            Err(error) => Some(error.to_string()),
            Ok(Some(file)) => Some(format!(
                "{file} is missing there, or not what the signed manifest says"
            )),
            Ok(None) => None,
        },
    }
}
