//! Founds a home: root, issuing CA, their CRLs and the first publication, all or nothing.

pub mod error;
pub mod staging;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::delivery::path_policy::real;
use super::key_file::seal;
use super::publishing::root_crl;
use super::publishing::{Refresh, refresh};
use super::residence;
use super::session::{ClockPolicy, Desk};
use super::{CaError, SessionError, SetupError};
use crate::bundle;
use crate::disk::{self, Shown};
use crate::home::config;
use crate::home::{Home, HomeError};
use crate::issuer::{Devices, Root};
use crate::key::{Passphrase, SoftwareKey, os_rng};
use crate::model::{Authority, Clock, Fact, NameConstraints, Said, Time};
use crate::store::{Paths, Store};
use data_encoding::HEXLOWER;
use staging::{Making, Medium, ROOT_CERTIFICATE, ROOT_KEY, Staging};

/// The parameters of a new PKI.
#[derive(Debug)]
pub struct Founding {
    /// The path of the new home.
    pub home: PathBuf,
    /// O of every subject, at most 48 characters.
    pub organization: String,
    /// The name constraints: what its CAs can vouch for.
    pub constraints: NameConstraints,
    /// The extent to which the root's and the devices' CA's certificates state these constraints.
    pub said: Said,
    /// The URL where the public area of a publication will be served.
    pub base_url: Option<String>,
    /// The medium that the root's key goes to, instead of the home.
    pub offline_root: Option<PathBuf>,
    /// The policy for a clock that is before this program was made. Later commands judge the clock by the
    /// first event's time.
    pub clock: ClockPolicy,
}

/// The two new passphrases.
#[derive(Debug)]
pub struct Passphrases {
    /// The passphrase of the root's key.
    pub root: Passphrase,
    /// The passphrase of the issuing CA's key.
    pub issuing: Passphrase,
}

/// The result of a setup.
#[derive(Debug)]
pub struct Founded {
    /// The new home.
    pub home: Home,
    /// The path of the root's key.
    pub root_key: PathBuf,
    /// Ends of root and issuing CA, of the root's CRL and of the issuing CA's.
    pub ends: [(&'static str, Time); 4],
}

/// Founds a PKI. Everything is made in a directory beside the home, which is renamed into its place at the
/// end.
///
/// # Errors
/// Where there is something at the home's place already, or anything fails: then there is still nothing, on
/// the root's medium either.
pub fn found(
    founding: &Founding,
    passphrases: &Passphrases,
    clock: fn() -> Time,
    by: &str,
) -> Result<Founded, CaError> {
    let now = clock();
    let place = examine(founding, now)?;
    let staging = Staging::beside(&place, Making::Founding)?;
    let rng = &mut os_rng();
    let Founding { constraints, .. } = founding;
    let says = constraints.said(founding.said);
    let root_key = SoftwareKey::generate(rng);
    let sealed_root = seal(&root_key, &passphrases.root)?;
    let root = Root::create(root_key, &founding.organization, says.as_ref(), now, rng)?;
    let key = SoftwareKey::generate(rng);
    let chain = root.sign_issuing(
        key.public_key(),
        constraints,
        founding.base_url.as_deref(),
        now,
        rng,
    )?;
    let sealed_issuing = seal(&key, &passphrases.issuing)?;
    let offline = founding.offline_root.as_deref();
    let medium = offline
        .map(|medium| Medium::write(medium, &sealed_root, &root))
        .transpose()?;

    let at = |file: &str| staging.path.join(file);
    for directory in ["root", "issuing"] {
        disk::create_private_directory(&at(directory))?;
    }
    if medium.is_none() {
        disk::create_private(&at(config::ROOT_KEY), sealed_root.as_bytes())?;
    }
    disk::create_private(&at("root/root.crt"), chain.root().pem().as_bytes())?;
    disk::create_private(&at("issuing/issuing.key"), sealed_issuing.as_bytes())?;
    disk::create_private(&at("issuing/issuing.crt"), chain.ca().pem().as_bytes())?;
    disk::create_private(&at("pki.toml"), configuration(founding)?.as_bytes())?;
    let first = Fact::Initialized {
        organization: founding.organization.clone(),
        root: HEXLOWER.encode(&chain.root().sha256()),
        issuing: HEXLOWER.encode(&chain.ca().sha256()),
        permitted: (founding.said != Said::All).then(|| constraints.clone()),
    };
    Store::create(&Paths::in_home(&staging.path), first, now, by).map_err(HomeError::Store)?;
    first_publication(
        (&staging.path, &place),
        &root,
        Devices::open(chain, key, founding.base_url.clone())?,
        clock,
        by,
    )?;

    staging.become_home(&place, medium)?;
    let root_key = offline.map_or_else(|| place.join(config::ROOT_KEY), |medium| medium.join(ROOT_KEY));
    let home = Home::open(&place)?;
    let ends = ends(&home)?;
    Ok(Founded { home, root_key, ends })
}

/// Looks whether a home can be founded so, before anybody chooses a passphrase: where it will be, without
/// links and dots.
///
/// # Errors
/// Where its place is taken, cannot be written, or is none for a home; or the clock cannot be right.
pub fn examine(founding: &Founding, now: Time) -> Result<PathBuf, CaError> {
    if Clock::is_before_program(now) && founding.clock == ClockPolicy::Strict {
        return Err(SessionError::ClockBeforeProgram(now).into());
    }
    let place = free_place(&founding.home)?;
    demand_room(&place)?;
    disk::demand_modes(&place)?;
    // What an init that was killed left on the medium is not in the way of the next.
    Staging::sweep(&place);
    if let Some(medium) = &founding.offline_root {
        check_medium(medium, &place)?;
    }
    Ok(place)
}

/// The home is made beside its place and gets it in one step: also where its own empty directory is there
/// already, the one above must be writable.
fn demand_room(place: &Path) -> Result<(), SetupError> {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    let above = place.ancestors().skip(1).find(|above| above.exists());
    let above = above.unwrap_or(Path::new("/"));
    accessat(CWD, above, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).map_err(|errno| {
        SetupError::NoRoomBeside {
            above: Shown(above.to_owned()),
            why: errno.into(),
        }
    })
}

/// The path of the new home, without links and dots.
///
/// # Errors
/// Where something is there that rename(2) does not take the place of: it replaces an empty directory, and no
/// mount point.
pub(super) fn free_place(home: &Path) -> Result<PathBuf, CaError> {
    let place = real(home);
    if is_mount_point(&place) {
        return Err(SetupError::MountPoint(Shown(home.to_owned())).into());
    }
    let empty = || std::fs::read_dir(&place).is_ok_and(|mut entries| entries.next().is_none());
    if disk::is_taken(&place) && !empty() {
        return Err(CaError::Exists(Shown(home.to_owned())));
    }
    Ok(place)
}

/// Whether `place` is a mount point. If statx(2) does not say, a device number other than that of the
/// directory above does.
fn is_mount_point(place: &Path) -> bool {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
        const ROOT: StatxAttributes = StatxAttributes::MOUNT_ROOT;
        let found = statx(CWD, place, AtFlags::empty(), StatxFlags::empty());
        if let Some(found) = found
            .ok()
            .filter(|found| found.stx_attributes_mask.contains(ROOT))
        {
            return found.stx_attributes.contains(ROOT);
        }
    }
    let device = |path: &Path| std::fs::metadata(path).ok().map(|there| there.dev());
    let above = place.parent().and_then(device);
    device(place)
        .zip(above)
        .is_some_and(|(here, above)| here != above)
}

/// Checks what can be checked about the root's medium before anything is made.
fn check_medium(medium: &Path, home: &Path) -> Result<(), CaError> {
    if real(medium).starts_with(home) {
        return Err(SetupError::MediumInHome(Shown(medium.to_owned())).into());
    }
    disk::demand_modes(medium)?;
    let mut places = [ROOT_CERTIFICATE, ROOT_KEY]
        .map(|file| medium.join(file))
        .into_iter();
    match places.find(|place| disk::is_taken(place)) {
        Some(place) => Err(CaError::Exists(Shown(place))),
        None => Ok(()),
    }
}

fn configuration(founding: &Founding) -> Result<String, CaError> {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let root_key = founding.offline_root.as_ref().map(|medium| {
        let absolute = std::path::absolute(medium.join(ROOT_KEY)).unwrap_or_else(|_| medium.join(ROOT_KEY));
        quoted(&absolute.display().to_string())
    });
    let context = minijinja::context! {
        base_url => founding.base_url.as_deref().map(quoted),
        domain => founding.constraints.domains.first().map(ToString::to_string),
        root_key => root_key,
    };
    let text = minijinja::Environment::new()
        .render_str(include_str!("../../../templates/pki.toml"), context)
        .map_err(bundle::BundleError::from)?;
    // Templates lose their last newline, and whoever appends a line to the file must not append it to a
    // comment.
    Ok(text + "\n")
}

fn first_publication(
    (staging, place): (&Path, &Path),
    root: &Root,
    issuing: Devices,
    clock: fn() -> Time,
    by: &str,
) -> Result<(), CaError> {
    let home = Home::open(staging)?;
    let desk = Desk {
        home,
        by: by.to_owned(),
        holder: "init".into(),
        patience: Duration::from_secs(5),
        clock,
        goes_on_here: false,
        reconciles: false,
    };
    let mut session = desk.session(ClockPolicy::Strict)?;
    root_crl::sign_root_crl(&mut session, root)?;
    match refresh(&mut session, (&issuing).into())? {
        Refresh::NeedsKey | Refresh::Done(_) => Ok(residence::settle(&desk.home, place)?),
    }
}

fn ends(home: &Home) -> Result<[(&'static str, Time); 4], CaError> {
    let store = home.read()?;
    let crl = |authority| -> Result<Time, CaError> {
        Ok(store
            .last_crl(authority)?
            .map_or(Time::from_unix(0), |crl| crl.next_update))
    };
    Ok([
        ("root CA", home.chain().root().validity().not_after),
        ("issuing CA", home.chain().ca().validity().not_after),
        ("root CRL", crl(Authority::Root)?),
        ("issuing CRL", crl(Authority::Issuing)?),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_mount_point_is_known_for_one() {
        assert!(is_mount_point(Path::new("/proc")));
        assert!(!is_mount_point(tempfile::tempdir().unwrap().path()));
        assert!(!is_mount_point(Path::new("/nowhere/at/all")));
    }
}
